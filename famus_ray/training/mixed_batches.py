"""Mixed batches of a divided training set: two views of labelled and of unlabelled examples.

As in `data.batches`, pairs and augmentations are drawn for the global batch: they do not depend
on the number of workers. A row's partner may belong to another worker: this worker then reads
the partner's pixels, too, and the workers exchange targets.
"""

# Shapes: S examples of each half in the global batch, 4S rows of it; R rows of this worker.
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from famus_ray.batch import Batch
from famus_ray.config.schema import Config, DataConfig
from famus_ray.data.augment import Views, normalise
from famus_ray.data.batches import draw, look_up, on_disk, rounds
from famus_ray.data.catalog import Dataset, Split
from famus_ray.data.image_files import FileViews, ahead
from famus_ray.distributed import all_reduce_sum_, rank, world_size
from famus_ray.randomness import epoch_generator
from famus_ray.training.division import Division

__all__ = ["MixedBatches", "Targets", "steps_of"]

Targets = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def steps_of(division: Division, config: Config) -> int:
    """Steps of an epoch: one pass over the labelled examples, the last batch filled up."""
    return -(-len(division.labelled) // config.run.batch_size)


@dataclass(frozen=True)
class MixedBatches:
    """The batches of one network's epoch.

    Attributes:
        data: the data set.
        config: the run's settings.
        division: the peer's division of the training set.
        targets: function that returns the targets (R, C + 1) of this worker's rows. Its
            arguments are the inputs of the rows (four equal blocks: labelled, a second view of
            them, unlabelled, a second view of them), labels and p(clean) of the labelled
            examples, and the share in [0, 1] of the epoch that is done.
        purpose: seeds this network's random numbers, different from its peer's.
    """

    data: Dataset
    config: Config
    division: Division
    targets: Targets
    purpose: str

    def epoch(self, epoch: int, *, with_meta: bool) -> Iterator[tuple[Batch, Batch | None]]:
        """This worker's share of the mixed train batches and, if wanted, of mixed batches of
        the pseudo-clean meta set."""
        steps = steps_of(self.division, self.config)
        trains = self._train(epoch, steps)
        if not with_meta:
            yield from ((batch, None) for batch in trains)
            return
        yield from zip(trains, self._meta(epoch, steps), strict=True)

    def _train(self, epoch: int, steps: int) -> Iterator[Batch]:
        size = self.config.run.batch_size
        generator = epoch_generator(self.config.run.seed, f"mixed/{self.purpose}", epoch)
        labelled = _pass(self.division.labelled, steps * size, generator).split(size)
        unlabelled = _pass(self.division.unlabelled, steps * size, generator).split(size)
        p_clean_N = torch.from_numpy(self.division.p_clean_N).to(torch.get_default_dtype())
        local = size // world_size()
        chosen = (torch.cat([x, x, u, u]) for x, u in zip(labelled, unlabelled, strict=True))
        loaded = self._load(chosen, _own_rows(size, blocks=4), 4 * size, generator)
        for step, (mixing, inputs, labels) in enumerate(loaded):
            own, other = mixing.places.to(inputs.device).chunk(2)
            p_clean_S = p_clean_N[mixing.chosen[mixing.own_R[:local]]].to(inputs.device)
            targets = self.targets(inputs[own], labels[own][:local], p_clean_S, step / steps)
            partners = _gather(targets, mixing.own_R, 4 * size)[mixing.partner_R.to(inputs.device)]
            yield mixing.mix(inputs[own], inputs[other]), mixing.mix_targets(targets, partners)

    def _meta(self, epoch: int, steps: int) -> Iterator[Batch]:
        size = self.config.meta.batch_size or self.config.run.batch_size
        size = max(size // world_size(), 1) * world_size()
        generator = epoch_generator(self.config.run.seed, f"mixed meta/{self.purpose}", epoch)
        chosen = iter(_pass(self.division.meta, steps * size, generator).split(size))
        for mixing, inputs, labels in self._load(chosen, _own_rows(size), size, generator):
            own, other = mixing.places.to(inputs.device).chunk(2)
            targets = F.one_hot(labels, self.data.classes).to(inputs.dtype)
            yield mixing.mix(inputs[own], inputs[other]), mixing.mix(targets[own], targets[other])

    def _load(
        self, batches: Iterator[Tensor], own_R: Tensor, count: int, generator: torch.Generator
    ) -> Iterator[tuple[Mixing, Tensor, Tensor]]:
        """The mixing of each batch, with inputs and labels of the rows that it needs."""
        split, settings = self.data.train, self.config.data
        seed = int(torch.randint(2**62, (), generator=generator))
        rng = np.random.default_rng(seed)

        def loads() -> Iterator[Callable[[], tuple[Mixing, Batch]]]:
            for chosen in batches:
                views = draw(count, split, settings, generator)
                partner_R = torch.randperm(count, generator=generator)[own_R]
                drawn = float(rng.beta(self.config.pipeline.alpha, self.config.pipeline.alpha))
                mixing = Mixing(chosen, own_R, partner_R, max(drawn, 1 - drawn))
                rows = mixing.rows
                rows_views = views[rows] if views else None
                yield partial(_look_up, mixing, split, chosen[rows], settings, rows_views)

        for mixing, (pixels, labels) in ahead(loads(), 2 if on_disk(split) else 0):
            yield mixing, normalise(pixels, self.data.mean, self.data.std), labels


class Mixing:
    """The mixing of a batch: a partner in the global batch for every row of this worker.

    Attributes:
        chosen: index in the training set of every row of the global batch.
        own_R: this worker's rows.
        partner_R: the row that each of them is mixed with.
        share: weight of the own row, max(lambda, 1 - lambda) with lambda from Beta(alpha, alpha).
        rows: the rows that this worker needs, without duplicates.
        places: (2R,) positions in `rows` of its own rows, then of their partners.
    """

    def __init__(self, chosen: Tensor, own_R: Tensor, partner_R: Tensor, share: float) -> None:
        self.chosen, self.own_R, self.partner_R, self.share = chosen, own_R, partner_R, share
        needed = torch.cat([own_R, partner_R])
        self.rows, self.places = torch.unique(needed, return_inverse=True)

    def mix(self, own: Tensor, partners: Tensor) -> Tensor:
        return self.share * own + (1 - self.share) * partners

    def mix_targets(self, own: Tensor, partners: Tensor) -> Tensor:
        """Mixed targets (R, C + 1): probabilities are mixed, the last column, the kind of loss, is
        the own row's."""
        return torch.cat([self.mix(own, partners)[:, :-1], own[:, -1:]], dim=1)


def _look_up(
    mixing: Mixing, split: Split, places: Tensor, data: DataConfig, views: Views | FileViews | None
) -> tuple[Mixing, Batch]:
    return mixing, look_up(split, places, data, views)


def _own_rows(size: int, blocks: int = 1) -> Tensor:
    """This worker's rows of a global batch of `blocks` blocks of `size` rows: a share of each."""
    local = size // world_size()
    first = torch.arange(rank() * local, (rank() + 1) * local)
    return torch.cat([first + block * size for block in range(blocks)])


def _pass(members: np.ndarray, wanted: int, generator: torch.Generator) -> Tensor:
    """`wanted` of these indices, in as many shuffled passes over them as needed."""
    return torch.from_numpy(members)[rounds(len(members), wanted, generator)]


def _gather(rows: Tensor, places: Tensor, count: int) -> Tensor:
    """The rows (count, ...) of all processes, in the order of the global batch."""
    if world_size() == 1:
        return rows
    everyones = rows.new_zeros(count, *rows.shape[1:])
    everyones[places.to(rows.device)] = rows
    all_reduce_sum_([everyones])
    return everyones
