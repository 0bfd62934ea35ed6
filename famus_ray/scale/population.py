"""Population based training (Jaderberg et al. 2017): settings that change while a run goes on.

Every few epochs a trial of the poorest quarter ends, and a child of one of the best quarter goes on
in its place: from the best one's checkpoint of that epoch, with learning rates perturbed.
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
from famus_ray.spaces.study_checks import QUARTER, changes_in_run

__all__ = ["Population", "continue_from"]

Child = tuple[int, int, dict[str, Any]]  # parent, the epoch that it goes on from, settings

_FACTOR = 1.5  # the widest; the paper's two, 0.8 and 1.25, would make twins of siblings


class Population:
    """Who is poor and who is good at each epoch of exploitation, and the children to be born.

    Args:
        ranges: of the space.
    """

    def __init__(self, config: Config, ranges: Mapping[str, Range]) -> None:
        self._seed, self._every = config.study.seed, config.study.exploit_every
        self._last, self._method = config.schedule.epochs, config.method.name
        self._ranges = ranges
        self._values: dict[int, dict[int, float]] = {}  # by epoch and trial
        self._poor: dict[int, int] = {}  # trials that were told to end, and the epoch
        self._due: deque[int] = deque()  # epochs at which children go on

    @property
    def due(self) -> int:
        """Children to be born now."""
        return len(self._due)

    def reported(self, number: int, epoch: int, value: float) -> bool:
        """Whether the trial is one of the poorest quarter at this epoch, and ends."""
        self._poor.pop(number, None)  # it went on, after a crash
        if epoch % self._every or epoch >= self._last:
            return False
        values = self._values.setdefault(epoch, {})
        values[number] = value if math.isfinite(value) else -math.inf  # a failed judgement is last
        if self._rank(epoch).index(number) < len(values) - len(values) // QUARTER:
            return False
        self._poor[number] = epoch
        return True

    def ended(self, number: int) -> None:
        """A trial is over; if because it was poor, a child takes its place."""
        if number in self._poor:
            self._due.append(self._poor.pop(number))

    def child(self, number: int, settings: Mapping[int, Mapping[str, Any]]) -> Child:
        """The next child.

        Args:
            number: that the child will have.
            settings: of all trials, by number.
        """
        epoch = self._due[0]
        draw = random.Random(epoch_seed(self._seed, "exploit", number))  # noqa: S311
        best = self._rank(epoch)
        parent = draw.choice(best[: max(1, len(best) // QUARTER)])
        own = settings[parent]
        may_change = changes_in_run(own.get("method.name", self._method))
        perturbed = {k: self._perturbed(k, v, draw) for k, v in own.items() if k in may_change}
        return parent, epoch, {**own, **perturbed}

    def born(self) -> None:
        """The next child has been handed out."""
        self._due.popleft()

    def _rank(self, epoch: int) -> list[int]:
        values = self._values[epoch]
        return sorted(values, key=lambda number: (-values[number], number))

    def _perturbed(self, name: str, value: Any, draw: random.Random) -> Any:
        entry = self._ranges.get(name)
        if not isinstance(entry, FloatRange) or entry.step:
            return value
        return min(max(value * _FACTOR ** draw.uniform(-1, 1), entry.low), entry.high)


def continue_from(parent: Path, child: Path, epoch: int, config: Config) -> None:
    """Make a child's run folder, one a seed, as if it had come to `epoch` with its own settings.

    The checkpoint is the parent's: the run that goes on from it takes its rates from its settings.
    """
    for one, there, here in zip(
        seed_configs(config), seed_folders(config, parent), seed_folders(config, child), strict=True
    ):
        old, new = RunFolder(there), RunFolder(here)
        (here / "checkpoints").mkdir(parents=True, exist_ok=True)
        for name in ("manifest.json", "labels.parquet"):
            shutil.copyfile(there / name, here / name)
        write_text(here / "config.yaml", config_text(one))
        new.write_curves(old.read_curves(epoch))
        shutil.copyfile(old.kept(epoch) / "best.pt", new.best)
        shutil.copyfile(old.kept(epoch) / "last.pt", new.last)
