"""Images that stay on disk: decoded, cropped and stacked for each batch.

`ImageFiles` takes the place of a uint8 tensor (N, C, S, S) of data in memory. It loads any indices
in any order, so a batch does not depend on which worker reads it.
"""

# Shapes: N examples, B of them in a batch, C channels, S pixels per side, K random numbers per
# example.
from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from famus_ray.config.schema import DataConfig
from famus_ray.data.damaged import DamagedImages, decoders, with_progress
from famus_ray.data.decode import NotAnImage, decode
from famus_ray.data.images import Paths
from famus_ray.errors import UserError
from famus_ray.memory import free_memory, in_gib

__all__ = ["FileViews", "ImageFiles", "ahead", "draw_file_views", "resized_crop_box"]

T = TypeVar("T")

_ATTEMPTS = 10
_LEAST_AREA = 0.08
_RATIOS = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class FileViews:
    """Random numbers (B, K) in [0, 1) that determine the crop and flip of each image."""

    numbers: Tensor

    def __getitem__(self, rows: slice | Tensor) -> FileViews:
        return FileViews(self.numbers[rows])


def draw_file_views(count: int, generator: torch.Generator) -> FileViews:
    """Random views of `count` images.

    The K numbers of an image are top, left and flip, then the areas of all attempts, then their
    ratios.
    """
    return FileViews(torch.rand(count, 3 + 2 * _ATTEMPTS, generator=generator))


_CPU = torch.device("cpu")


@dataclass(frozen=True)
class ImageFiles:
    """uint8 images (N, C, S, S) on disk, read on demand.

    Attributes:
        paths: the files.
        data: section of the config with `channels`, `resize`, `image_size`, `augment` and
            `crop_padding`.
        device: of the loaded images.
    """

    paths: Paths
    data: DataConfig
    device: torch.device = _CPU

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        assert self.data.image_size is not None
        return len(self), self.data.channels, self.data.image_size, self.data.image_size

    def to(self, device: torch.device) -> ImageFiles:
        return replace(self, device=device)

    def __getitem__(self, rows: slice | Tensor) -> ImageFiles:
        places = np.arange(len(self))[rows.cpu().numpy() if isinstance(rows, Tensor) else rows]
        return replace(self, paths=self.paths[places])

    def read_all(self) -> Tensor:
        """All images without augmentation: uint8 (N, C, S, S), in memory.

        Raises:
            DamagedImages: files that are missing, damaged or no images; it names them all.
            UserError: the images need more memory than is free.
        """
        needed = math.prod(self.shape)
        if needed > (free := free_memory()):
            raise UserError(
                f"data.storage = memory: {len(self)} images of {self.shape[-1]} pixels take "
                f"{in_gib(needed)}, and {in_gib(free)} are free; set data.storage=disk, or lower "
                "data.image_size"
            )
        pixels = torch.empty(self.shape, dtype=torch.uint8)
        damaged: list[NotAnImage] = []
        parts = torch.arange(len(self)).split(1024) if len(self) else ()
        for part in with_progress(parts, len(self), "reading images"):
            for place, image in zip(part.tolist(), self._load(part), strict=True):
                if isinstance(image, NotAnImage):
                    # a new one: the traceback of the first holds the image's memory
                    damaged.append(NotAnImage(image.path, image.reason))
                else:
                    pixels[place] = image
        if damaged:
            raise DamagedImages(damaged, self.data.root)
        return pixels

    def load(self, index: Tensor, views: FileViews | None = None) -> Tensor:
        """uint8 images (B, C, S, S) at the indices `index` (B,); centre crops without views.

        Raises:
            NotAnImage: a file that is missing, damaged or no image.
        """
        images = []
        for image in self._load(index, views):
            if isinstance(image, NotAnImage):
                raise image
            images.append(image)
        return torch.stack(images).to(self.device, non_blocking=True)

    def _load(
        self, index: Tensor, views: FileViews | None = None
    ) -> Iterator[Tensor | NotAnImage]:  # fmt: skip
        chosen = self.paths[index.cpu().numpy()]
        numbers = [None] * len(index) if views is None else list(views.numbers.numpy())

        def one(place: int) -> Tensor | NotAnImage:
            file, path = chosen.encoded(place), chosen.path(place)
            try:
                image = decode(file, self.data.channels, path)
            except NotAnImage as error:
                return error
            return _seen(image, self.data, numbers[place])

        return decoders().map(one, range(len(index)))


def ahead(calls: Iterator[Callable[[], T]], depth: int) -> Iterator[T]:
    """The results of `calls` in order; `depth` calls run ahead in a background thread."""
    if depth == 0:
        yield from (call() for call in calls)
        return
    pool = ThreadPoolExecutor(1, "batches")
    try:
        waiting: deque[Future[T]] = deque()
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def resized_crop_box(
    height: int, width: int, numbers_K: NDArray[np.float32]
) -> tuple[int, int, int, int]:
    """Top, left, height and width in pixels of a RandomResizedCrop (Szegedy et al. 2015).

    It has 8 to 100 % of the area and a ratio of 3/4 to 4/3: the first of ten attempts that fits,
    else the centre crop.

    Args:
        height, width: of the image in pixels.
        numbers_K: random numbers in [0, 1) from `draw_file_views`.
    """
    areas, ratios = numbers_K[3:].reshape(2, _ATTEMPTS).astype(np.float64)
    areas = height * width * (_LEAST_AREA + (1 - _LEAST_AREA) * areas)
    low, high = np.log(_RATIOS)
    ratios = np.exp(low + (high - low) * ratios)
    widths = np.rint(np.sqrt(areas * ratios)).astype(int)
    heights = np.rint(np.sqrt(areas / ratios)).astype(int)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    if not fits.any():
        h = min(height, round(width / _RATIOS[0]))
        w = min(width, round(height * _RATIOS[1]))
        return (height - h) // 2, (width - w) // 2, h, w
    first = int(fits.argmax())
    h, w = int(heights[first]), int(widths[first])
    return int(numbers_K[0] * (height - h + 1)), int(numbers_K[1] * (width - w + 1)), h, w


def _seen(image: Tensor, data: DataConfig, numbers_K: NDArray[np.float32] | None) -> Tensor:
    """One image (C, S, S): augmented, or the centre crop if `numbers_K` is None."""
    from torchvision.transforms.v2 import functional as tv

    size = data.image_size
    assert size is not None
    if data.resize is not None:
        image = tv.resize(image, [data.resize], antialias=True)
    if data.augment == "none":
        numbers_K = None
    if numbers_K is not None and data.augment == "resized_crop":
        box = resized_crop_box(image.shape[1], image.shape[2], numbers_K)
        image = tv.resized_crop(image, *box, size=[size, size], antialias=True)
    else:
        if min(image.shape[1:]) < size:
            image = tv.resize(image, [size], antialias=True)
        if numbers_K is not None:
            image = tv.pad(image, [data.crop_padding])
            top = int(numbers_K[0] * (image.shape[1] - size + 1))
            left = int(numbers_K[1] * (image.shape[2] - size + 1))
            image = tv.crop(image, top, left, size, size)
        else:
            image = tv.center_crop(image, [size, size])
    if numbers_K is not None and data.augment != "shift" and numbers_K[2] < 0.5:
        image = tv.horizontal_flip(image)
    return image.contiguous()
