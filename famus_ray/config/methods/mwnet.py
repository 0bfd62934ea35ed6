"""Meta-Weight-Net (Shu et al. 2019)."""

from famus_ray.config.methods.declaration import PIPELINE, REPEATED_META_STEP, WEIGHT_NET, Method

METHOD = Method(
    name="mwnet",
    about="learned weights, the meta gradient from all layers",
    build="famus_ray.methods.mwnet:build",
    reads=(*WEIGHT_NET, *REPEATED_META_STEP, *PIPELINE),
    changes_in_run=("meta.lr",),
    sources=("set", "batch", "pseudo_clean"),
    class_losses=True,
    moves_all_layers=True,
    colour="#d97b29",
)
