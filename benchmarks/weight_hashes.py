"""Hashes of all that two epochs of training leave, for every method on the digits preset.

A change of structure must leave them as they are:

    python benchmarks/weight_hashes.py > before.json
    ... change ...
    python benchmarks/weight_hashes.py > after.json

They are equal within one machine only: another processor rounds otherwise.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import famus_ray

CASES = {
    **{m: (f"method={m}",) for m in ("ce", "mixup", "l2rw", "mwnet", "mlc", "famus", "mentormix")},
    "dividemix": ("method=dividemix", "pipeline.warmup=1"),
    "clidmu": ("method=clidmu",),
    "famus-released": ("method=famus", "meta.fidelity=released"),
    "famus-batch": ("method=famus", "meta.source=batch", "meta.scope=tail"),
    "famus-pipeline": ("method=famus", "meta.source=pseudo_clean", "pipeline.warmup=1"),
    "famus-pipeline-released": (
        "method=famus", "meta.source=pseudo_clean", "pipeline.warmup=1", "meta.fidelity=released",
    ),
    "famus-ldam": ("method=famus", "loss=ldam", "model.classifier=cosine"),
}  # fmt: skip


def hashed(value: Any, into: Any) -> None:
    """Feed every tensor, number and word of a nested checkpoint to the hash, in key order."""
    if isinstance(value, torch.Tensor):
        into.update(value.detach().cpu().contiguous().numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            into.update(str(key).encode())
            hashed(value[key], into)
    elif isinstance(value, list | tuple):
        for item in value:
            hashed(item, into)
    else:
        into.update(repr(value).encode())


def main() -> None:
    """Print one JSON object, a hash for each case."""
    found = {}
    for name, overrides in CASES.items():
        with tempfile.TemporaryDirectory() as root:
            result = famus_ray.train(
                "digits", "schedule.epochs=2", f"run.root={root}", *overrides, quiet=True
            )
            state = torch.load(Path(result.path) / "checkpoints/last.pt", weights_only=True)
            digest = hashlib.sha256()
            hashed(
                {k: state[k] for k in ("model", "optimiser", "step", "peer") if k in state}, digest
            )
        found[name] = digest.hexdigest()[:16]
        print(name, found[name], file=sys.stderr, flush=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
