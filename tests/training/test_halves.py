"""Two networks at once: half of the processes a network, against one process with both."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.distributed import meet_on_this_machine
from famus_ray.errors import UserError
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import epochs

SETTINGS = (
    "model.norm=group", "model.widths=[4,4,8]", "schedule.epochs=3", "pipeline.warmup=1",
    "pipeline.rampup=2", "run.threads=1", "data.validation_fraction=0.6", "optimiser.lr=0.02",
    "method=famus", "meta.source=pseudo_clean", "meta.lambda2=0.1", "run.diagnose_every=3",
    "run.batch_size=128",
)  # fmt: skip
AT_ONCE = (*SETTINGS, "pipeline.networks=at_once")


def last(path: Path) -> dict:
    return torch.load(RunFolder(path).last, weights_only=True)


def weights(state: dict) -> torch.Tensor:
    """Of the network and its weight net, in one vector."""
    parts = [*state["model"].values(), *state["step"]["head"].values()]
    return torch.cat([part.flatten() for part in parts])


def worker(rank: int, world: int, folder: str) -> None:
    """A run in one piece, and one that is stopped after its second epoch and resumed."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    meet_on_this_machine(Path(folder) / "meet", rank, world)
    config = resolve("digits", AT_ONCE).config
    list(epochs(config, RunFolder(Path(folder) / "whole")))
    cut = RunFolder(Path(folder) / "cut")
    for report in epochs(config, cut):
        if report.epoch == 2:
            break
    dist.barrier()
    list(epochs(config, cut))
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, run_processes) -> Path:
    folder: Path = tmp_path_factory.mktemp("halves")
    run_processes(worker, 2, str(folder), count=2)
    torch.set_default_dtype(torch.float64)
    try:
        list(epochs(resolve("digits", AT_ONCE).config, RunFolder(folder / "alone")))
    finally:
        torch.set_default_dtype(torch.float32)
    return folder


def test_two_processes_with_a_network_each_equal_one_with_both(folder: Path):
    """In double precision: 1e-16 a sum, which 27 steps carry up to 1e5 times at the most."""
    alone, whole = last(folder / "alone"), last(folder / "whole")
    for mine, theirs in ((alone, whole), (alone["peer"], whole["peer"])):
        error = (weights(theirs) - weights(mine)).norm() / weights(mine).norm()
        assert error <= 1e-9
    curves = [
        fr.load_curves(folder / name).query("not metric.str.contains('/bytes|time/')")
        for name in ("alone", "whole")
    ]
    assert curves[0]["metric"].tolist() == curves[1]["metric"].tolist()
    assert curves[1]["value"].tolist() == pytest.approx(curves[0]["value"].tolist(), rel=1e-6)
    samples = [fr.load_samples(folder / name) for name in ("alone", "whole")]
    assert samples[0]["prediction"].equals(samples[1]["prediction"])


def test_two_processes_resume_exactly(folder: Path):
    cut, whole = last(folder / "cut"), last(folder / "whole")
    for mine, theirs in ((cut, whole), (cut["peer"], whole["peer"])):
        assert torch.equal(weights(mine), weights(theirs))
        for k, state in mine["optimiser"]["state"].items():
            other = theirs["optimiser"]["state"][k]
            assert torch.equal(state["momentum_buffer"], other["momentum_buffer"])


def test_at_once_the_second_network_sees_the_first_as_it_was(tmp_path: Path):
    """In the first epoch with a division, the first network does as in turn, the second not."""
    found = []
    for settings in (AT_ONCE, SETTINGS):
        folder = RunFolder(tmp_path / str(len(found)))
        list(epochs(resolve("digits", (*settings, "schedule.epochs=2")).config, folder))
        found.append(last(folder.path))
    assert torch.equal(weights(found[0]), weights(found[1]))
    assert not torch.equal(weights(found[0]["peer"]), weights(found[1]["peer"]))


def test_an_odd_number_of_workers_is_refused():
    with pytest.raises(UserError, match=r"scale.workers = 3: .* make it even"):
        resolve("digits", (*AT_ONCE, "scale.workers=3", "run.batch_size=96"))
