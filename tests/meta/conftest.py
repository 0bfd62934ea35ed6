"""One call of the meta gradient by the fast engine and by its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from famus_ray.meta import MetaGradient, meta_gradient

CLASSES = 4
Batch = tuple[Tensor, Tensor]


@pytest.fixture(scope="session")
def batches():
    """A train and a meta batch of random images of four classes."""

    def draw(count: int, dtype: torch.dtype, seed: int, size: int = 8) -> tuple[Batch, Batch]:
        generator = torch.Generator().manual_seed(seed)

        def one() -> Batch:
            images = torch.randn(count, 3, size, size, generator=generator, dtype=dtype)
            return images, torch.randint(CLASSES, (count,), generator=generator)

        return one(), one()

    return draw


@pytest.fixture(scope="session")
def both_engines():
    """By jvp and by double backward, from the same weights and random numbers."""

    def run(net: nn.Module, head: nn.Module, pair: tuple[Batch, Batch], **kw) -> list[MetaGradient]:
        state = {k: v.clone() for k, v in net.state_dict().items()}
        found = []
        for engine in ("jvp", "double_backward"):
            net.load_state_dict(state)
            torch.manual_seed(1)
            found.append(meta_gradient(net, head, *pair, lookahead_lr=0.3, engine=engine, **kw))
        return found

    return run


@pytest.fixture(scope="session")
def difference():
    """Relative difference of two tensors, or of the meta gradients in two answers."""

    def relative(a: Tensor | MetaGradient, b: Tensor | MetaGradient) -> float:
        a, b = (torch.cat([g.flatten() for g in x.head_grads.values()])
                if isinstance(x, MetaGradient) else x for x in (a, b))  # fmt: skip
        scale = b.norm().item()
        return (a - b).norm().item() / scale if scale > 1e-12 else (a - b).norm().item()

    return relative
