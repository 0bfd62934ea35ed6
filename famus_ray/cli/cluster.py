"""The commands `cluster`: start machines, run jobs there, bring the results back, end them."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from famus_ray.cli.options import AsJson, group
from famus_ray.errors import UserError

if TYPE_CHECKING:
    from famus_ray.cluster.extent import Extent
    from famus_ray.cluster.provider import Command, Job, Provider

__all__ = ["cluster_app"]

cluster_app = group("Clusters: one's own machines, clouds, Kubernetes, Slurm.")

File = Annotated[
    Path, typer.Argument(help="A cluster's file, or a folder of Kubernetes manifests.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the commands, and run none.")]


@cluster_app.command("list")
def cluster_list(as_json: AsJson = False) -> None:
    """The cluster files that come with famus-ray, to be copied and edited."""
    from famus_ray.cluster.shipped import shipped

    files = shipped()
    if as_json:
        print(json.dumps([{"file": str(path), "about": about} for path, about in files.items()]))
        return
    for path, about in files.items():
        print(f"{path}\n    {about}")


@cluster_app.command("check")
def cluster_check(path: File, as_json: AsJson = False) -> None:
    """Say what is wrong with a cluster's file, all of it at once. Exit code 1 if something is."""
    from famus_ray.cluster.checks import left_out
    from famus_ray.cluster.kinds import provider_of

    found, notes = provider_of(path).check(path), left_out(path)
    if as_json:
        entries = [{**vars(problem), "file": str(problem.file)} for problem in found]
        print(json.dumps({"fits": not found, "problems": entries, "left_out": notes}))
    else:
        for line in (*found, *(f"note: {note}" for note in notes)):
            print(line)
        if not found:
            print(f"{path}: nothing found")
    sys.exit(1 if found else 0)


@cluster_app.command("up")
def cluster_up(path: File, dry_run: DryRun = False) -> None:
    """Start a cluster, and wait until all of its machines have joined. With --dry-run, say what it
    may cost, too."""
    provider = _checked(path)
    if dry_run:
        for line in provider.extent(path).lines():
            print(f"# {line}")
    _do(provider, provider.up(path), dry_run)


@cluster_app.command("status")
def cluster_status(path: File, dry_run: DryRun = False) -> None:
    """Show machines and jobs, and what they wait for."""
    provider = _provider(path)
    _do(provider, provider.status(path), dry_run)


@cluster_app.command("submit")
def cluster_submit(
    path: File,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="Such as: -- tune famus --name j")
    ],
    dry_run: DryRun = False,
) -> None:
    """Run a command of famus-ray on a cluster, show its log, and end with its exit code."""
    from famus_ray.cli.output import interruptible, say
    from famus_ray.cluster.own_files import own_files
    from famus_ray.cluster.provider import Job

    provider = _checked(path)
    files = tuple(own_files(command, Path.cwd()))
    if files and provider.own_files:
        say(f"note: {', '.join(files)}: {provider.own_files}")
    job = Job(f"famus-{datetime.now():%Y%m%d-%H%M%S-%f}", tuple(command), files)
    commands = provider.submit(path, job)
    if dry_run:
        _show_submit(provider.extent(path), job, commands)
        return
    with interruptible(provider.going_on(path, job)):
        _do(provider, commands, dry_run)


@cluster_app.command("fetch")
def cluster_fetch(
    path: File,
    name: Annotated[str, typer.Argument(help="A run or study: its name, or its path there.")],
    to: Annotated[Path, typer.Option(help="The folder here that gets it.")] = Path("runs"),
    dry_run: DryRun = False,
) -> None:
    """Copy a run or study of a cluster to this machine."""
    provider = _provider(path)
    commands = provider.fetch(path, name, to)
    if not dry_run:
        to.mkdir(parents=True, exist_ok=True)
    _do(provider, commands, dry_run)


@cluster_app.command("down")
def cluster_down(
    path: File,
    dry_run: DryRun = False,
    check: Annotated[
        bool, typer.Option("--check", help="End nothing: list what is left. Exit code 1 if any.")
    ] = False,
) -> None:
    """End all machines and processes of a cluster, and say what may still be billed."""
    provider = _provider(path)
    if check:
        _do(provider, provider.left(path), dry_run)
        return
    code = _run(provider, provider.down(path), dry_run)
    for line in provider.afterwards(path):
        print(line)
    sys.exit(code)


def _show_submit(extent: Extent, job: Job, commands: list[Command]) -> None:
    """Prints whether trials fit, and the commands; raises UserError if no trial does."""
    from famus_ray.cli.fit import check_fit, fit_lines
    from famus_ray.cluster.arguments import without_program
    from famus_ray.cluster.running import printed

    words = without_program(job.arguments)
    for line in fit_lines(words, extent):
        print(f"# {line}")
    for line in printed(commands):
        print(line)
    check_fit(words, extent)


def _provider(path: Path) -> Provider:
    from famus_ray.cluster.kinds import provider_of

    return provider_of(path)


def _checked(path: Path) -> Provider:
    """What starts the cluster of a file in which nothing is wrong.

    Raises:
        UserError: something is, all of it.
    """
    provider = _provider(path)
    if found := provider.check(path):
        many = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise UserError(f"{path}: {many}\n" + "\n".join(f"  - {problem}" for problem in found))
    return provider


def _do(provider: Provider, commands: list[Command], dry_run: bool) -> None:
    if code := _run(provider, commands, dry_run):
        sys.exit(code)


def _run(provider: Provider, commands: list[Command], dry_run: bool) -> int:
    from famus_ray.cluster.running import check_programs, printed, run_all

    if dry_run:
        for line in printed(commands):
            print(line)
        return 0
    check_programs(provider.programs, {command.argv[0] for command in commands})
    return run_all(commands)
