"""Output of the commands: tables for users, JSON for programs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from famus_ray.signals import heeding, was_asked_to_end
from famus_ray.store import shown

if TYPE_CHECKING:
    import pandas as pd

    from famus_ray.demo import DemoResult
    from famus_ray.scale.run import RunResult

__all__ = [
    "interruptible",
    "print_finding",
    "print_frame",
    "print_table",
    "quoted",
    "say",
    "short",
    "show_demo",
    "show_run",
    "show_study",
]


def say(message: str) -> None:
    """Prints a message on standard error; standard output is kept for JSON."""
    print(message, file=sys.stderr, flush=True)


def print_finding(level: str, what: str, mend: str) -> None:
    """Prints a finding, and below it the advice."""
    print(f"  {level:<8}{what}" + (f"\n{'':10}{mend}" if mend else ""), flush=True)


@contextmanager
def interruptible(what_next: str | Path = "") -> Iterator[None]:
    """Inside, Ctrl-C, SIGTERM and SIGHUP end the command with a message and exit code 1.

    The message says how to continue. A second signal within seconds is ignored; a later one ends
    the process at once.

    Args:
        what_next: advice, or the folder of the run or study that can be resumed.
    """

    def told() -> None:
        with suppress(OSError):  # the terminal may be gone
            say(f"\ninterrupted{_how_to_go_on(what_next)}")

    try:
        with heeding(told):
            yield
    except BaseException as error:
        # An error after a signal is a consequence of it: Ray's processes received it as well.
        is_told = isinstance(error, _Interrupted)
        if is_told or not (was_asked_to_end() or isinstance(error, KeyboardInterrupt)):
            raise
        told()
        raise _Interrupted from error


class _Interrupted(SystemExit):
    """Ends an interrupted command after its message; exit code 1."""

    def __init__(self) -> None:
        super().__init__(1)


def _how_to_go_on(what_next: str | Path) -> str:
    if isinstance(what_next, str):
        return f"; {what_next}" if what_next else ""
    if not (what_next / "config.yaml").is_file():
        return "; nothing was begun yet"
    return f"; go on with: famus-ray resume {quoted(what_next)}"


def quoted(path: str | Path) -> str:
    """The path in a shell's quotes, for commands that the user may copy; of a store its URL."""
    return shlex.quote(shown(path))


def show_run(result: RunResult, as_json: bool) -> None:
    """Prints the results of a run, its folder and the next commands."""
    s = result.summary
    if result.was_finished:
        say(f"nothing was left to do: all {s.epochs} epochs are there")
    if as_json:
        print(json.dumps({"path": shown(result.path), **vars(s)}))
        return
    last = "epoch" if s.epochs == 1 else f"{min(10, s.epochs)} epochs"
    print(
        f"test accuracy: {s.best:.2%} at epoch {s.best_epoch} (best {s.selected_on}), "
        f"{s.last10:.2%} mean of the last {last}"
    )
    if told := _wrong_labels(result.path):
        print(told)
    name = quoted(result.path)
    print(f"{shown(result.path)}\nnext: famus-ray report {name}; famus-ray labels {name}")


def _wrong_labels(run: Path) -> str:
    """A message on the share of training labels that noise has changed; empty without any."""
    from famus_ray.records.folders import load_manifest

    data = load_manifest(run)["data"]
    if not data["labels_changed"]:
        return ""
    return f"wrong training labels: {data['labels_changed']:.1%} of {data['train']}"


def show_study(path: Path, as_json: bool) -> None:
    """Prints the best trials of a study and the next commands.

    Exits with 1 if no trial is the best, unless all of them were only cut.
    """
    from famus_ray.reading.loaded import load
    from famus_ray.reading.pareto import cost_columns, pareto_front
    from famus_ray.reading.trials import state_counts, why_failed, why_no_best

    study = load(path)
    trials, best = study.trials, study.best
    counts = state_counts(trials)
    front = pareto_front(trials) if cost_columns(trials) else None
    if as_json:
        found = None if best is None else vars(best)
        content: dict[str, Any] = {"path": shown(path), "best": found, "states": counts}
        if front is not None:
            content["pareto_front"] = front["trial"].tolist()
        print(json.dumps(content))
    else:
        print("  ".join(f"{count} {state}" for state, count in counts.items()))
        if best is not None:
            settings = " ".join(f"{key}={short(value)}" for key, value in best.settings.items())
            print(f"best: trial {best.number}, {best.headline}\n  {settings}")
        if front is not None:
            print(f"Pareto front: trials {', '.join(map(str, front['trial']))}")
        print(
            f"{shown(path)}\nnext: famus-ray trials {quoted(path)}; famus-ray report {quoted(path)}"
        )
    if best is None:
        say(f"famus-ray: {why_no_best(trials, path)}")
        if (trials["state"] != "interrupted").any():
            sys.exit(1)
    if why := why_failed(trials, path):
        say(f"famus-ray: {why}")


def show_demo(result: DemoResult, as_json: bool) -> None:
    """Prints the demo's comparison, its paths and the next commands."""
    records = result.table.to_dict("records")
    paths = {"study": result.study, "model": result.model, "report": result.report}
    if as_json:
        best = {"trial": result.best.number, "value": result.best.value, **result.best.settings}
        content = {"methods": records, "best": best, "seconds": round(result.seconds, 1)}
        print(json.dumps({**content, **{k: str(v) for k, v in paths.items()}}))
        return
    rows = [
        [
            str(row["method"]),
            f"{row['last10']:.2%} ± {row['last10_std']:.2%}",
            f"{row['best']:.2%} ± {row['best_std']:.2%}",
            f"{row['seconds_per_step'] * 1000:.1f}",
        ]
        for row in records
    ]
    print(f"\nTest accuracy, mean ± standard deviation of {records[0]['seeds']} seeds:")
    print_table(("method", "last 10 epochs", "best epoch", "ms per step"), rows)
    print(f"\nstudy   {result.study}\nmodel   {result.model}\nreport  {result.report}")
    print(
        f"\ndone in {result.seconds:.0f} s; next:\n"
        f"  famus-ray trials {quoted(result.study)}\n"
        f"  famus-ray tune famus noise.rate=0.6 --trials 20\n"
        f"  famus-ray train digits method=mwnet --dry-run"
    )


def print_frame(frame: pd.DataFrame) -> None:
    """Prints a data frame as a table."""
    rows = frame.astype(object).to_numpy().tolist()
    print_table([str(c) for c in frame], [[short(value) for value in row] for row in rows])


def print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table, as wide as the terminal; without truncation in a file or a pipe."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)  # wide enough to truncate nothing
    console.print(table)


def short(value: Any) -> str:
    """A value as text of a table; numbers with four digits."""
    if value is None:
        return "null"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
