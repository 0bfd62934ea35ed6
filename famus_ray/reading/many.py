"""One run or study, or several: lists, patterns and URLs of object stores."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
from pandas.api.types import union_categoricals

from famus_ray.errors import UserError, first_line
from famus_ray.reading.loaded import Loaded, load
from famus_ray.reading.trials import plain
from famus_ray.records.folders import is_study
from famus_ray.records.ledger import PARAMETER
from famus_ray.records.tables import column_of
from famus_ray.store import is_url, names_in, working_copy

__all__ = ["Names", "loaded_runs", "of_each"]

Names = str | Path | Sequence[str | Path]

_NEAR = Path("runs")  # where names are looked for that are no paths


def of_each(names: Names, read: Callable[[Loaded], pd.DataFrame]) -> pd.DataFrame:
    """What `read` returns of a run or study; of several in one frame, with a column `run` first.

    Several are a list, or a pattern such as `runs/*`. What a pattern matches without having such
    a table is passed over.

    Raises:
        UserError: nothing has such a table, or one that was named has none.
    """
    if (one := _only(names)) is not None:
        return read(load(one))
    frames, why = [], ""
    for name, is_match in _expanded(names):
        try:
            frame = read(load(name))
        except UserError as error:
            if not is_match:
                raise
            why = why or f"; {first_line(error)}"
            continue
        frame.insert(0, "run", pd.Series(str(name), index=frame.index, dtype="category"))
        frames.append(frame)
    if not frames:
        raise UserError(f"{_shown(names)}: no run or study with such a table{why}")
    return _together(frames)


def loaded_runs(names: Names) -> Iterator[tuple[str, Loaded]]:
    """Name and content of each run and study; see `of_each`.

    Raises:
        UserError: there is none.
    """
    one = _only(names)
    found = [(one, False)] if one is not None else [*_expanded(names)]
    if not found:
        raise UserError(f"{_shown(names)}: no run or study is called so")
    yield from ((str(name), load(name)) for name, _ in found)


def _only(names: Names) -> str | Path | None:
    """The name of the only run; None if they are several."""
    is_one = isinstance(names, str | Path) and not _is_pattern(names)
    return names if is_one else None  # type: ignore[return-value]


def _is_pattern(name: str | Path) -> bool:
    if is_url(name):
        return any(sign in str(name).partition("?")[0] for sign in "*[")
    return any(sign in str(name) for sign in "*?[") and not Path(name).exists()


def _expanded(names: Names) -> Iterator[tuple[str | Path, bool]]:
    """The names, and whether a pattern matched them."""
    for name in [names] if isinstance(names, str | Path) else names:
        if _is_pattern(name):
            matches = _in_store(str(name)) if is_url(name) else _here(str(name))
            yield from ((match, True) for match in matches)
        else:
            yield name, False


def _here(pattern: str) -> list[str]:
    """The runs and studies that match, by path; else by name under `runs/`."""
    pattern = str(Path(pattern).expanduser())
    for root in (Path(), _NEAR):
        matches = sorted(glob.glob(pattern, root_dir=root))  # noqa: PTH207 - absolute ones, too
        if found := [path for path in matches if _is_run(root / path)]:
            return found
    return []


def _is_run(path: Path) -> bool:
    return path.is_dir() and ((path / "config.yaml").is_file() or is_study(path))


def _in_store(url: str) -> list[str]:
    """The folders in an object store that match, as URLs."""
    base, mark, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    bucket, *parts = rest.strip("/").split("/")
    found = [f"{scheme}://{bucket}"]
    for part in parts:
        if any(sign in part for sign in "*["):
            found = [
                f"{at}/{name}"
                for at in found
                for name in sorted(names_in(working_copy(f"{at}{mark}{query}")))
                if fnmatch(name, part)
            ]
        else:
            found = [f"{at}/{part}" for at in found]
    return [f"{at}{mark}{query}" for at in found]


def _together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frames' rows in one frame, each column in its type."""
    names = dict.fromkeys(name for frame in frames for name in frame)
    fixed = [name for name in names if not str(name).startswith((PARAMETER, "cost.", "excess."))]
    order = [*fixed, *(name for name in names if name not in fixed)]
    return pd.DataFrame({str(name): _column(str(name), frames) for name in order})


def _column(name: str, frames: Sequence[pd.DataFrame]) -> pd.Series:
    parts = [
        frame[name] if name in frame else pd.Series([None] * len(frame), dtype="object")
        for frame in frames
    ]
    if name.startswith(PARAMETER):
        return column_of([None if pd.isna(v) else plain(v) for part in parts for v in part])
    if name == "trial":  # a single run has a name, which the column `run` holds
        whole = [p if p.dtype != "category" else pd.Series(pd.NA, p.index, "Int64") for p in parts]
        return pd.concat([part.astype("Int64") for part in whole], ignore_index=True)
    known = [part for part, frame in zip(parts, frames, strict=True) if name in frame]
    if all(part.dtype == "category" for part in known):
        return pd.Series(union_categoricals([part.astype("category") for part in parts]))
    joined = pd.concat([part.astype(known[0].dtype) for part in parts], ignore_index=True)
    return pd.Series(joined)


def _shown(names: Names) -> str:
    return str(names) if isinstance(names, str | Path) else ", ".join(map(str, names)) or "no name"
