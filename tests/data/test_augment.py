"""Augmentation of a batch, against torch's own slicing of one image at a time."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from famus_ray.config.schema import DataConfig
from famus_ray.data.augment import Views, augment, draw_views


def random_pixels(count, channels, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@given(
    count=st.integers(1, 6),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 4),
    kind=st.sampled_from(["shift", "crop_flip"]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_a_view_is_a_slice_of_the_padded_image_then_mirrored(
    count, channels, height, width, padding, kind, seed
):
    pixels = random_pixels(count, channels, height, width, seed)
    config = DataConfig(augment=kind, crop_padding=padding)
    views = draw_views(count, config, torch.Generator().manual_seed(seed))
    found = augment(pixels, views, padding)
    padded = F.pad(pixels, (padding,) * 4)
    for i in range(count):
        top, left = int(views.top[i]), int(views.left[i])
        expected = padded[i, :, top : top + height, left : left + width]
        assert torch.equal(found[i], expected.flip(2) if views.mirrored[i] else expected)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_centred_crop_is_the_image_or_its_mirror_image(mirrored):
    pixels = random_pixels(5, 3, 8, 8)
    centre = torch.full((5,), 4)
    found = augment(pixels, Views(centre, centre, torch.full((5,), mirrored)), 4)
    assert torch.equal(found, pixels.flip(3) if mirrored else pixels)


def views_of(kind, count=4000):
    return draw_views(count, DataConfig(augment=kind, crop_padding=2), torch.Generator())


def test_every_offset_and_both_sides_are_drawn():
    views = views_of("crop_flip")
    for offsets in (views.top, views.left):
        assert torch.bincount(offsets).shape == (5,)
        assert torch.bincount(offsets).min() > 650
    assert 1800 < views.mirrored.sum() < 2200
    assert not torch.equal(views.top, views.left)


def test_shift_never_mirrors():
    assert not views_of("shift").mirrored.any()


def test_none_leaves_the_images_alone():
    pixels = random_pixels(3, 1, 8, 8)
    assert torch.equal(augment(pixels, views_of("none"), 2), pixels)
