"""The pipeline without clean data: two networks divide the training set for each other.

Section 5.3 and Algorithm 2 of the supplement, after DivideMix (Li et al. 2020). After a warm-up
with cross-entropy on all data, each epoch has two parts: every network divides the training set
by its losses, then every network takes its method's step on mixed batches of its peer's division.
"""

# Shapes: B examples, C classes, N training examples.
from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.config.schema import Config
from famus_ray.data.balanced import epoch_data
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import Dataset
from famus_ray.distributed import among, world_size
from famus_ray.errors import Diverged
from famus_ray.meta.heads import MeanCrossEntropy
from famus_ray.meta.step import PlainStep
from famus_ray.methods.mixmatch import guess, mixed_targets, refine
from famus_ray.models.modes import eval_mode
from famus_ray.training.division import Division, divide
from famus_ray.training.evaluation import judge, samples_frame
from famus_ray.training.halves import Halves
from famus_ray.training.learner import Learner, new_learner
from famus_ray.training.mixed_batches import MixedBatches, Targets, steps_of
from famus_ray.training.one_network import OnStep

Pairs = Iterator[tuple[Batch, Batch | None]]

__all__ = ["Ensemble", "TwoNetworks", "ramp_up"]


class Ensemble(nn.Module):
    """The log of the networks' mean probabilities: the logits (B, C) of their ensemble."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, inputs: Tensor) -> Tensor:
        logs = torch.stack([torch.log_softmax(net(inputs), dim=1) for net in self.networks])
        return torch.logsumexp(logs, dim=0) - float(np.log(len(self.networks)))


class ConfidencePenalty(MeanCrossEntropy):
    """Cross-entropy minus the entropy of the predictions, in nats (Pereyra et al. 2017)."""

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        logs_BC = torch.log_softmax(logits_BC, dim=1)
        negative_entropy = (logs_BC.exp() * logs_BC).sum(dim=1).mean() / world_size()
        return super().forward(logits_BC, targets) + negative_entropy


class TwoNetworks:
    """The procedure for two networks, which start from different seeds and train each other."""

    def __init__(self, config: Config, data: Dataset, device: torch.device) -> None:
        self.config, self.data = config, data
        self.part = data  # the examples of the current epoch
        self.learners = [new_learner(config, data, device, network=k) for k in (0, 1)]
        self.predictor: nn.Module = Ensemble([learner.model for learner in self.learners])
        self.divisions: list[pd.DataFrame] = []
        self._last: list[Division] = []
        models = [learner.model for learner in self.learners]
        self._peers = models[::-1]  # of each network, the one whose predictions it uses
        self._at_once = config.pipeline.networks == "at_once"
        self._halves = Halves() if self._at_once and world_size() > 1 else None
        self._warmup = PlainStep(
            ConfidencePenalty() if config.pipeline.warmup_penalty else MeanCrossEntropy()
        )

    def train_epoch(self, epoch: int, on_step: OnStep) -> dict[str, float]:
        """Trains both networks, one after the other or at once; returns the mean metrics."""
        self.part = epoch_data(self.data, self.config, epoch)
        if epoch < self.config.pipeline.warmup:
            steps = [EpochBatches(self.part, self.config).steps] * 2
        else:
            self._divide(self.part, epoch)
            steps = [steps_of(self._last[1 - k], self.config) for k in (0, 1)]
        if self._halves is not None:
            mine = self._halves.mine
            with among(self._halves.group):
                trained = self._train(
                    self.learners[mine], epoch, lambda step: on_step(epoch + 1, step, steps[mine])
                )
            found = self._halves.exchange(self.learners, trained)
        else:
            found = self._train_both(epoch, steps, on_step)
        return {name: (found[0][name] + found[1][name]) / 2 for name in found[0]} | self._told(
            epoch
        )

    def _train_both(self, epoch: int, steps: list[int], on_step: OnStep) -> list[dict[str, float]]:
        """Trains one network after the other and returns the metrics of both.

        The second uses the first's predictions: with `networks: at_once` those from before this
        epoch, else those after it.
        """
        first = self.learners[0].model
        self._peers[1] = copy.deepcopy(first) if self._at_once else first
        found = []
        for k, learner in enumerate(self.learners):
            done, total = sum(steps[:k]), sum(steps)

            def tell(step: int, done: int = done, total: int = total) -> None:
                on_step(epoch + 1, done + step, total)

            found.append(self._train(learner, epoch, tell))
        return found

    def _train(self, learner: Learner, epoch: int, on_step: Any) -> dict[str, float]:
        if epoch < self.config.pipeline.warmup:
            batches = EpochBatches(self.part, self.config, learner.network)
            pairs = batches.epoch(epoch, with_meta=False)
            return learner.train(self.config, self.part, epoch, pairs, on_step, self._warmup)
        pairs = self._mixed(learner, epoch, self._last[1 - learner.network])
        return learner.train(self.config, self.part, epoch, pairs, on_step)

    def _mixed(self, learner: Learner, epoch: int, division: Division) -> Pairs:
        targets = self._targets(learner, epoch)
        batches = MixedBatches(self.part, self.config, division, targets, str(learner.network))
        return batches.epoch(epoch, with_meta=learner.step.needs_meta_batch)

    def rehearsal(self) -> tuple[Pairs, int]:
        """Mixed batches as if one half of the examples were labelled, and an epoch's steps."""
        self.part = epoch_data(self.data, self.config, self.config.pipeline.warmup)
        alike_N = np.full(len(self.part.train), 0.5)
        division = divide(alike_N, alike_N, self.config.division, self.config.run.batch_size)
        steps = 2 * steps_of(division, self.config)
        return self._mixed(self.learners[0], self.config.pipeline.warmup, division), steps

    def _targets(self, learner: Learner, epoch: int) -> Targets:
        """The function of `MixedBatches` that refines and guesses with the current networks."""
        model, peer = learner.model, self._peers[learner.network]
        pipeline = self.config.pipeline

        @torch.no_grad()
        def targets(inputs: Tensor, labels: Tensor, p_clean: Tensor, done: float) -> Tensor:
            since = epoch - pipeline.warmup + done
            weight = ramp_up(pipeline.lambda_u, since, pipeline.rampup)
            with eval_mode(model), eval_mode(peer):
                own = torch.softmax(model(inputs), dim=1).chunk(4)
                other = torch.softmax(peer(inputs[len(inputs) // 2 :]), dim=1).chunk(2)
            refined = refine(labels, p_clean, (own[0], own[1]), pipeline.temperature)
            guessed = guess((own[2], own[3], *other), pipeline.temperature)
            return mixed_targets(refined.repeat(2, 1), guessed.repeat(2, 1), weight)

        return targets

    def divide(self, epoch: int) -> None:
        """Divides the training set by each network's losses.

        Raises:
            Diverged: a loss is not finite.
        """
        self._divide(self.data, epoch)

    def divides_after(self, epoch: int) -> bool:
        """Whether all epochs are completed: the others begin with a division."""
        return epoch == self.config.schedule.epochs

    def _divide(self, data: Dataset, epoch: int) -> None:
        self._last = []
        for learner in self.learners:
            found = judge(learner.model, data, learner.step.head)
            p_clean_N = found.p_clean(self.config.division, self.config.run.seed)
            if not np.isfinite(p_clean_N).all():
                raise Diverged(
                    f"epoch {epoch + 1}: network {learner.network}: losses over the training set "
                    "are not finite, nothing can be divided by them"
                )
            batch = self.config.run.batch_size
            self._last.append(divide(p_clean_N, found.losses_N, self.config.division, batch))
            frame = samples_frame(data, found, p_clean_N, epoch, learner.network)
            self.divisions.append(frame)

    def _told(self, epoch: int) -> dict[str, float]:
        """Metrics of the divisions: shares of the training set in [0, 1], means of both networks;
        and the number of fallbacks."""
        if epoch < self.config.pipeline.warmup:
            return {}
        count = len(self.part.train)
        return {
            "division/labelled": float(np.mean([len(d.labelled) / count for d in self._last])),
            "division/meta": float(np.mean([len(d.meta) / count for d in self._last])),
            "division/fallbacks": float(sum(bool(d.fallback) for d in self._last)),
        }

    def state_dict(self) -> dict[str, Any]:
        """The first network's state as of one network, and the second's under `peer`."""
        return {**self.learners[0].state_dict(), "peer": self.learners[1].state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learners[0].load_state_dict(state)
        self.learners[1].load_state_dict(state["peer"])


def ramp_up(weight: float, epochs: float, length: int) -> float:
    """`weight` times a factor that rises linearly from 0 to 1 over `length` epochs (DivideMix).

    Args:
        weight: at the end of the rise.
        epochs: since the rise began; fractions count.
        length: epochs of the rise; 0 for none.
    """
    return weight * min(max(epochs / length, 0.0), 1.0) if length else weight
