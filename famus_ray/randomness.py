"""Randomness as a function of seed, purpose and epoch.

Nothing draws from a stream that runs through the whole training. So an epoch that is run
again, after a crash or in a resumed run, sees the same numbers without any saved state. What
is computed from them is the same to the last bit on one machine; other processors round otherwise.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["epoch_generator", "epoch_seed"]


def epoch_seed(seed: int, purpose: str, epoch: int) -> int:
    """A seed in [0, 2^63) that belongs to this purpose and epoch alone."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def epoch_generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    """A CPU generator seeded with `epoch_seed`."""
    return torch.Generator().manual_seed(epoch_seed(seed, purpose, epoch))
