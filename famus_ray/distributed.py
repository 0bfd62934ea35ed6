"""Sums over the processes of a data-parallel run; the identity without a process group.

The meta step exchanges only first-order values: gradients and the sum of the example weights. So
plain all-reduces are enough, of tensors flattened into few messages.
"""

# Shapes: B values of each process, W processes (world size).
from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "all_reduce_mean_",
    "all_reduce_sum_",
    "alone",
    "among",
    "backward_summed",
    "bytes_exchanged",
    "global_sum",
    "global_values",
    "gradients_summed",
    "meet_on_this_machine",
    "rank",
    "world_size",
]

BUCKET_BYTES = 25 * 2**20  # size of a message, the default of DDP


_is_alone = False
_group: dist.ProcessGroup | None = None  # all processes
_bytes = 0


def meet_on_this_machine(file: Path, rank: int, world_size: int) -> None:
    """Joins a process group of this machine's processes, by gloo on the loopback interface.

    Other machines cannot reach it.

    Args:
        file: a new file through which the processes find each other.
        rank: of this process, from 0.
        world_size: number of processes.
    """
    loopback = (name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", next(loopback, ""))
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world_size)


def world_size() -> int:
    """The number of processes that train together; 1 without a process group."""
    return dist.get_world_size(_group) if _together() else 1


def rank() -> int:
    """The rank of this process, from 0."""
    return dist.get_rank(_group) if _together() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Inside, the world size is 1: sums over processes are this process's own values."""
    global _is_alone
    before, _is_alone = _is_alone, True
    try:
        yield
    finally:
        _is_alone = before


@contextmanager
def among(group: dist.ProcessGroup | None) -> Iterator[None]:
    """Inside, sums run over the processes of `group`, which includes this one; None for all."""
    global _group
    before, _group = _group, group
    try:
        yield
    finally:
        _group = before


def bytes_exchanged() -> int:
    """The bytes that this process has put into sums over processes since its start."""
    return _bytes


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and not _is_alone


def all_reduce_sum_(tensors: Sequence[Tensor]) -> None:
    """Replaces each tensor, in place, by its sum over all processes.

    Tensors of one dtype are sent together in flat messages of about 25 MiB.
    """
    if world_size() == 1:
        return
    for bucket in _buckets(tensors):
        _Message(bucket).arrive(bucket)


def all_reduce_mean_(tensors: Sequence[Tensor]) -> None:
    """Replaces each tensor, in place, by its mean over all processes."""
    all_reduce_sum_(tensors)
    for tensor in tensors if world_size() > 1 else ():
        tensor /= world_size()


def backward_summed(loss: Tensor, parameters: Sequence[Tensor]) -> None:
    """`loss.backward()` with every `.grad` summed over all processes, overlapping the backward."""
    if world_size() == 1:
        loss.backward()
        return
    wanted = [p for p in reversed(parameters) if p.requires_grad]
    sums = _Departures(wanted)
    with ExitStack() as hooks:
        for p in wanted:
            hook = p.register_post_accumulate_grad_hook(lambda p: sums.known(p, p.grad))
            hooks.enter_context(hook)
        loss.backward()
    sums.arrive({p: p.grad for p in wanted if p.grad is not None})


def gradients_summed(
    output: Tensor,
    inputs: Sequence[Tensor],
    grad_output: Tensor | None,
    unused: Sequence[Tensor] = (),
    *,
    summed: bool = True,
) -> tuple[list[Tensor], tuple[Tensor | None, ...]]:
    """`torch.autograd.grad`, summed over all processes during the backward; keeps the graph.

    Args:
        output: differentiated.
        inputs: tensors to differentiate by.
        grad_output: factor of the output's gradient, in its shape; None for a scalar output.
        unused: further tensors to differentiate by.
        summed: False returns this process's own gradients; sums inside the graph still run.

    Returns:
        The gradients of `inputs`, zeros where the output does not depend on one; and those of
        `unused`, not summed, None where the output does not depend on one.
    """
    sums = _Departures(inputs[::-1]) if summed and world_size() > 1 else None
    with ExitStack() as hooks:
        if sums:
            for x in inputs:
                hooks.enter_context(x.register_hook(partial(sums.known, x)))
        found = torch.autograd.grad(
            output, [*inputs, *unused], grad_output, retain_graph=True, allow_unused=True
        )
    pairs = zip(inputs, found, strict=False)
    grads = [torch.zeros_like(x) if grad is None else grad for x, grad in pairs]
    if sums:
        sums.arrive(dict(zip(inputs, grads, strict=True)))
    return grads, found[len(inputs) :]


class _Departures:
    """Sends gradients to be summed while the backward is running.

    A message is sent as soon as all of its gradients are known. Messages have the same order on
    all processes.

    Args:
        inputs: tensors of the gradients, roughly in the order in which these become known.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self._buckets = _buckets(inputs)
        self._place = {x: i for i, bucket in enumerate(self._buckets) for x in bucket}
        self._waiting = [len(bucket) for bucket in self._buckets]
        self._known: dict[Tensor, Tensor] = {}
        self._messages: list[_Message] = []

    def known(self, x: Tensor, grad: Tensor | None) -> None:
        """Records the complete gradient of `x`."""
        assert grad is not None
        self._known[x] = grad
        self._waiting[self._place[x]] -= 1
        while len(self._messages) < len(self._buckets) and not self._waiting[len(self._messages)]:
            self._send()

    def arrive(self, grads: Mapping[Tensor, Tensor]) -> None:
        """Waits for all sums and copies them into `grads`; sends gradients not recorded so far."""
        self._known = dict(grads)
        while len(self._messages) < len(self._buckets):
            self._send()
        for message, bucket in zip(self._messages, self._buckets, strict=True):
            message.arrive([grads[x] for x in bucket if x in grads])

    def _send(self) -> None:
        bucket = self._buckets[len(self._messages)]
        self._messages.append(_Message([self._known[x] for x in bucket if x in self._known]))


class _Message:
    """An asynchronous all-reduce of some tensors, flattened into one."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.flat = torch.cat([t.reshape(-1) for t in tensors]) if tensors else None
        if self.flat is not None:
            _count(self.flat)
            self.work = dist.all_reduce(self.flat, group=_group, async_op=True)

    def arrive(self, tensors: Sequence[Tensor]) -> None:
        """Waits for the sums and copies them into `tensors`."""
        if self.flat is None:
            return
        self.work.wait()
        sizes = [t.numel() for t in tensors]
        for tensor, summed in zip(tensors, self.flat.split(sizes), strict=True):
            tensor.copy_(summed.view_as(tensor))


def global_sum(x: Tensor) -> Tensor:
    """The sum of `x` over all processes, differentiable.

    Its backward sums the incoming gradients over all processes: a loss that is the sum of the
    processes' shares gets its exact gradient.
    """
    if world_size() == 1:
        return x
    summed: Tensor = _GlobalSum.apply(x)
    return summed


def global_values(x: Tensor) -> Tensor:
    """The values (W * B,) of all processes, each of which holds `x` (B,); without gradient."""
    if world_size() == 1:
        return x
    gathered = x.new_empty(world_size() * len(x))
    _count(x)
    dist.all_gather_into_tensor(gathered, x.contiguous(), group=_group)
    return gathered


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        _count(total)
        dist.all_reduce(total, group=_group)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return global_sum(grad_outputs[0])


def _count(x: Tensor) -> None:
    global _bytes
    _bytes += x.numel() * x.element_size()


def _buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    buckets: list[list[Tensor]] = []
    open_buckets: dict[tuple[torch.dtype, torch.device], tuple[list[Tensor], int]] = {}
    for tensor in tensors:
        key = (tensor.dtype, tensor.device)
        bucket, size = open_buckets.get(key, ([], BUCKET_BYTES))
        if size >= BUCKET_BYTES:
            bucket, size = [], 0
            buckets.append(bucket)
        bucket.append(tensor)
        open_buckets[key] = (bucket, size + tensor.numel() * tensor.element_size())
    return buckets
