"""Whether the trials of a command fit the machines of a cluster's file, before any is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import typer

from famus_ray.cli.run import train
from famus_ray.cli.study import tune
from famus_ray.cluster.extent import Extent, counted
from famus_ray.config.schema import Config, ScaleConfig
from famus_ray.errors import UserError, first_line

__all__ = ["check_fit", "fit_lines"]

_COMMANDS: Mapping[str, Callable[..., None]] = {"train": train, "tune": tune}


def fit_lines(words: Sequence[str], extent: Extent) -> Iterator[str]:
    """What one trial needs, and how many the machines hold at once, a line each.

    Args:
        words: a command, after `famus-ray`; of those that do not train there are no lines.
        extent: of the cluster.
    """
    try:
        config = _config(words)
    except UserError as error:
        yield f"fits: not known here: {first_line(error)}"
        return
    if config is None:
        return
    scale, what = config.scale, "trial" if words[0] == "tune" else "run"
    each = _and(scale.cpus_per_worker, scale.gpus_per_worker)
    yield f"a {what}: {counted(scale.workers, 'worker')} x {each}"
    nodes, least = extent.nodes(), extent.nodes(most=False)
    if nodes is None or least is None:
        yield "fits: not known: the file does not say what a machine has; `cluster status` does"
        return
    from famus_ray.scale.capacity import runs_at_once

    most, now = runs_at_once(scale, nodes), runs_at_once(scale, least)
    in_all = _and(*(sum(node[name] for node in nodes) for name in ("CPU", "GPU")))
    if what == "run":
        yield f"fits: {'yes' if most else 'no'}; the machines have {in_all} for it"
        return
    wanted = config.study.concurrent
    asked = f"; study.concurrent allows {wanted}" if wanted is not None and wanted < most else ""
    grows = f", {now} before more machines are added" if now < most else ""
    yield f"fits: {counted(most, 'trial')} at once on {in_all}{grows}{asked}"


def check_fit(words: Sequence[str], extent: Extent) -> None:
    """Raises UserError, with the arithmetic, if the machines cannot hold even one trial."""
    try:
        config = _config(words)
    except UserError:
        return  # the command says it on the cluster, where its files may be
    if config is not None and (nodes := extent.nodes()) is not None:
        from famus_ray.scale.capacity import check_fits

        scale: ScaleConfig = config.scale.model_copy(update={"autoscaling": False})
        check_fits(scale, nodes)


def _config(words: Sequence[str]) -> Config | None:
    """The settings of a command that trains; None of another one. Data are not looked at."""
    if words[0] not in _COMMANDS:
        return None
    given = _parsed(words)
    overrides = [*(given["overrides"] or [])]
    if words[0] == "tune":
        from famus_ray.spaces.space import load_space

        if given["concurrent"] is not None:
            overrides.append(f"study.concurrent={given['concurrent']}")
        return load_space(given["space"], tuple(overrides)).base.config
    from famus_ray.config.presets import own_data
    from famus_ray.config.resolve import resolve

    if given["workers"] is not None:
        overrides.append(f"scale.workers={given['workers']}")
    preset = None if own_data(given["preset"]) is not None else given["preset"]
    return resolve(preset, [item for item in overrides if item.startswith("scale.")]).config


def _parsed(words: Sequence[str]) -> dict[str, Any]:
    """The arguments and options of a command, as the command itself reads them."""
    alone = typer.Typer(add_completion=False)
    alone.command()(_COMMANDS[words[0]])
    return typer.main.get_command(alone).make_context(words[0], [*words[1:]]).params


def _and(cpus: float, gpus: float) -> str:
    return counted(cpus, "CPU") + (f" and {counted(gpus, 'GPU')}" if gpus else "")
