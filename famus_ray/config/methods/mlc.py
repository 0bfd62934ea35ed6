"""MLC (Wang et al. 2020)."""

from famus_ray.config.methods.declaration import PIPELINE, REPEATED_META_STEP, Method

METHOD = Method(
    name="mlc",
    about="a learned label transition matrix",
    build="famus_ray.methods.mlc:build",
    reads=("meta.matrix_lr", *REPEATED_META_STEP, *PIPELINE),
    sources=("set", "batch", "pseudo_clean"),
    moves_all_layers=True,
    colour="#b5467a",
)
