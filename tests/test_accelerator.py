"""On the meta device, where tensors hold no numbers: what runs there never asks for one, and
mixes no devices, so that neither batches nor steps make an accelerator wait."""

from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from famus_ray.config import resolve
from famus_ray.data.catalog import load_dataset
from famus_ray.training.loop import start

META = torch.device("meta")


@pytest.mark.parametrize(
    "overrides",
    [
        ("method=ce", "optimiser.clip_norm=1", "optimiser.accumulate=2", "data.augment=none"),
        ("method=l2rw", "data.augment=crop_flip"),
        ("method=mlc",),
        ("method=clidmu",),
        ("method=mwnet", "loss.kind=ldam", "model.classifier=cosine"),
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
        ("method=dividemix", "pipeline.prior_penalty=1"),
        *((f"method={name}", "meta.source=pseudo_clean") for name in ("l2rw", "mlc", "famus")),
        ("method=famus", "meta.source=pseudo_clean", "meta.fidelity=released"),
    ],
    ids=" ".join,
)
def test_batches_and_steps_ask_an_accelerator_for_no_number(overrides, monkeypatch):
    new_generator = torch.Generator  # there is none on the meta device
    built = {"Generator": lambda d="cpu": None if d == META else new_generator(d)}
    monkeypatch.setattr(
        "famus_ray.training.learner.torch", SimpleNamespace(**{**vars(torch), **built})
    )
    config = resolve("digits", ("model.widths=[4,6,8]", "run.batch_size=8", *overrides)).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    procedure = start(config, data.to(META), META)
    learner = procedure.learners[0]
    learner.model.train()
    pairs, _ = procedure.rehearsal()
    for train, judges in islice(pairs, 3):
        measured = learner.step(learner.model, learner.optimiser, train, judges)
        assert {value.device for value in measured.values()} == {META}
