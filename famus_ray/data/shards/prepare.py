"""Writes a data set as shards: in several processes, each shard whole; a cut one goes on."""

# Shapes: N images of a split.
from __future__ import annotations

import csv
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from famus_ray.data.images import Images, Source
from famus_ray.data.shards.manifest import (
    MANIFEST,
    SKIPPED,
    Manifest,
    ShardOfSplit,
    SplitOfShards,
)
from famus_ray.data.shards.tasks import BEGUN, Task, begun, plan_of, tasks_of
from famus_ray.data.shards.writing import Part, Written, write_part
from famus_ray.errors import UserError
from famus_ray.files import replaced, write_json

__all__ = ["prepare"]


def prepare(
    source: Source,
    name: str,
    to: Path,
    *,
    per_shard: int = 10_000,
    shorter_side: int | None = None,
    workers: int = 1,
    on_images: Callable[[int, int], None] = lambda done, of: None,
) -> Manifest:
    """Writes a data set as shards into the folder `to`; what is there already is kept.

    Every image is decoded once. Damaged ones are left out and listed in `skipped.csv`.

    Args:
        source: the data set.
        name: of the data set.
        to: a new folder, or one in which the same was begun.
        per_shard: images in a file.
        shorter_side: pixels to which larger images are scaled, as JPEG; None keeps all as they are.
        workers: processes; 1 is this one.
        on_images: called with the number of images done and of all.

    Returns:
        The manifest, which is written last.

    Raises:
        UserError: the folder holds something else, a split has no image that can be read, or a
            process was killed.
        NotWritten: a full disk.
    """
    splits = source.splits
    tasks = [task for split in splits.items() for task in tasks_of(*split, per_shard)]
    done = begun(to, plan_of(splits, name, per_shard, shorter_side), tasks)
    total = sum(task.stop - task.start for task in tasks)
    on_images(sum(task.stop - task.start for task in done), total)
    parts = (
        (task, _part(task, splits[task.split], to, shorter_side))
        for task in tasks
        if task not in done
    )
    for task, written in _in_processes(parts, workers):
        write_json(to / BEGUN / f"{task.name}.json", written.as_json())
        done[task] = written
        on_images(sum(task.stop - task.start for task in done), total)
    return _finished(to, source, name, shorter_side, {task: done[task] for task in tasks})


def _part(task: Task, images: Images, to: Path, shorter_side: int | None) -> Part:
    at = np.arange(task.start, task.stop)
    return Part(
        path=to / task.name,
        pixels=images.pixels[at],
        first_id=task.start,
        labels=images.labels[at],
        truth=images.truth[at],
        checked=None if images.checked is None else images.checked[at],
        shorter_side=shorter_side,
    )


def _in_processes(
    parts: Iterator[tuple[Task, Part]], workers: int
) -> Iterator[tuple[Task, Written]]:
    """What was written, as it is done; no more parts are made than processes can take."""
    if workers == 1:
        yield from ((task, write_part(part)) for task, part in parts)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([write_part.__module__])
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        running: dict[Future[Written], Task] = {}
        try:
            for task, part in parts:
                running[pool.submit(write_part, part)] = task
                if len(running) > workers:
                    yield from _ended(running)
            while running:
                yield from _ended(running)
        except BrokenProcessPool as error:
            raise UserError(
                "a process that wrote shards was killed, perhaps for lack of memory; the same "
                "command goes on, with --workers set lower if need be"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _ended(running: dict[Future[Written], Task]) -> Iterator[tuple[Task, Written]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _finished(
    to: Path, source: Source, name: str, shorter_side: int | None, done: Mapping[Task, Written]
) -> Manifest:
    train = source.train
    of_class = train.superclass_of
    manifest = Manifest(
        name,
        train.classes,
        train.class_names,
        None if of_class is None else tuple(of_class.tolist()),
        train.mean,
        train.std,
        shorter_side,
        {split: _of_split(split, images, done) for split, images in source.splits.items()},
    )
    for split, of_split in manifest.splits.items():
        if not of_split.images:
            raise UserError(f"{to}: no image of {split} can be read; see {to / BEGUN}")
    skipped = [
        (task.split, path, reason) for task, part in done.items() for path, reason in part.skipped
    ]
    if skipped:
        with replaced(to / SKIPPED) as path, path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("split", "path", "reason"), *skipped])
    write_json(to / MANIFEST, manifest.as_json())
    shutil.rmtree(to / BEGUN)
    return manifest


def _of_split(split: str, images: Images, done: Mapping[Task, Written]) -> SplitOfShards:
    written = {task: part for task, part in done.items() if task.split == split}
    return SplitOfShards(
        truth=images.true_labels is not None,
        checked=images.checked is not None,
        skipped=sum(len(part.skipped) for part in written.values()),
        files=tuple(
            ShardOfSplit(task.name, part.images, part.bytes, part.sha256)
            for task, part in written.items()
        ),
    )
