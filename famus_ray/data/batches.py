"""The batches of an epoch: drawn for all workers together; each worker takes its rows.

So the examples of a step and their augmentation do not depend on the number of workers.
"""

# Shapes: B examples of the global batch, L = B / world size of them on this worker.
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from famus_ray.batch import Batch
from famus_ray.config.schema import Config, DataConfig
from famus_ray.data.augment import Views, augment, draw_views, normalise
from famus_ray.data.catalog import Dataset, Split
from famus_ray.data.image_files import FileViews, ImageFiles, ahead, draw_file_views
from famus_ray.distributed import rank, world_size
from famus_ray.errors import UserError
from famus_ray.randomness import epoch_generator

__all__ = ["EpochBatches", "draw", "eval_batches", "look_up", "on_disk", "rounds"]


_AHEAD = 2  # batches read from disk in advance
_SMALL = 64  # largest side in pixels of images that are evaluated 512 at a time


class EpochBatches:
    """Pairs of a train batch and a meta batch, one epoch at a time.

    The training set is shuffled every epoch, and its incomplete last batch is dropped. The meta
    set is repeated as often as needed. A method that needs no meta labels (CLID-MU) draws its
    meta batches from the training set, in another order.

    Args:
        data: the data set.
        config: the run's settings.
        network: index of the network, 0 or 1; each has an order of its own.

    Raises:
        UserError: the batch is larger than the training set.
    """

    def __init__(self, data: Dataset, config: Config, network: int = 0) -> None:
        self.data = data
        self.network = network
        self.config = config
        self.steps = len(data.train) // config.run.batch_size
        if self.steps == 0:
            raise UserError(
                f"run.batch_size = {config.run.batch_size}: more than the "
                f"{len(data.train)} training examples"
            )
        self.judges = data.train if config.method.declaration.judges == "train" else data.meta
        wanted = config.meta.batch_size or config.run.batch_size
        self.meta_size = min(wanted, len(self.judges)) // world_size() * world_size()
        if len(self.judges) and self.meta_size == 0:
            raise UserError(
                f"meta.batch_size = {wanted}: the meta set has {len(self.judges)} examples, "
                f"too few for scale.workers = {world_size()}"
            )

    def epoch(self, epoch: int, *, with_meta: bool) -> Iterator[tuple[Batch, Batch | None]]:
        """This worker's share of the batches of an epoch (from 0), normalised, on its device.

        Yields pairs of a train batch (images (L, channels, H, W), labels (L,)) and a meta batch,
        or None without `with_meta`.
        """
        train = self._stream(self.data.train, self.config.run.batch_size, "train", epoch)
        if not with_meta:
            yield from ((batch, None) for batch in train)
            return
        meta = self._stream(self.judges, self.meta_size, "meta", epoch)
        yield from zip(train, meta, strict=True)

    def _stream(self, split: Split, size: int, purpose: str, epoch: int) -> Iterator[Batch]:
        if self.network:
            purpose = f"{purpose}/{self.network}"
        generator = epoch_generator(self.config.run.seed, purpose, epoch)
        local = size // world_size()
        rows = slice(rank() * local, (rank() + 1) * local)
        order = rounds(len(split), self.steps * size, generator)
        data = self.config.data

        def loads() -> Iterator[Callable[[], Batch]]:
            for step in range(self.steps):
                views = draw(size, split, data, generator)
                chosen = order[step * size : (step + 1) * size][rows]
                yield partial(look_up, split, chosen, data, views and views[rows])

        for pixels, labels in ahead(loads(), _AHEAD if on_disk(split) else 0):
            yield normalise(pixels, self.data.mean, self.data.std), labels


def eval_batches(data: Dataset, split: Split) -> Iterator[Batch]:
    """Batches of a split in its own order, normalised, without augmentation."""
    size = 512 if split.pixels.shape[-1] <= _SMALL else 64
    places = torch.arange(len(split)).split(size) if len(split) else ()
    loads = (partial(look_up, split, part, DataConfig()) for part in places)
    for pixels, labels in ahead(loads, _AHEAD if on_disk(split) else 0):
        yield normalise(pixels, data.mean, data.std), labels


def on_disk(split: Split) -> bool:
    """Whether the images of a split are read from disk for every batch."""
    return isinstance(split.pixels, ImageFiles)


def draw(
    count: int, split: Split, data: DataConfig, generator: torch.Generator
) -> Views | FileViews | None:
    """Random views of `count` examples of a split; None without augmentation."""
    if on_disk(split):
        return None if data.augment == "none" else draw_file_views(count, generator)
    return draw_views(count, data, generator)


def look_up(
    split: Split, places: Tensor, data: DataConfig, views: Views | FileViews | None = None
) -> Batch:
    """uint8 images (B, channels, H, W) and labels (B,) at `places` (B,) of a split."""
    index = places.to(split.labels.device, non_blocking=True)
    labels = split.labels[index]
    if isinstance(split.pixels, ImageFiles):
        assert views is None or isinstance(views, FileViews)
        return split.pixels.load(places, views), labels
    assert views is None or isinstance(views, Views)
    return augment(split.pixels[index], views, data.crop_padding), labels


def rounds(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    """Indices (wanted,) from as many shuffled passes over `count` examples as needed."""
    passes = -(-wanted // count)
    return torch.cat([torch.randperm(count, generator=generator) for _ in range(passes)])[:wanted]
