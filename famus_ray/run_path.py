"""The folders of runs and studies: their names, and the lock of the process that trains there.

It does not import torch, so a command can print its first message within a second.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from famus_ray.config.schema import Config
from famus_ray.errors import UserError, first_line
from famus_ray.records.claim import LOCK, claimed, holder, is_claimed
from famus_ray.store import download, is_url, names_in, working_copy

__all__ = ["claimed_new", "claimed_run", "named_path", "new_path", "new_run_path"]

_LEFT_OVER = {"ray", "ray.log", LOCK}  # files of a run that ended before its first step
_ODD = r"[^\w.+=,@ -]"  # not allowed in a name; `\w` is a letter of any script, a digit, or _
_LONGEST = 200  # bytes of a part of a name; file systems allow 255


@contextmanager
def claimed_run(config: Config, *, resume: bool = False) -> Iterator[Path]:
    """The folder of a run; inside, this process is the only one that trains there.

    Raises:
        UserError: an invalid name, a folder that exists or is in use, a missing run to resume, or
            a folder that cannot be created.
    """
    if not resume:
        with claimed_new(config, _stem(config)) as path:
            yield path
        return
    path = new_run_path(config, resume=True)
    if not (path / "config.yaml").is_file():
        raise UserError(f"{path}: no run to resume: it has no config.yaml")
    with claimed(path):
        yield path


@contextmanager
def claimed_new(config: Config, stem: str) -> Iterator[Path]:
    """The folder for a new run or study; inside, this process is the only one that trains there.

    Its name is `run.name`, or `stem`, with a number from the second one on.

    Raises:
        UserError: a named folder that exists or is in use, or a folder that cannot be created.
    """
    with ExitStack() as stack:
        if config.run.name is not None:
            path = new_path(config, stem)
            stack.enter_context(claimed(path))
            new_path(config, stem, mine=True)  # another process may have finished a run since
            yield path
            return
        for path in _numbered(config, stem):
            try:
                stack.enter_context(claimed(path, fresh=True))
            except FileExistsError:
                continue
            yield path
            return


def new_run_path(config: Config, *, resume: bool = False) -> Path:
    """The folder for a run; it is not created here.

    Raises:
        UserError: a named run that exists already, unless `resume`.
    """
    return named_path(config) if resume else new_path(config, _stem(config))


def named_path(config: Config) -> Path:
    """The folder named by `run.name`, whether it is there or not.

    Raises:
        UserError: no name, or one that leads elsewhere.
    """
    root, name = _runs_root(config), config.run.name
    if name is None:
        raise UserError(f"--resume: say which run of {root}/ with --name (run.name)")
    if not _is_inside(name):
        raise UserError(f"run.name = {name}: must not leave {root}/")
    download(root / name)
    return root / name


def new_path(config: Config, stem: str, *, mine: bool = False) -> Path:
    """The folder for a new run or study; it is not created here.

    Its name is `run.name`, or `stem`, with a number from the second one on.

    Args:
        config: the settings.
        stem: name without `run.name`.
        mine: whether this process has claimed the folder.

    Raises:
        UserError: a named folder that exists already, or an invalid name or root.
    """
    if config.run.name is None:
        return next(path for path in _numbered(config, stem) if not path.exists())
    _check_name(config.run.name)
    path = _runs_root(config) / config.run.name
    download(path)
    if is_claimed(path) and not mine:
        raise UserError(f"{path}: in use: {holder(path)} is running it; choose another --name")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file; choose another --name")
    if path.exists() and {p.name for p in path.iterdir()} - _LEFT_OVER:
        raise UserError(f"{path}: there already{_what_to_type(path)}; or choose another --name")
    return path


def _stem(config: Config) -> str:
    names = (name.rpartition(":")[0] or name for name in (config.data.name, config.method.name))
    return "-".join(name.rpartition(".")[2] for name in names)  # of import paths only the module


def _numbered(config: Config, stem: str) -> Iterator[Path]:
    root = _runs_root(config)
    there = names_in(root)
    names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    yield from (root / name for name in names if name not in there)


def _what_to_type(path: Path) -> str:
    from famus_ray.reading.runs import look_at

    found, name = look_at(path), shlex.quote(str(path))
    if found is None:
        return ", and not a run"
    if found.state == "damaged":
        return f", damaged ({found.note})"
    if found.state == "finished":
        return f", finished: `famus-ray report {name}` shows it"
    return f", {found.progress}: `famus-ray resume {name}` goes on with it"


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _check_name(name: str) -> None:
    parts = name.split("/")
    if all(_is_fit(part) for part in parts):
        return
    kept = (re.sub(_ODD, "-", unicodedata.normalize("NFC", part))[:60] for part in parts)
    instead = "/".join(filter(None, (part.strip(" .-") for part in kept)))
    shown = name if len(name) <= 80 else f"{name[:80]}..."
    raise UserError(
        f"run.name = {shown!r}: a name has letters, digits, blanks and . _ - + = , @ only, begins "
        f"with a letter or digit, and is at most {_LONGEST} bytes long; / stands between folders"
        + (f"; such as {instead!r}" if instead and instead != name else "")
    )


def _is_fit(part: str) -> bool:
    if not re.fullmatch(r"\w.*", part) or re.search(_ODD, part) or part.endswith((" ", ".")):
        return False
    return len(part.encode()) <= _LONGEST


def _runs_root(config: Config) -> Path:
    """The folder of the runs; it may not exist yet.

    Raises:
        UserError: the folder or one of its parents is a file, or its name is invalid.
    """
    text = config.run.root
    if is_url(text):
        return working_copy(text)
    shown = ascii(text if len(text) <= 80 else f"{text[:80]}...")
    if not text.strip() or not text.isprintable() or "${" in text:
        raise UserError(f"run.root = {shown}: must be a folder's path, as it is typed in a shell")
    try:
        root = Path(text).expanduser()
        is_file = any(path.exists() and not path.is_dir() for path in (root, *root.parents))
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"run.root = {shown}: cannot be a folder ({reason})") from error
    if is_file:
        raise UserError(f"run.root = {root}: is a file, not a folder")
    return root
