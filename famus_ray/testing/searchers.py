"""A check of the contract of searchers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from famus_ray.scale.reports import Report
from famus_ray.scale.search import Search
from famus_ray.spaces.space import Space, load_space

__all__ = ["check_sampler"]

_TRIALS = 6
_SPACE = """\
preset: digits
settings: {method: famus, schedule: {epochs: 2}}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}
  meta.k: {type: int, low: 1, high: 4}
  meta.grouping: {type: choice, values: [tensor, layer]}
"""


def check_sampler(searcher: str, folder: Path) -> None:
    """Checks that a searcher's trials lie in the space and depend only on the seed.

    The same seed must draw the same trials, and an interrupted study must continue with the trial
    that it would have drawn.

    Args:
        searcher: a value of `study.searcher`, such as `mine.search:sampler`.
        folder: for temporary files.
    """
    (folder / "space.yaml").write_text(_SPACE, encoding="utf-8")
    overrides = (f"study.searcher={searcher}", f"study.trials={_TRIALS}", "study.scheduler=none")
    space = load_space(str(folder / "space.yaml"), overrides)
    whole = _search(space, folder / "whole.jsonl", _TRIALS)
    assert len(whole) == _TRIALS, f"{len(whole)} of {_TRIALS} trials"
    for settings in whole:
        for name, value in settings.items():
            assert space.entries[name].contains(value), f"{name} = {value}: outside of the space"
    again = _search(space, folder / "again.jsonl", _TRIALS)
    assert again == whole, "the same seed drew other trials"
    half = _search(space, folder / "cut.jsonl", _TRIALS // 2)
    rest = _search(space, folder / "cut.jsonl", _TRIALS)
    assert half + rest == whole, "a study that was cut goes on with other trials"


def _search(space: Space, ledger: Path, trials: int) -> list[dict[str, Any]]:
    """The settings of the trials drawn until the search of the ledger has `trials` trials."""
    search = Search(space, ledger)
    drawn = []
    while search.drawn < trials and (suggested := search.suggest()) is not None:
        number, settings = suggested
        drawn.append(settings)
        search.begun(number)
        for epoch in (1, 2):
            search.reported(number, Report(epoch, 0.5 + 0.01 * (number % 5) * epoch))
        search.ended(number, "completed")
    return drawn
