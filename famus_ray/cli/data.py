"""The commands `data`: list known data sets, write synthetic ones, check those on disk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from famus_ray.cli.options import AsJson, Overrides, group
from famus_ray.errors import UserError
from famus_ray.store import is_url

if TYPE_CHECKING:
    from famus_ray.config.schema import DataConfig

__all__ = ["data_app"]

data_app = group("Data sets: which there are, made-up ones, and whether those on disk fit.")


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """The known data sets: layout on disk, size, and where to get them."""
    from famus_ray.data.known import KNOWN

    if as_json:
        print(json.dumps({name: vars(known) for name, known in KNOWN.items()}, default=dict))
        return
    for name, known in KNOWN.items():
        images = ", ".join(f"{count:,} {split}" for split, count in known.images.items())
        facts = ", ".join(fact for fact in (images, known.size) if fact)
        print(f"{name}: {known.about}" + (f"; {facts}" if facts else ""))
        print("".join(f"    {line}\n" for line in (*known.layout, *known.notes)), end="")
        print(f"    from {known.source}\n")


@data_app.command("make")
def data_make(
    name: Annotated[str, typer.Argument(help="A data set's name, such as webvision_mini.")],
    to: Annotated[Path | None, typer.Option(help="Folder; data/NAME when left out.")] = None,
    images: Annotated[int, typer.Option(min=10, help="Images of the training set.")] = 200,
    size: Annotated[int, typer.Option(min=4, help="Pixels of the shorter side.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Write small made-up data in exactly the layout of NAME, to try a preset with."""
    from famus_ray.data.made_up import make

    root = to or Path("data") / name
    make(name, root, images, size)
    if as_json:
        print(json.dumps({"name": name, "path": str(root)}))
    else:
        from famus_ray.cli.output import quoted

        there = quoted(f"data.root={root}")
        print(f"{root}\nnext: famus-ray data check {quoted(root)}; train with {there}")


@data_app.command("prepare")
def data_prepare(
    source: Annotated[
        str, typer.Argument(help="A data set, a preset, or the folder or table of your images.")
    ],
    to: Annotated[str, typer.Argument(help="The folder for the shards; goes on if begun.")],
    overrides: Overrides = None,
    per_shard: Annotated[int, typer.Option(min=1, help="Images in a file.")] = 10_000,
    shorter_side: Annotated[
        int | None, typer.Option(min=1, help="Scale larger images to this, in pixels, as JPEG.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one for each CPU core if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a data set as a few large Parquet files, which are read image by image."""
    from famus_ray.cli.output import quoted, say
    from famus_ray.data.readers import read_source
    from famus_ray.data.shards.prepare import prepare
    from famus_ray.progress.image_bar import ImageProgress
    from famus_ray.scale.cluster import available_cpus

    if is_url(to):
        raise UserError(f"{to}: is no folder; write the shards into one, and upload it")
    data = _data_of(source, overrides or [])
    say(f"preparing {data.name} in {to}")
    with ImageProgress() as progress:
        manifest = prepare(
            read_source(data),
            data.name,
            Path(to).expanduser(),
            per_shard=per_shard,
            shorter_side=shorter_side,
            workers=workers or available_cpus(),
            on_images=progress.on_images,
        )
    if as_json:
        print(json.dumps({"path": to, **manifest.as_json()}))
        return
    for name, split in manifest.splits.items():
        without = f", {split.skipped:,} damaged ones left out" if split.skipped else ""
        many = "1 file" if len(split.files) == 1 else f"{len(split.files):,} files"
        print(f"{name}: {split.images:,} images in {many}{without}")
    print(f"next: famus-ray data check {quoted(to)}; famus-ray train {quoted(to)}")


def _data_of(source: str, overrides: list[str]) -> DataConfig:
    """The section `data` of a data set's name, a preset, or a user's own images."""
    from famus_ray.config.data_settings import DATA_NAMES
    from famus_ray.config.resolve import resolve
    from famus_ray.data.own.choices import resolve_run

    if source not in DATA_NAMES:
        return resolve_run(source, overrides).resolved.config.data
    named = {"data": {"name": source, "image_size": 1}}  # it is not used here
    return resolve(None, overrides, named).config.data


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="The folder or table to look at (data.root).")],
    name: Annotated[
        str | None, typer.Option(help="What it should be; guessed if left out.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Decode every image.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is there, what is missing or damaged, and what to do. Exit code 1 if it does not
    fit."""
    from famus_ray.cli.output import print_finding, quoted
    from famus_ray.data.check import check_data, recognise
    from famus_ray.data.known import KNOWN

    if name is not None and name not in KNOWN:
        raise UserError(f"--name {name}: no such data set; there are {', '.join(KNOWN)}")
    root = path.expanduser()
    found = recognise(root) if name is None else [name]
    report = []
    for data_set in found:
        if not as_json:
            print(f"{data_set} in {root}")
        for finding in check_data(data_set, root, every=every):
            report.append({"data": data_set, **vars(finding)})
            if not as_json:
                print_finding(finding.level, finding.what, finding.mend)
    fits = not any(entry["level"] in ("missing", "damaged") for entry in report)
    if as_json:
        print(json.dumps({"path": str(root), "fits": fits, "findings": report}))
    elif fits and {"own", "shards"} & {*found}:
        print(f"next: famus-ray train {quoted(root)}")
    sys.exit(0 if fits else 1)
