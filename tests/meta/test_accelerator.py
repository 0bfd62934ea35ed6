"""On the meta device, where tensors hold no numbers: what runs there never asks for one, and
mixes no devices, so that no step makes an accelerator wait."""

import pytest
import torch

from famus_ray.config import resolve
from famus_ray.methods import build_step
from famus_ray.models.catalog import build_model
from famus_ray.optimiser import build_optimiser


@pytest.mark.parametrize(
    "overrides",
    [
        ("method=ce", "optimiser.clip_norm=1", "optimiser.accumulate=2"),
        ("method=l2rw",),
        ("method=mlc",),
        ("method=clidmu",),
        ("method=mwnet",),
        *(
            ("method=famus", f"meta.engine={engine}", f"meta.scope={scope}")
            for engine in ("jvp", "double_backward", "finite_difference")
            for scope in ("all", "tail")
        ),
        ("method=famus", "meta.source=batch", "run.channels_last=true"),
        ("method=famus", "meta.lambda2=0.1", "meta.interval=2"),
        ("method=famus", "meta.fidelity=released", "meta.grouping=tensor"),
        ("method=famus", "meta.sampler=random", "meta.gated_from=all"),
        ("method=famus", "model.name=resnet32", "meta.grouping=stage"),
    ],
    ids=" ".join,
)
def test_a_step_asks_an_accelerator_for_no_number(overrides):
    config = resolve("digits", ("model.widths=[4,6,8]", *overrides)).config
    with torch.device("meta"):
        model = build_model(config.model, 10, 3).train()
        step = build_step(config, model, None)
        batch = torch.empty(8, 3, 8, 8), torch.empty(8, dtype=torch.long)
    optimiser = build_optimiser(model, config.optimiser)
    for _ in range(3):
        measured = step(model, optimiser, batch, batch if step.needs_meta_batch else None)
    assert {value.device.type for value in measured.values()} == {"meta"}
