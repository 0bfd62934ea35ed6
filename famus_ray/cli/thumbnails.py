"""Small pictures of training examples, for pages that show them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from famus_ray.config.resolve import resolve
from famus_ray.data.batches import look_up
from famus_ray.data.catalog import load_dataset
from famus_ray.errors import UserError
from famus_ray.records.folders import load_manifest

__all__ = ["thumbnails"]


def thumbnails(run: Path, ids: Sequence[int]) -> dict[int, bytes]:
    """The contents of PNG files of a run's training examples, by id, read from its data set.

    Raises:
        UserError: the data set is missing, or has changed since the run.
    """
    from PIL import Image

    config = resolve(run / "config.yaml").config
    on_disk = config.data.model_copy(update={"storage": "disk"})  # reads only the shown images
    data = load_dataset(on_disk, config.noise, config.run.seed)
    if data.fingerprint != load_manifest(run)["data"]["fingerprint"]:
        raise UserError(f"{config.data.root}: not the data that {run} was trained on")
    place_of = dict(zip(data.train.ids.tolist(), range(len(data.train)), strict=True))
    places = torch.tensor([place_of[i] for i in ids], dtype=torch.int64)
    pixels, _ = look_up(data.train, places, on_disk)
    found = {}
    for i, image in zip(ids, pixels.numpy(), strict=True):
        picture = image[0] if len(image) == 1 else np.moveaxis(image, 0, 2)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG", optimize=True)
        found[i] = file.getvalue()
    return found
