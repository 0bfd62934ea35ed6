"""mixup (Zhang et al. 2018)."""

from famus_ray.config.methods.declaration import Method

METHOD = Method(
    name="mixup",
    about="convex combinations of pairs of examples",
    build="famus_ray.methods.mixup:build",
    reads=("method.mixup_alpha",),
    same_step_each_time=False,
    colour="#8e5ea2",
)
