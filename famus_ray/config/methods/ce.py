"""Plain training with cross-entropy or LDAM: the baseline."""

from famus_ray.config.methods.declaration import Method

METHOD = Method(
    name="ce",
    about="plain cross-entropy",
    build="famus_ray.methods.ce:build",
    class_losses=True,
    colour="#7a7f87",
)
