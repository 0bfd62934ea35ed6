"""Sums over the processes of a data-parallel run; without a process group, the identity.

Everything the meta step exchanges is first order: gradients, and the sum of the
example weights. So plain all-reduces are enough, flattened into few messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "all_reduce_mean_",
    "all_reduce_sum_",
    "alone",
    "backward_summed",
    "bytes_exchanged",
    "global_sum",
    "global_values",
    "rank",
    "world_size",
]

BUCKET_BYTES = 25 * 2**20  # the size at which DDP, too, found messages to be efficient


_is_alone = False
_bytes = 0


def world_size() -> int:
    """Number of processes that train together, 1 without a process group."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """This process's place among them, from 0."""
    return dist.get_rank() if _together() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process counts as the only one: sums over processes are its own values."""
    global _is_alone
    before, _is_alone = _is_alone, True
    try:
        yield
    finally:
        _is_alone = before


def bytes_exchanged() -> int:
    """Bytes that this process has put into sums over processes since it began."""
    return _bytes


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and not _is_alone


def all_reduce_sum_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its sum over all processes.

    Tensors of one dtype travel together in flat messages of about 25 MiB.
    """
    if world_size() == 1:
        return
    for bucket in _buckets(tensors):
        _Message(bucket).arrive()


def all_reduce_mean_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over all processes."""
    all_reduce_sum_(tensors)
    for tensor in tensors if world_size() > 1 else ():
        tensor /= world_size()


def backward_summed(loss: Tensor, parameters: Sequence[Tensor]) -> None:
    """`loss.backward()`, with every `.grad` summed over all processes.

    A message leaves as soon as the last of its gradients is there, while the backward
    goes on; messages leave in the same order everywhere.
    """
    if world_size() == 1:
        loss.backward()
        return
    buckets = _buckets([p for p in reversed(parameters) if p.requires_grad])
    place = {parameter: i for i, bucket in enumerate(buckets) for parameter in bucket}
    waiting = [len(bucket) for bucket in buckets]
    messages: list[_Message] = []

    def send() -> None:
        grads = [p.grad for p in buckets[len(messages)] if p.grad is not None]
        messages.append(_Message(grads))

    def on_gradient(parameter: Tensor) -> None:
        waiting[place[parameter]] -= 1
        while len(messages) < len(buckets) and waiting[len(messages)] == 0:
            send()

    hooks = [p.register_post_accumulate_grad_hook(on_gradient) for p in place]
    try:
        loss.backward()
    finally:
        for hook in hooks:
            hook.remove()
    while len(messages) < len(buckets):  # parameters that the loss does not reach
        send()
    for message in messages:
        message.arrive()


class _Message:
    """Some tensors on their way to being summed, flat; they are not to be touched meanwhile."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.flat = torch.cat([t.reshape(-1) for t in tensors]) if tensors else None
        if self.flat is not None:
            _count(self.flat)
            self.work = dist.all_reduce(self.flat, async_op=True)

    def arrive(self) -> None:
        """Wait, and put the sums in the tensors' place."""
        if self.flat is None:
            return
        self.work.wait()
        sizes = [t.numel() for t in self.tensors]
        for tensor, summed in zip(self.tensors, self.flat.split(sizes), strict=True):
            tensor.copy_(summed.view_as(tensor))


def global_sum(x: Tensor) -> Tensor:
    """The sum of `x` over all processes, differentiable.

    Its backward sums the incoming gradients over all processes, so that a loss that
    is itself a sum of the processes' parts gets its exact gradient.
    """
    if world_size() == 1:
        return x
    summed: Tensor = _GlobalSum.apply(x)
    return summed


def global_values(x: Tensor) -> Tensor:
    """The values (N * B,) of all processes, each of which holds B of them; no gradient."""
    if world_size() == 1:
        return x
    gathered = x.new_empty(world_size() * len(x))
    _count(x)
    dist.all_gather_into_tensor(gathered, x.contiguous())
    return gathered


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        _count(total)
        dist.all_reduce(total)
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
