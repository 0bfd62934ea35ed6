"""The reference computes what famus_ray computes; only the way differs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from famus_ray.config import resolve
from famus_ray.methods import build_step
from famus_ray.models.catalog import build_model

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def after_steps(build, settings: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Weights, theta and gates after four steps in double precision."""
    config = resolve(None, ["model.name=preact_resnet8", "model.widths=[4,4,8]", *settings]).config
    torch.manual_seed(0)
    model = build_model(config.model, 10, 3).double()
    step = build(config, model, 10, torch.Generator().manual_seed(0))
    parts = getattr(step, "parts", step)
    for module in (parts.head, parts.gates):
        if isinstance(module, torch.nn.Module):
            module.double()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        train, meta = (
            (torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64),
             torch.randint(10, (8,), generator=generator))
            for _ in range(2)
        )  # fmt: skip
        step(model, optimiser, train, meta)
    found = {f"weights {n}": t for n, t in model.state_dict().items()}
    found |= {f"theta {n}": t for n, t in parts.head.state_dict().items()}
    if isinstance(parts.gates, torch.nn.Module):
        found |= {f"gates {n}": t for n, t in parts.gates.state_dict().items()}
    return found


@pytest.mark.parametrize("method", ["mwnet", "famus"])
def test_the_released_step_gives_the_numbers_of_ours(method, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import released

    settings = released.FAMUS_SETTINGS if method == "famus" else ("method.name=mwnet",)
    theirs = after_steps(getattr(released, f"released_{method}"), settings)
    ours = after_steps(build_step, settings)
    assert theirs.keys() == ours.keys()
    for name in ours:
        assert torch.allclose(theirs[name], ours[name], rtol=1e-8, atol=1e-11), name


def test_without_a_gpu_its_script_says_so():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu_step.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("gpu_step: no GPU")
    assert len(done.stderr.splitlines()) == 1


def test_the_released_steps_are_measured_beside_ours():
    arguments = ("--network", "preact_resnet8", "--batch", "2", "--rounds", "1", "--no-memory")
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "cpu_step.py", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("famus as released") == 2
