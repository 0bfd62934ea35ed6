"""The address of a Ray cluster in a setting."""

from __future__ import annotations

import re

from famus_ray.config.mistakes import shown

__all__ = ["address_problem", "host_and_port"]


def host_and_port(address: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT, or of [HOST]:PORT for an IPv6 address.

    None if the address has another form, or the port is not in 1 to 65535.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]@]+)):(\d{1,5})", address, re.ASCII)
    if match is None or not 0 < int(match[3]) < 2**16:
        return None
    return match[1] or match[2], int(match[3])


def address_problem(address: str) -> str | None:
    """Why no cluster can be joined at an address, with advice; None if the address is valid."""
    if address == "auto" or host_and_port(address):
        return None
    found = f"scale.address = {shown(address)}"
    wanted = "the address that `ray start --head` prints, such as 10.0.0.5:6379"
    if address == "local":
        return f"{found}: leave it out, and a Ray on this machine is started and stopped"
    if address.startswith("ray://"):
        return (
            f"{found}: is for Ray Client, which cannot run a study; run famus-ray on a machine of "
            f"the cluster, with scale.address=auto or {wanted}"
        )
    if re.match(r"https?://", address):
        return f"{found}: is the address of a dashboard; write {wanted}"
    return f"{found}: must be HOST:PORT, {wanted}, or auto"
