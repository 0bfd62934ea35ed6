"""A forward pass that is recorded once and replayed with tangents where they flow.

The Jacobian-vector product needs the same forward as the training loss. Modules that no tangent
reaches (the trunk below the lowest open gate) return their recorded output. A convolution or
linear layer whose output is known computes only its tangent. Most recorded activations cost no
extra memory: a normalisation layer saves its input for the backward anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from famus_ray.meta.recorded import Call, sampled
from famus_ray.meta.watch import ConstantsStayConstant, Watch

__all__ = ["OTHER_LOGITS", "ForwardRecord"]

OTHER_LOGITS = (
    "the network does not do the same when the same batch is passed through it again: random "
    "numbers from outside torch's global generator, or state of its own; "
    "engine='double_backward' needs no second pass"
)


class ForwardRecord:
    """The recorded outputs of a network's modules, in the order of their calls.

    Recorded are the outermost modules that hold no parameter of `moving`, and every convolution
    and linear layer. Dropout draws the same random numbers in the replay; a network that draws
    any is replayed without the record.

    Attributes:
        seen: observations of the recorded forward.

    Args:
        model: the network.
        moving: names of the parameters that may get a tangent.
    """

    def __init__(self, model: nn.Module, moving: Sequence[str]) -> None:
        self._modules = list(_worth_recording(model, set(moving)))
        self._calls: dict[nn.Module, list[Call]] = {}
        self._rng_state: list[Tensor] = []
        self._draws_numbers = False
        self.seen = Watch()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Inside, the calls of the modules are recorded."""
        self._rng_state = _rng_state()
        hooks = [
            # Before the module's other hooks: they will change the reused output again.
            module.register_forward_hook(self._record, prepend=True)
            for module in self._modules
        ]
        try:
            with self.seen:
                yield
        finally:
            for hook in hooks:
                hook.remove()
        after = _rng_state()
        self._draws_numbers = not all(map(torch.equal, self._rng_state, after))

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Calls made inside, in the recorded order, reuse the record where no tangent flows.

        Values computed without gradients get no tangent.

        Raises:
            ValueError: the calls are not the recorded ones.
        """
        constants = ConstantsStayConstant() if self.seen.makes_constants else nullcontext()
        with self._replacing(self._replayed), constants:
            yield

    @contextmanager
    def reusing(self) -> Iterator[None]:
        """Calls made inside reuse the record where no input or parameter requires a gradient.

        Nothing is reused if the network makes constants: they require no gradient, yet their
        values change with the parameters.
        """
        makes_constants = self.seen.makes_constants
        with self.same_numbers() if makes_constants else self._replacing(self._reused):
            yield

    @contextmanager
    def _replacing(
        self, make: Callable[[nn.Module, Iterator[Call]], Callable[..., Any]]
    ) -> Iterator[None]:
        replaced = [] if self._draws_numbers else self._modules
        left = {module: iter(self._calls.get(module, ())) for module in replaced}
        for module in replaced:
            module.forward = make(module, left[module])
        try:
            with self.same_numbers():
                yield
            if any(next(calls, None) is not None for calls in left.values()):
                raise ValueError(OTHER_LOGITS)
        finally:
            for module in replaced:
                del module.forward

    @contextmanager
    def same_numbers(self) -> Iterator[None]:
        """Calls made inside draw the random numbers of the recorded forward."""
        now = _rng_state()
        _set_rng_state(self._rng_state)
        try:
            yield
        finally:
            _set_rng_state(now)

    def _record(self, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not _keeps_tensors(module):
            with torch._C.DisableTorchFunction():  # this is not the network's doing
                call = Call(output.detach(), output._version, sampled(args))
            self._calls.setdefault(module, []).append(call)

    def _replayed(self, module: nn.Module, calls: Iterator[Call]) -> Callable[..., Any]:
        original = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            recorded = self._recorded(module, calls, args)
            if recorded is None:
                return original(*args, **kwargs)
            if not any(map(_has_tangent, (*tree_leaves((args, kwargs)), *module.parameters()))):
                return recorded
            if isinstance(module, nn.Conv2d | nn.Linear) and len(args) == 1 and not kwargs:
                return forward_ad.make_dual(recorded, _linear_tangent(module, args[0], recorded))
            return original(*args, **kwargs)

        return forward

    def _reused(self, module: nn.Module, calls: Iterator[Call]) -> Callable[..., Any]:
        original = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            reached = (*tree_leaves((args, kwargs)), *module.parameters())
            if any(isinstance(x, Tensor) and x.requires_grad for x in reached):
                next(calls, None)
                return original(*args, **kwargs)
            recorded = self._recorded(module, calls, args)
            return original(*args, **kwargs) if recorded is None else recorded

        return forward

    def _recorded(
        self, module: nn.Module, calls: Iterator[Call], args: tuple[Any, ...]
    ) -> Tensor | None:
        """The output of the next recorded call; None if it was since changed in place."""
        if module not in self._calls:
            return None
        call = next(calls, None)
        if call is None or not call.had(args):
            raise ValueError(OTHER_LOGITS)
        return call.output if call.output._version == call.version else None


def _worth_recording(model: nn.Module, moving: set[str]) -> Iterator[nn.Module]:
    seen: set[nn.Module] = set()
    places = Counter(child for parent in model.modules() for child in parent._modules.values())
    moving_ids = {id(p) for name, p in model.named_parameters() if name in moving}

    def visit(module: nn.Module) -> Iterator[nn.Module]:
        parameters = list(module.parameters())
        if module in seen or not parameters or "forward" in module.__dict__:
            return
        seen.add(module)
        # A module shared with another parent must be called as often as it was recorded.
        apart = all(places[part] == 1 for part in module.modules() if part is not module)
        still = apart and not any(id(p) in moving_ids for p in parameters)
        if module is not model and (still or _is_linear(module)):
            yield module
        else:
            for child in module.children():
                yield from visit(child)

    yield from visit(model)


def _is_linear(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        own = type(module).forward, type(module)._conv_forward
        plain = own == (nn.Conv2d.forward, nn.Conv2d._conv_forward)
        return plain and module.padding_mode == "zeros"
    return type(module).forward is nn.Linear.forward


def _keeps_tensors(module: nn.Module) -> bool:
    """Whether the module stores tensors in attributes, which a skipped call would not update."""
    return any(isinstance(v, Tensor) for part in module.modules() for v in vars(part).values())


def _linear_tangent(module: nn.Conv2d | nn.Linear, x: Tensor, output: Tensor) -> Tensor:
    """d(f(x; w)) for f linear in x and in w: f(dx; w) + f(x; dw) + db, shaped as `output`."""
    x, dx = forward_ad.unpack_dual(x)
    weight, dweight = forward_ad.unpack_dual(module.weight)
    tangent = None
    if dx is not None:
        tangent = _apply_linear(module, dx, weight)
    if dweight is not None:
        along_weight = _apply_linear(module, x, dweight)
        tangent = along_weight if tangent is None else tangent.add_(along_weight)
    dbias = None if module.bias is None else forward_ad.unpack_dual(module.bias).tangent
    if dbias is not None:
        per_channel = dbias if isinstance(module, nn.Linear) else dbias.view(-1, 1, 1)
        tangent = torch.zeros_like(output) if tangent is None else tangent
        tangent.add_(per_channel)
    assert tangent is not None, "called only where a tangent flows"
    return tangent


def _apply_linear(module: nn.Conv2d | nn.Linear, x: Tensor, weight: Tensor) -> Tensor:
    if isinstance(module, nn.Linear):
        return F.linear(x, weight)
    return F.conv2d(x, weight, None, module.stride, module.padding, module.dilation, module.groups)


def _has_tangent(value: Any) -> bool:
    return isinstance(value, Tensor) and forward_ad.unpack_dual(value).tangent is not None


def _rng_state() -> list[Tensor]:
    states = [torch.get_rng_state()]
    # A CUDA graph is captured only of a network without random numbers
    # (famus_ray/training/cuda_graph.py).
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    if on_gpu and not torch.cuda.is_current_stream_capturing():
        states.append(torch.cuda.get_rng_state())
    return states


def _set_rng_state(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state(states[1])
