"""CLID-MU (Hu et al. 2025)."""

from famus_ray.config.methods.declaration import REPEATED_META_STEP, WEIGHT_NET, Method

METHOD = Method(
    name="clidmu",
    about="learned weights, a meta loss without labels",
    build="famus_ray.methods.clidmu:build",
    reads=("method.graph_temperature", *WEIGHT_NET, *REPEATED_META_STEP),
    changes_in_run=("meta.lr",),
    sources=("set", "batch"),
    judges="train",
    moves_all_layers=True,
    colour="#3c4f9a",
)
