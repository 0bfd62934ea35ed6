"""Several gloo processes with a share of the batch each, against one with the whole batch."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch
import torch.distributed as dist

from famus_ray import distributed
from famus_ray.batch import Batch
from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import load_dataset
from famus_ray.distributed import (
    all_reduce_sum_,
    backward_summed,
    bytes_exchanged,
    global_sum,
    gradients_summed,
    meet_on_this_machine,
)
from famus_ray.training.learner import Learner, new_learner

STEPS = 4
# Two sums of the same numbers in another order differ by 1e-16 of them; ten steps of badly
# conditioned methods (learned gates, BatchNorm-free CLID-MU) carry that up to 300 times (1e-5 of
# float32's 6e-8 was seen), and a thousand sums a step enter: 1e-16 x 300 x 1000 = 3e-11.
BOUND = 1e-9


def some_steps(method: str, *overrides: str) -> dict[str, torch.Tensor]:
    """Weights, theta and gates after four steps of this process's share."""
    settings = (
        f"method={method}", "model.norm=group", "model.widths=[8,8,16]",
        "meta.lambda2=0.1", "meta.grouping=tensor", *overrides,
    )  # fmt: skip
    config = resolve("digits", settings).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    state = new_learner(config, data, torch.device("cpu"))
    state.gate_noise.manual_seed(0)
    state.model.train()
    pairs = EpochBatches(data, config).epoch(0, with_meta=state.step.needs_meta_batch)
    for (train, meta), _ in zip(pairs, range(STEPS), strict=False):
        assert train[0].dtype == torch.float64
        state.step(state.model, state.optimiser, train, meta)
    found = {f"weights {n}": p for n, p in state.model.named_parameters()}
    found |= {f"theta {n}": p for n, p in state.step.head.named_parameters()}
    if isinstance(getattr(state.step, "gates", None), torch.nn.Module):
        found |= {f"gates {n}": p for n, p in state.step.gates.named_parameters()}
    return {name: p.detach().clone() for name, p in found.items()}


def first_batches(*overrides: str) -> tuple[Learner, Batch, Batch]:
    """A run of MW-Net before its first step, and this process's rows for it."""
    settings = ("method=mwnet", "model.norm=group", "model.widths=[8,8,16]", *overrides)
    config = resolve("digits", settings).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    state = new_learner(config, data, torch.device("cpu"))
    state.model.train()
    train, meta = next(EpochBatches(data, config).epoch(0, with_meta=True))
    assert meta is not None
    return state, train, meta


def local() -> dict[str, torch.Tensor]:
    state, train, meta = first_batches("meta.parallel=local")
    return state.step.look_ahead(state.model, state.optimiser, train, meta).head_grads


def bytes_a_step() -> dict[str, float]:
    """What this process sends in one step, over the bytes of the network's parameters."""
    found = {}
    for parallel in ("exact", "local"):
        state, train, meta = first_batches(f"meta.parallel={parallel}")
        size = sum(p.numel() * p.element_size() for p in state.model.parameters())
        before = bytes_exchanged()
        state.step(state.model, state.optimiser, train, meta)
        found[parallel] = (bytes_exchanged() - before) / size
    return found


CASES = {
    2: [
        ("famus", ()),
        ("famus", ("meta.scope=tail", "meta.fidelity=released")),
        ("famus", ("meta.engine=double_backward",)),
        ("mwnet", ()),
        ("l2rw", ()),
        ("mlc", ("meta.lr=0.1",)),
        ("famus", ("meta.sampler=random", "meta.k=2", "meta.interval=2")),
        ("famus", ("meta.source=batch", "meta.scope=tail")),
        ("clidmu", ()),
        ("ce", ()),
    ],
    4: [("famus", ()), ("mwnet", ()), ("l2rw", ()), ("mlc", ("meta.lr=0.1",)),
        ("famus", ("meta.source=batch",)), ("famus", ("meta.engine=double_backward",))],
}  # fmt: skip


def worker(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    meet_on_this_machine(Path(folder) / "meet", rank, world)
    found = [some_steps(method, *overrides) for method, overrides in CASES[world]]
    results = {
        "steps": found,
        "sums": sums(rank),
        "early": sent_before_the_end(),
        "bytes": bytes_a_step(),
        "local": local(),
        "listening at": listening(),
    }
    torch.save(results, f"{folder}/rank{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def listening() -> list[str]:
    """The addresses at which this process waits for others."""
    sockets = psutil.Process().net_connections("inet")
    return [s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN]


def sent_before_the_end() -> tuple[bool, bool]:
    """Whether sums are on their way when the first layer's gradient is still to come."""
    first, last = (torch.ones(64, 64, requires_grad=True) for _ in range(2))
    output = ((torch.ones(1, 64) @ first).relu() @ last).sum()
    before, seen = bytes_exchanged(), []
    hook = first.register_hook(lambda _: seen.append(bytes_exchanged() - before))
    large, distributed.BUCKET_BYTES = distributed.BUCKET_BYTES, 1024
    gradients_summed(output, [first, last], None)
    before = bytes_exchanged()
    backward_summed(output, [first, last])
    distributed.BUCKET_BYTES = large
    hook.remove()
    return seen[0] > 0, seen[1] > 0


def sums(rank: int) -> list[torch.Tensor]:
    tensors = [
        torch.full((3, 2), rank + 1.0, dtype=torch.float32),
        torch.tensor(rank + 1.0, dtype=torch.float64),
    ]
    all_reduce_sum_(tensors)
    x = torch.tensor(2.0 * (rank + 1), requires_grad=True)
    (global_sum(x) ** 2).backward()
    return [*tensors, x.grad]


@pytest.fixture(scope="module", params=[2, 4], ids=["2 processes", "4 processes"])
def ranks(request, tmp_path_factory, run_processes) -> tuple[int, list[dict]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    run_processes(worker, request.param, str(folder), count=request.param)
    files = [folder / f"rank{rank}.pt" for rank in range(request.param)]
    return request.param, [torch.load(file, weights_only=True) for file in files]


@pytest.mark.usefixtures("float64")
def test_workers_with_a_share_of_the_batch_equal_one_with_the_whole(ranks):
    world, found = ranks
    for case, (method, overrides) in enumerate(CASES[world]):
        whole = some_steps(method, *overrides)
        for rank in range(world):
            shared = found[rank]["steps"][case]
            assert shared.keys() == whole.keys()
            for name in whole:
                error = (shared[name] - whole[name]).norm() / whole[name].norm().clamp_min(1e-6)
                assert error <= BOUND, (method, overrides, rank, name)


def test_sums_over_processes_and_their_gradient(ranks):
    world, found = ranks
    total = world * (world + 1) / 2
    for rank in range(world):
        ones, number, grad = found[rank]["sums"]
        assert ones.eq(total).all()
        assert number.item() == total
        # Each process's loss is (2 * total)^2; all of them depend on this one's x.
        assert grad.item() == world * 2 * (2 * total)


def test_processes_of_this_machine_meet_out_of_reach_of_others(ranks):
    _, found = ranks
    assert {address for rank in found for address in rank["listening at"]} == {"127.0.0.1"}


def test_sums_leave_while_the_backward_goes_on(ranks):
    _, found = ranks
    assert all(rank["early"] == (True, True) for rank in found)


@pytest.mark.usefixtures("float64")
def test_local_averages_what_each_process_finds_on_its_own_rows(ranks):
    world, found = ranks
    state, train, meta = first_batches()
    mine: dict[str, list[torch.Tensor]] = {}
    for rank in range(world):
        rows = [tuple(t.chunk(world)[rank] for t in batch) for batch in (train, meta)]
        grads = state.step.look_ahead(state.model, state.optimiser, *rows).head_grads
        for name, grad in grads.items():
            mine.setdefault(name, []).append(grad)
    for rank in range(world):
        for name, grads in mine.items():
            expected = torch.stack(grads).mean(dim=0)
            error = (found[rank]["local"][name] - expected).norm() / expected.norm()
            assert error <= BOUND, (rank, name)


def test_exact_sends_three_gradients_a_step_and_local_one(ranks):
    _, found = ranks
    for rank in found:
        assert rank["bytes"]["exact"] == pytest.approx(3, rel=0.1)
        assert rank["bytes"]["local"] == pytest.approx(1, rel=0.1)
