"""Sums over processes, in a process that is alone; with several: tests/meta/test_parallel.py."""

from __future__ import annotations

import torch

from famus_ray.distributed import (
    all_reduce_mean_,
    all_reduce_sum_,
    backward_summed,
    bytes_exchanged,
    global_sum,
    global_values,
    gradients_summed,
    rank,
    world_size,
)


def test_alone_every_sum_is_ones_own():
    assert (rank(), world_size()) == (0, 1)
    values = [torch.tensor([1.0, 2.0]), torch.tensor(3.0, dtype=torch.float64)]
    before = bytes_exchanged()
    all_reduce_sum_(values)
    all_reduce_mean_(values)
    assert values[0].tolist() == [1.0, 2.0]
    assert values[1].item() == 3.0
    assert global_values(values[0]).tolist() == [1.0, 2.0]
    assert bytes_exchanged() == before


def test_alone_gradients_are_those_of_the_loss():
    x, unused = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    loss = global_sum((x**2).sum())
    grads, (none,) = gradients_summed(loss, [x], None, unused=[unused])
    assert [grad.tolist() for grad in grads] == [[2.0, 4.0]]
    assert none is None
    backward_summed((x**3).sum(), [x])
    assert x.grad.tolist() == [3.0, 12.0]
