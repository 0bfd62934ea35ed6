"""Names of machine types, and whether a file promises the GPUs that a type has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from famus_ray.cluster.machines import MACHINES
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked
from famus_ray.errors import did_you_mean

__all__ = ["check_machine_type"]

# How the providers build the names; a type that is newer than this list passes if it is built so.
_FORMS = {
    "gcp": re.compile(
        r"(custom-\d+-\d+|[a-z]\d[a-z]?-(standard|highmem|highcpu|megamem|ultramem|hypermem|micro"
        r"|small|medium|custom|node|highgpu|megagpu|ultragpu|maxgpu|edgegpu)(-\d+g?)*(-lssd|-metal)?)"
    ),
    "azure": re.compile(
        r"(Standard|Basic)_[A-Z]{1,3}\d+(-\d+)?[a-z]*(_[A-Z]{1,4}\d+[A-Za-z]*)?(_v\d+)?"
    ),
}


def check_machine_type(marked: Marked, here: Address, key: str, provider: str) -> Iterator[Problem]:
    """Problems with the name of a machine type, and with the GPUs that Ray is told of.

    Args:
        marked: the file.
        here: the mapping that holds the name.
        key: the key of the name.
        provider: gcp or azure.
    """
    address = (*here, key)
    name = marked.at(address)
    known = {kind: one for kind, one in MACHINES.items() if one.provider == provider}
    if not isinstance(name, str):
        yield marked.problem(here, "machine-type", f"{key} is missing", f"write {key}: ...")
    elif name not in known and not _FORMS[provider].fullmatch(name):
        what = f"{key} = {name}: no machine type{did_you_mean(name, known)}"
        mend = f"write one such as {', '.join([k for k, one in known.items() if one.gpus][:3])}"
        yield marked.problem(address, "machine-type", what, mend)
    elif name in known:
        resources = (*here[:2], "resources")
        told = marked.at((*resources, "GPU"), 0)
        if told != known[name].gpus:
            what = f"{here[1]}: Ray is told of {told} GPU(s), and {name} has {known[name].gpus}"
            mend = f"write resources: {{CPU: {known[name].cpus}, GPU: {known[name].gpus}}}"
            yield marked.problem((*resources, "GPU"), "resources", what, mend)
