"""The work of a step: floating-point operations and bytes of every operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from famus_ray.bench.machine import Machine
from famus_ray.bench.runner import Runner
from famus_ray.phases import observed

__all__ = ["Work", "counted_work"]


@dataclass
class Work:
    """The operators of a round, as (floating-point operations, bytes moved), by phase."""

    operators: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def flops(self, phase: str | None = None) -> float:
        return sum(flops for flops, _ in self._of(phase))

    def bytes(self, phase: str | None = None) -> float:
        return sum(moved for _, moved in self._of(phase))

    def floor_seconds(self, machine: Machine) -> float:
        return sum(max(f / machine.flops, b / machine.bytes) for f, b in self._of(None))

    def _of(self, phase: str | None) -> list[tuple[float, float]]:
        if phase is not None:
            return self.operators.get(phase, [])
        return [pair for pairs in self.operators.values() for pair in pairs]


def counted_work(runner: Runner) -> Work:
    """The work of one round of a runner."""
    work = Work()
    counter = _Counter(work)
    with counter, observed(counter.in_phase):
        runner.round()
    return work


class _Counter(TorchDispatchMode):
    """Counts every operator that reaches a kernel, in forwards, backwards and tangents."""

    def __init__(self, work: Work) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._work = work
        self._phase = "other"

    @contextmanager
    def in_phase(self, name: str) -> Iterator[None]:
        self._phase = name
        try:
            yield
        finally:
            self._phase = "other"

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        count = flop_registry.get(func.overloadpacket)
        flops = float(count(*args, **kwargs, out_val=output)) if count else 0.0
        moved = 0 if _moves_nothing(func) else _bytes((args, kwargs)) + _bytes(output)
        if flops or moved:
            self._work.operators.setdefault(self._phase, []).append((flops, float(moved)))
        return output


def _moves_nothing(func: Any) -> bool:
    """Whether an operator moves no data: views, allocations and checks of shapes."""
    name = func.overloadpacket.__name__
    idle = ("empty", "_efficientzero", "is_same", "_has_same")
    return bool(func.is_view) or name.startswith(idle)


def _bytes(values: Any) -> int:
    """The bytes of the tensors in `values`; repeated values of expanded tensors count once."""
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
    return sum(_distinct(t) * t.element_size() for t in tensors if not t._is_zerotensor())


def _distinct(tensor: Tensor) -> int:
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count
