"""DivideMix (Li et al. 2020)."""

from famus_ray.config.methods.declaration import PIPELINE, Method

METHOD = Method(
    name="dividemix",
    about="two networks divide the data for each other, no weights",
    build="famus_ray.methods.dividemix:build",
    reads=PIPELINE,
    always_two_networks=True,
    colour="#5f8a3c",
)
