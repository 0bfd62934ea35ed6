"""The checks of this machine: what a run needs, each with advice where it is missing."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import psutil

from famus_ray.config.schema import ScaleConfig
from famus_ray.errors import first_line
from famus_ray.findings import Finding
from famus_ray.scale.cluster import available_cpus, cluster
from famus_ray.training.allocator import keep_freed_memory

__all__ = ["check_machine", "disk"]

_GIB = 2**30
_LEAST_MEMORY, _LEAST_DISK = 2.0, 2.0  # GiB; with less even small runs may fail

_RAYS_OWN_TRY = "`python -c 'import ray; ray.init(address=\"local\")'` shows what Ray says of it"


def check_machine(root: Path, *, ray: bool = True) -> Iterator[Finding]:
    """Yields one finding after the other on what runs need of this machine.

    Args:
        root: folder of the runs, `run.root`.
        ray: whether to start and stop Ray as well, which takes seconds.
    """
    yield Finding("ok", f"Python {platform.python_version()} on {platform.platform()}")
    yield from _packages()
    yield from _devices()
    yield _memory()
    yield disk(root)
    yield _allocator()
    if ray:
        yield _ray()


def _packages() -> Iterator[Finding]:
    """Imports each package: one may be installed and still not work."""
    versions = []
    for name in ("torch", "torchvision", "timm", "ray", "optuna", "sklearn", "pandas"):
        try:
            versions.append(f"{name} {import_module(name).__version__}")
        except Exception as error:  # noqa: BLE001 - whatever a broken install raises
            what = f"{name} cannot be imported: {first_line(error)}"
            yield Finding("unfit", what, "install again: pip install --force-reinstall famus-ray")
    yield Finding("ok", ", ".join(versions))


def _devices() -> Iterator[Finding]:
    cpus = available_cpus()
    yield Finding("ok", f"{cpus} CPU core{'s' if cpus > 1 else ''}")
    try:
        import torch
    except Exception:  # noqa: BLE001 - reported by `_packages`
        return
    for i in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(i)
        yield Finding("ok", f"GPU {i}: {gpu.name}, {gpu.total_memory / _GIB:.1f} GiB")
    if not torch.cuda.is_available():
        yield Finding("note", "no GPU that PyTorch can use", "small networks train on CPUs as well")


def _memory() -> Finding:
    free = psutil.virtual_memory().available / _GIB
    total = psutil.virtual_memory().total / _GIB
    what = f"memory: {free:.1f} of {total:.1f} GiB free"
    return _enough(what, free >= _LEAST_MEMORY, f"free {_LEAST_MEMORY:g} GiB or more")


def disk(root: Path) -> Finding:
    """Whether there is space under the folder of the runs, which need not be there yet."""
    root = root.expanduser().absolute()
    there = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(there).free / _GIB
    what = f"disk: {free:.1f} GiB free under {there}"
    return _enough(what, free >= _LEAST_DISK, "choose another folder with run.root=FOLDER")


def _allocator() -> Finding:
    if keep_freed_memory():
        return Finding("ok", "allocator: freed memory is kept by the training process")
    return Finding(
        "note",
        "allocator: not glibc's, so freed memory goes back to the system at every step",
        "if a step is slow here, try jemalloc with LD_PRELOAD",
    )


def _ray() -> Finding:
    try:
        with cluster(ScaleConfig()):
            import ray

            resources = ray.cluster_resources()
    except Exception as error:  # noqa: BLE001 - whatever keeps Ray from starting
        return Finding("unfit", f"Ray does not start: {first_line(error)}", _RAYS_OWN_TRY)
    held = ", ".join(f"{resources.get(name, 0):g} {name}s" for name in ("CPU", "GPU"))
    return Finding("ok", f"Ray starts, with {held}")


def _enough(what: str, fits: bool, mend: str) -> Finding:
    return Finding("ok", what) if fits else Finding("unfit", what, mend)
