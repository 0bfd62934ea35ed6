"""The declarations of the training methods, one file per method; they do not import torch.

They determine the names that `method.name` takes, contradictions between settings, the batches,
the settings that a study may search and perturb, colours, and documentation. The step itself is
built by the function in `Method.build`, for the package's methods in `famus_ray.methods`.
"""

from __future__ import annotations

from famus_ray.config.methods.declaration import Method
from famus_ray.config.methods.known import known_methods, method_named, names_of

__all__ = ["Method", "known_methods", "method_named", "names_of"]
