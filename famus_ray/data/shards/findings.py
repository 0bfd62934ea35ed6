"""What a user should know of a folder of shards: source, files, and whether they are whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from famus_ray.data.shards.manifest import SKIPPED, ShardOfSplit
from famus_ray.data.shards.read import manifest_of
from famus_ray.errors import UserError
from famus_ray.findings import Finding
from famus_ray.memory import in_gib

__all__ = ["findings_on_shards"]


def findings_on_shards(root: Path, *, every: bool) -> Iterator[Finding]:
    """Findings on the folder, one after the other.

    Args:
        root: the folder.
        every: compare the checksum of each file, too.
    """
    manifest = manifest_of(str(root))
    files = [file for split in manifest.splits.values() for file in split.files]
    scaled = f", scaled to {manifest.resized} pixels" if manifest.resized else ""
    total = sum(file.bytes for file in files)
    many = f"{len(files):,} files" + (f", {in_gib(total)}" if total >= 2**30 else "")
    yield Finding("ok", f"shards of {manifest.name}{scaled}: {many}")
    if skipped := sum(split.skipped for split in manifest.splits.values()):
        what = f"{skipped:,} damaged images are not in them, and listed in {root / SKIPPED}"
        yield Finding("note", what)
    for file in files if every else ():
        if _sha256(root / file.name) != file.sha256:
            yield _changed(root, file)
    if not every:
        yield Finding("note", "their checksums were not compared; --all does")


def _changed(root: Path, file: ShardOfSplit) -> Finding:
    what = f"{root / file.name}: its checksum is not the one of the manifest"
    return Finding("damaged", what, "copy it again, or prepare the data anew")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy it again") from error
