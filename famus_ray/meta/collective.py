"""Sums over the processes of a data-parallel run; without a process group, the identity.

Everything the meta step exchanges is first order: gradients, and the sum of the
example weights. So plain all-reduces are enough, flattened into few messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["all_reduce_sum_", "global_sum", "global_values", "rank", "world_size"]

BUCKET_BYTES = 25 * 2**20  # the size at which DDP, too, found messages to be efficient


def world_size() -> int:
    """Number of processes that train together, 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's place among them, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_reduce_sum_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its sum over all processes.

    Tensors of one dtype travel together in flat messages of about 25 MiB.
    """
    if world_size() == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([t.reshape(-1) for t in bucket])
        dist.all_reduce(flat)
        sizes = [t.numel() for t in bucket]
        for tensor, summed in zip(bucket, flat.split(sizes), strict=True):
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
    dist.all_gather_into_tensor(gathered, x.contiguous())
    return gathered


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:
        return global_sum(grad_outputs[0])


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
