"""Image files as people have them: the right pixels, or an error that names the file and why."""

# Shapes: H x W pixels.
from __future__ import annotations

import io
import pickle
import struct
import threading
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from famus_ray.data.decode import NotAnImage, decode

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)

# Two rows of three: each corner differs, so that every turn and mirror image shows.
GREY = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
COLOURS = np.stack([GREY, 255 - GREY, np.full_like(GREY, 30)], axis=2)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(values: np.ndarray, **options) -> bytes:
    return encoded(Image.fromarray(values), "PNG", **options)


def tiff(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values), "TIFF")


def seen(content: bytes, channels: int = 1) -> list:
    """Rows of grey values, or of triples."""
    pixels = decode(content, channels)
    assert pixels.dtype == torch.uint8
    assert pixels.shape[0] == channels
    return pixels[0].tolist() if channels == 1 else pixels.permute(1, 2, 0).tolist()


def pfm(values: np.ndarray) -> bytes:
    header = f"Pf\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode()
    return header + values[::-1].astype("<f4").tobytes()


DEEP = {
    "16 bits, full": (png(np.array([[0, 32768, 65535]], np.uint16)), [[0, 128, 255]]),
    "12 bits in 16": (png(np.array([[0, 2048, 4095]], np.uint16)), [[0, 128, 255]]),
    "16 bits with an offset": (tiff(np.array([[1000, 1050, 1100]], np.uint16)), [[0, 128, 255]]),
    "16 bits, big-endian": (
        b"P5 3 1 65535\n" + np.array([0, 500, 1000], ">u2").tobytes(), [[0, 128, 255]],
    ),
    "16 bits of one value": (png(np.full((1, 3), 700, np.uint16)), [[0, 0, 0]]),
    "16 bits, a transparent value": (
        png(np.array([[0, 1000, 4000]], np.uint16), transparency=1000), [[0, 255, 255]],
    ),
    "32 bits": (tiff(np.array([[-100_000, 0, 100_000]], np.int32)), [[0, 128, 255]]),
    "floats": (tiff(np.array([[-2.0, 0.0, 2.0]], np.float32)), [[0, 128, 255]]),
    "floats within [0, 1]": (tiff(np.array([[0.2, 0.4, 0.6]], np.float32)), [[51, 102, 153]]),
    "floats with NaN": (tiff(np.array([[np.nan, 10.0, 20.0]], np.float32)), [[0, 0, 255]]),
    "floats with infinity": (
        tiff(np.array([[-np.inf, 10.0, 15.0, 20.0, np.inf]], np.float32)), [[0, 0, 128, 255, 255]],
    ),
    "floats, all NaN": (tiff(np.full((1, 2), np.nan, np.float32)), [[0, 0]]),
    "floats of a portable map": (pfm(np.array([[0.0, 5.0], [10.0, 2.0]])), [[0, 128], [255, 51]]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "grey"), DEEP.values(), ids=DEEP)
def test_grey_of_more_than_8_bits_is_scaled_by_its_range(content: bytes, grey):
    assert seen(content) == grey
    assert seen(content, 3) == [[[v] * 3 for v in row] for row in grey]


def test_8_bits_stay_as_they_are():
    faint = np.array([[100, 101], [102, 103]], np.uint8)
    assert seen(png(faint)) == faint.tolist()
    assert seen(encoded(Image.fromarray(faint > 101), "PNG")) == [[0, 0], [255, 255]]


def test_colours_become_grey_by_their_luma():
    row = np.array([[RED, (0, 255, 0), (0, 0, 255), WHITE]], np.uint8)
    assert seen(png(row)) == [[76, 150, 29, 255]]


def transparent(mode: str, values: list) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def palette(alphas: bytes | int) -> bytes:
    """Red, green and a blue pixel, the alphas given as PNG's tRNS."""
    image = transparent("P", [0, 1, 2])
    image.putpalette([*RED, 0, 255, 0, 0, 0, 255])
    return encoded(image, "PNG", transparency=alphas)


TRANSPARENT = {
    "RGBA": (encoded(transparent("RGBA", [(*RED, 255), (*RED, 0), (*BLACK, 51)]), "PNG"),
             [RED, WHITE, (204, 204, 204)]),
    "grey with alpha": (encoded(transparent("LA", [(80, 255), (80, 0), (0, 51)]), "PNG"),
                        [(80, 80, 80), WHITE, (204, 204, 204)]),
    "a palette with alphas": (palette(b"\xff\x00\xff"), [RED, WHITE, (0, 0, 255)]),
    "a palette with one transparent colour": (palette(2), [RED, (0, 255, 0), WHITE]),
    "a transparent colour": (png(np.array([[RED, (1, 2, 3)]], np.uint8), transparency=(1, 2, 3)),
                             [RED, WHITE]),
    "a transparent grey": (png(np.array([[7, 9]], np.uint8), transparency=9), [(7, 7, 7), WHITE]),
    "WebP": (encoded(transparent("RGBA", [(*RED, 255), (*RED, 0)]), "WEBP", lossless=True),
             [RED, WHITE]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "row"), TRANSPARENT.values(), ids=TRANSPARENT)
def test_transparent_pixels_lie_on_white(content: bytes, row):
    assert seen(content, 3) == [[list(pixel) for pixel in row]]
    luma = np.array(Image.fromarray(np.array([row], np.uint8)).convert("L"))
    assert seen(content) == luma.tolist()


TURNS = {
    1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T,
    6: np.rot90(GREY, -1), 7: GREY[::-1, ::-1].T, 8: np.rot90(GREY), 9: GREY,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_an_image_is_turned_as_exif_says(orientation: int, kind: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(GREY), kind, exif=exif, **more)
    assert seen(content) == TURNS[orientation].tolist()


def test_damaged_exif_does_not_cost_the_image():
    photo = encoded(Image.new("RGB", (16, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(photo, 3).shape == (3, 8, 16)


def test_the_orientation_of_a_deep_image_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = png(np.array([[0, 4000], [2000, 1000]], np.uint16), exif=exif)
    assert seen(content) == [[128, 0], [64, 255]]


def test_cmyk_is_read_as_colours():
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for kind, tolerance in (("TIFF", 0), ("JPEG", 3)):
        difference = decode(encoded(inks, kind), 3)[:, 4, 4] - torch.tensor(RED)
        assert difference.abs().max() <= tolerance, kind


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_the_image(kind: str):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLACK, WHITE)]
    more = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **more)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 3
    assert seen(content, 3) == [[list(RED)] * 4] * 4


KINDS = {
    "photo.bmp": "BMP", "photo.tif": "TIFF", "photo.PNG": "PNG", "photo.ppm": "PPM",
    "photo.gif": "GIF", "photo": "PNG", "photo.jpg": "PNG", "photo.png.part": "TIFF",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_contents_tell_the_format(tmp_path: Path, name: str, kind: str):
    (tmp_path / name).write_bytes(encoded(Image.fromarray(COLOURS), kind))
    assert (decode(tmp_path / name, 3).permute(1, 2, 0).numpy() == COLOURS).all()


@pytest.mark.parametrize(("name", "kind"), [("photo.avif", "AVIF"), ("photo.jfif", "JPEG")])
def test_lossy_formats_are_read(tmp_path: Path, name: str, kind: str):
    (tmp_path / name).write_bytes(encoded(Image.new("RGB", (16, 16), RED), kind))
    difference = decode(tmp_path / name, 3).int()[:, 8, 8] - torch.tensor(RED)
    assert difference.abs().max() <= 5


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_was_cut_is_damaged(tmp_path: Path, kind: str, share: float):
    path = tmp_path / "cut"
    content = encoded(Image.fromarray(NOISE), kind)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(NotAnImage, match=f"{path}: cannot be read as an image") as error:
        decode(path, 3)
    assert len(error.value.reason) > 10
    assert "\n" not in str(error.value)


STRANGE = {
    "text": (b"not found\n" * 10, "damaged from its start, or in no image format"),
    "empty": (b"", "the file is empty"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image format"),
    "a flipped bit": (png(NOISE)[:-2000] + b"\0\0" + png(NOISE)[-1998:], "."),
}


@pytest.mark.parametrize(("content", "reason"), STRANGE.values(), ids=STRANGE)
def test_what_is_no_image_is_named_with_the_reason(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(NotAnImage, match=rf"{path}: .*\(.*{reason}.*\); `famus-ray data check"):
        decode(path, 3)
    with pytest.raises(NotAnImage, match=rf"^{path.parent}/row 7: .*{reason}"):
        decode(content, 3, path.parent / "row 7")


def test_what_is_no_file_is_named_with_the_reason(tmp_path: Path):
    with pytest.raises(NotAnImage, match=r"a.png: cannot be read as an image \(no such file\)"):
        decode(tmp_path / "a.png", 3)
    with pytest.raises(NotAnImage, match=r"cannot be read as an image \(not a file\)"):
        decode(tmp_path, 3)


def of_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has this size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused():
    with pytest.raises(NotAnImage, match=r"refused for safety: Image size \(900000000 pixels\)"):
        decode(of_size(30_000, 30_000), 3)


NOISY = {
    "a palette with alphas": palette(b"\xff\x00\xff"),
    "damaged EXIF": encoded(Image.new("RGB", (8, 8)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09"),
    "a large image, cut": of_size(10_000, 10_000),
    "text": b"not found",
    "a cut TIFF": tiff(NOISE)[:3000],
}


@pytest.mark.parametrize("content", NOISY.values(), ids=NOISY)
def test_pillow_says_nothing_on_the_screen(content: bytes, capfd):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for channels in (1, 3):
            with suppress(NotAnImage):
                decode(content, channels)
    assert told == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_files_are_closed(tmp_path: Path):
    contents = {
        "whole.png": png(NOISE), "cut.png": png(NOISE)[:500], "text.png": b"text",
        "two.gif": encoded(Image.new("L", (9, 9)), "GIF", save_all=True,
                           append_images=[Image.new("L", (9, 9), 99)]),
        "map.tif": tiff(NOISE), "map.bmp": encoded(Image.fromarray(NOISE), "BMP"),
    }  # fmt: skip
    before = set(Path("/proc/self/fd").iterdir())
    kept = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        try:
            decode(tmp_path / name, 3)
        except NotAnImage as error:
            kept.append(error)  # with its frames, so that nothing is closed by chance
    assert len(kept) == 2
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_images_are_decoded_in_threads_without_warnings():
    found, content = [], palette(b"\xff\x00\xff")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        threads = [
            threading.Thread(target=lambda: found.extend(seen(content, 3) for _ in range(50)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == []
    assert found == [seen(content, 3)] * 200


def test_the_error_reaches_another_process_whole():
    error = NotAnImage(Path("a/b.png"), "the file is empty")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.reason) == (str(error), error.path, error.reason)
