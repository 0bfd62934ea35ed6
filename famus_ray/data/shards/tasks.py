"""What a folder of shards is made of: its tasks, and which of them are done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from famus_ray.data.images import Images, Paths
from famus_ray.data.shards.manifest import holds_shards
from famus_ray.data.shards.writing import Written
from famus_ray.errors import UserError
from famus_ray.files import write_json

__all__ = ["BEGUN", "Plan", "Task", "begun", "plan_of", "tasks_of"]

BEGUN = ".prepare"
"""A folder in that of the shards: what has been written, until all of it is."""

_PLAN = "plan.json"

Plan = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Task:
    """One shard to be written.

    Attributes:
        split: its split.
        number: of the shard in its split, from 0.
        of: shards of the split.
        start, stop: the places of its images in the split.
    """

    split: str
    number: int
    of: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.of:05d}.parquet"


def tasks_of(split: str, images: Images, per_shard: int) -> Iterator[Task]:
    """The shards of a split, in the order of its images."""
    starts = range(0, len(images.labels), per_shard)
    for number, start in enumerate(starts):
        stop = min(start + per_shard, len(images.labels))
        yield Task(split, number, len(starts), start, stop)


def plan_of(
    splits: Mapping[str, Images], name: str, per_shard: int, shorter_side: int | None
) -> Plan:
    """What two calls must have in common to write the same shards."""
    digest = hashlib.sha256()
    for split, images in splits.items():
        digest.update(f"{split} {len(images.labels)}".encode())
        digest.update(np.ascontiguousarray(images.labels).data)
        digest.update(np.ascontiguousarray(images.truth).data)
        if isinstance(images.pixels, Paths):
            for chunk in range(0, len(images.pixels), 10_000):
                names = images.pixels.names.slice(chunk, 10_000)
                digest.update("\n".join(names.to_pylist()).encode())
    return {
        "data": name, "per_shard": per_shard, "shorter_side": shorter_side,
        "sha256": digest.hexdigest(),
    }  # fmt: skip


def begun(
    to: Path, plan: Plan, tasks: list[Task]
) -> dict[Task, Written]:  # fmt: skip
    """What is in the folder already; begins it where it is new.

    Raises:
        UserError: something else is there.
    """
    if holds_shards(to):
        raise UserError(f"{to}: holds complete shards already; choose another folder")
    path = to / BEGUN / _PLAN
    if not path.is_file():
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise UserError(f"{to}: there already, and not empty; choose another folder")
        write_json(path, plan)
        return {}
    before = json.loads(path.read_text(encoding="utf-8"))
    if before != plan:
        keys = ", ".join(key for key in plan if plan[key] != before.get(key))
        raise UserError(
            f"{to}: was begun with other images or settings ({keys}); choose another folder, or "
            "remove it"
        )
    for left in to.glob(".*.tmp"):  # of a process that was killed
        left.unlink()
    done = {}
    for task in tasks:
        note = to / BEGUN / f"{task.name}.json"
        if note.is_file():
            done[task] = Written.of_json(json.loads(note.read_text(encoding="utf-8")))
    return done
