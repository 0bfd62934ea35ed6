"""MentorMix (Jiang et al. 2020)."""

from famus_ray.config.methods.declaration import Method

METHOD = Method(
    name="mentormix",
    about="mixup led by a curriculum of losses",
    build="famus_ray.methods.mentormix:build",
    reads=(
        "method.mixup_alpha", "method.percentile", "method.percentile_decay",
        "method.partner_temperature", "method.burn_in", "method.second_weighting",
    ),
    same_step_each_time=False,
    colour="#9a6b3f",
)  # fmt: skip
