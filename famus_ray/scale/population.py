"""Population based training (Jaderberg et al. 2017): settings that change during training.

Every few epochs the trials of the poorest quarter end. In place of each a child of a trial of the
best quarter continues from its parent's checkpoint of that epoch, with perturbed learning rates.
"""

from __future__ import annotations

import math
import random
import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from famus_ray.config.schema import Config
from famus_ray.files import write_text
from famus_ray.randomness import epoch_seed
from famus_ray.records.run_folder import RunFolder, config_text
from famus_ray.scale.seeded import seed_configs, seed_folders
from famus_ray.spaces.ranges import FloatRange, Range
from famus_ray.spaces.study_checks import TRIALS_PER_CHILD, changes_in_run
from famus_ray.store import download, upload_folder

__all__ = ["Population", "continue_from"]

Child = tuple[int, int, dict[str, Any]]  # parent, epoch of its checkpoint, settings

_FACTOR = 1.5  # largest; with the paper's two factors, 0.8 and 1.2, siblings could be equal


class Population:
    """The ranking of the trials at each epoch of exploitation, and the children to start.

    Args:
        config: the base config of the study.
        ranges: of the space, by setting.
    """

    def __init__(self, config: Config, ranges: Mapping[str, Range]) -> None:
        self._seed, self._every = config.study.seed, config.study.exploit_every
        self._last, self._method = config.schedule.epochs, config.method.name
        self._ranges = ranges
        self._values: dict[int, dict[int, float]] = {}  # by epoch and trial
        self._poor: dict[int, int] = {}  # trials that should end, and the epoch
        self._due: deque[int] = deque()  # epochs from which children continue

    @property
    def due(self) -> int:
        """The number of children to start now."""
        return len(self._due)

    def reported(self, number: int, epoch: int, value: float) -> bool:
        """Whether the trial is in the poorest quarter at this epoch and should end."""
        self._poor.pop(number, None)  # after a crash it was continued
        if epoch % self._every or epoch >= self._last:
            return False
        values = self._values.setdefault(epoch, {})
        values[number] = value if math.isfinite(value) else -math.inf  # not finite: ranked last
        if number in self._going_on(epoch):
            return False
        self._poor[number] = epoch
        return True

    def needed(self, epoch: int) -> float:
        """The least value that goes on at this epoch."""
        return self._values[epoch][self._going_on(epoch)[-1]]

    def ended(self, number: int) -> None:
        """Records that a trial has ended; one of the poorest quarter is replaced by a child."""
        if number in self._poor:
            self._due.append(self._poor.pop(number))

    def child(self, number: int, settings: Mapping[int, Mapping[str, Any]]) -> Child:
        """Parent, epoch and settings of the next child.

        Args:
            number: of the child.
            settings: of all trials, by number.
        """
        epoch = self._due[0]
        draw = random.Random(epoch_seed(self._seed, "exploit", number))  # noqa: S311
        best = self._rank(epoch)
        parent = draw.choice(best[: max(1, len(best) // TRIALS_PER_CHILD)])
        own = settings[parent]
        may_change = changes_in_run(own.get("method.name", self._method))
        perturbed = {k: self._perturbed(k, v, draw) for k, v in own.items() if k in may_change}
        return parent, epoch, {**own, **perturbed}

    def born(self) -> None:
        """Records that the next child has started."""
        self._due.popleft()

    def _going_on(self, epoch: int) -> list[int]:
        """The trials that are not in the poorest quarter, the best first."""
        rank = self._rank(epoch)
        return rank[: len(rank) - len(rank) // TRIALS_PER_CHILD]

    def _rank(self, epoch: int) -> list[int]:
        values = self._values[epoch]
        return sorted(values, key=lambda number: (-values[number], number))

    def _perturbed(self, name: str, value: Any, draw: random.Random) -> Any:
        entry = self._ranges.get(name)
        if not isinstance(entry, FloatRange) or entry.step:
            return value
        return min(max(value * _FACTOR ** draw.uniform(-1, 1), entry.low), entry.high)


def continue_from(parent: Path, child: Path, epoch: int, config: Config) -> None:
    """Creates a child's run folder, one per seed, with its parent's state of `epoch`.

    The config is the child's own; a run that continues from the parent's checkpoint takes its
    learning rates from the config.

    Args:
        parent, child: folders of the trials.
        epoch: completed epochs.
        config: the child's.
    """
    for one, there, here in zip(
        seed_configs(config), seed_folders(config, parent), seed_folders(config, child), strict=True
    ):
        download(there, heavy=True)
        old, new = RunFolder(there), RunFolder(here)
        (here / "checkpoints").mkdir(parents=True, exist_ok=True)
        for name in ("manifest.json", "labels.parquet"):
            shutil.copyfile(there / name, here / name)
        write_text(here / "config.yaml", config_text(one))
        new.write_curves(old.read_curves(epoch))
        shutil.copyfile(old.kept(epoch) / "best.pt", new.best)
        shutil.copyfile(old.kept(epoch) / "last.pt", new.last)
        upload_folder(here)
