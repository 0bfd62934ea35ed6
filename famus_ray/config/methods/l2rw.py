"""L2RW (Ren et al. 2018)."""

from famus_ray.config.methods.declaration import META_STEP, PIPELINE, Method

METHOD = Method(
    name="l2rw",
    about="a weight an example, from scratch at each step",
    build="famus_ray.methods.l2rw:build",
    reads=(*META_STEP, *PIPELINE),
    sources=("set", "pseudo_clean"),  # not "batch": it weighs all rows, so none is left to judge
    moves_all_layers=True,
    colour="#2f6db5",
)
