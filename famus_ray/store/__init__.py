"""Runs and shards in an object store: a working copy on this machine, and whole files in the store.

`run.root` may be a URL such as s3://bucket/runs. Processes write to a working copy, and every file
that was written whole is uploaded whole (`files.replaced`). The path of the working copy holds the
URL, so every process that knows the path finds the store. A file's time is that of the store, so
what is newer there is seen, and downloaded when a folder is opened.
"""

from famus_ray.store.copies import (
    download,
    names_in,
    remove,
    upload,
    upload_folder,
)
from famus_ray.store.system import StoreAway, opened, patiently
from famus_ray.store.urls import inside, is_url, shown, working_copy

__all__ = [
    "StoreAway", "download", "inside", "is_url", "names_in", "opened", "patiently", "remove",
    "shown", "upload", "upload_folder", "working_copy",
]  # fmt: skip
