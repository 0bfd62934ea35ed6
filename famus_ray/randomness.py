"""Randomness as a function of seed, purpose and epoch.

No generator runs through the whole training. So an epoch that is repeated after a crash or in a
resumed run draws the same random numbers without a saved state. Results are equal to the last bit
on one machine; other processors may round differently.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["epoch_generator", "epoch_seed"]


def epoch_seed(seed: int, purpose: str, epoch: int) -> int:
    """A seed in [0, 2^63) for this purpose and epoch only."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def epoch_generator(seed: int, purpose: str, epoch: int) -> torch.Generator:
    """A CPU generator seeded with `epoch_seed`."""
    return torch.Generator().manual_seed(epoch_seed(seed, purpose, epoch))
