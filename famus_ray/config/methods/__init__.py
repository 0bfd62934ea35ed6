"""What each training method is, needs and reads: a file a method, readable without torch.

The names that `method.name` takes, the contradictions between settings, the batches, what a study
may search and perturb, colours and docs all follow from these declarations. The step itself is
built in `famus_ray.methods`, or wherever `Method.build` says.
"""

from __future__ import annotations

from famus_ray.config.methods.declaration import Method
from famus_ray.config.methods.known import known_methods, method_named, names_of

__all__ = ["Method", "known_methods", "method_named", "names_of"]
