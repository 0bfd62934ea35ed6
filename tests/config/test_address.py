"""Where a cluster may be: what is written in `scale.address`."""

from __future__ import annotations

import pytest

from famus_ray.config import resolve
from famus_ray.errors import UserError


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://10.0.0.5:8265", "is the address of a dashboard; write .* such as 10.0.0.5:6379"),
        ("https://ray.example.org", "is the address of a dashboard"),
        ("ray://10.0.0.5:10001", "is for Ray Client, .* scale.address=auto"),
        ("local", "leave it out, and a Ray on this machine is started"),
        ("10.0.0.5", "must be HOST:PORT"),
        ("10.0.0.5:0", "must be HOST:PORT"),
        ("10.0.0.5:65536", "must be HOST:PORT"),
        ("10.0.0.5:port", "must be HOST:PORT"),
        ("10.0.0.5:٦٣٧٩", "must be HOST:PORT"),
        ("user@host:6379", "must be HOST:PORT"),
        ("::1:6379", "must be HOST:PORT"),
    ],
)
def test_what_is_no_address_of_a_cluster_is_refused_with_what_to_write(address, message):
    with pytest.raises(UserError, match=rf"scale.address = .*: {message}"):
        resolve("digits", [f"scale.address={address}"])


@pytest.mark.parametrize("address", ["10.0.0.5:6379", "head:6379", "'[::1]:6379'", "auto"])
def test_an_address_of_a_cluster_is_kept(address):
    kept = resolve("digits", [f"scale.address={address}"]).config.scale.address
    assert kept == address.strip("'")
