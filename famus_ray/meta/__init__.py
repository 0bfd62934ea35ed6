"""The meta gradient engine, for any `nn.Module`; needs torch alone."""

from famus_ray.meta.cross_fit import CrossFit
from famus_ray.meta.gates import FixedGates, LearnedGates
from famus_ray.meta.gradient import MetaGradient, meta_gradient
from famus_ray.meta.heads import LearnedWeights, MeanCrossEntropy, mean_cross_entropy

__all__ = [
    "CrossFit",
    "FixedGates",
    "LearnedGates",
    "LearnedWeights",
    "MeanCrossEntropy",
    "MetaGradient",
    "mean_cross_entropy",
    "meta_gradient",
]
