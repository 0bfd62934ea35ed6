"""FaMUS (Xu et al. 2021)."""

from famus_ray.config.methods.declaration import (
    GATES,
    PIPELINE,
    REPEATED_META_STEP,
    WEIGHT_NET,
    Method,
)

METHOD = Method(
    name="famus",
    about="learned weights, the meta gradient from gated layers",
    build="famus_ray.methods.famus:build",
    reads=(*WEIGHT_NET, *REPEATED_META_STEP, *GATES, *PIPELINE),
    changes_in_run=("meta.lr", "meta.gate_lr", "meta.lambda1", "meta.lambda2"),
    sources=("set", "batch", "pseudo_clean"),
    class_losses=True,
    colour="#0b7a75",
)
