"""Joining an existing Ray cluster, with an error within seconds if that fails."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from famus_ray.config.address import host_and_port
from famus_ray.config.schema import ScaleConfig
from famus_ray.errors import UserError, first_line
from famus_ray.scale.local_ray import on_loopback

__all__ = ["asks_for_token", "check_address", "joined", "refusal"]

_ANSWER_WITHIN = 5.0  # seconds
_ASK = "/ray.rpc.NodeInfoGcsService/GetClusterId"  # the first request of every client of Ray

_HOW = (
    "set RAY_AUTH_MODE=token, and put the cluster's token into RAY_AUTH_HOW or ~/.ray/auth_token "
    "(`ray get-auth-token` prints it on the head node)"
)


def check_address(scale: ScaleConfig) -> None:
    """Raises UserError if the cluster at `scale.address` cannot be joined; takes some seconds.

    Does nothing without an address, or in a process that is already connected to a cluster.
    """
    import ray

    if scale.address is None or ray.is_initialized():
        return
    where = f"scale.address = {scale.address}"
    address = scale.address if scale.address != "auto" else _found_by_ray()
    if address is None:
        raise UserError(f"{where}: no Ray runs on this machine; write its HOST:PORT")
    if refused := refusal(address):
        raise UserError(f"{where}: {refused}")


def refusal(address: str) -> str | None:
    """The reason why the cluster at HOST:PORT refuses this process; None if it does not."""
    import grpc
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._private.grpc_utils import init_grpc_channel
    from ray.exceptions import AuthenticationError

    try:
        ensure_token_if_auth_enabled(create_token_if_missing=False)
        with init_grpc_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            channel.unary_unary(_ASK)(b"", timeout=_ANSWER_WITHIN)
    except AuthenticationError:
        return f"RAY_AUTH_MODE is token, and there is no token; {_HOW}"
    except grpc.RpcError as error:
        return _reason(error.code(), error.details() or "")
    return None


def asks_for_token(address: str) -> bool:
    """Whether the cluster at HOST:PORT refuses a request without a token."""
    import grpc

    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_ASK)(b"", timeout=_ANSWER_WITHIN)
        except grpc.RpcError:  # without TLS where it asks for that, it is refused as well
            return True
    return False


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Inside, this process is a driver of the cluster at `address`.

    Raises:
        UserError: the cluster cannot be joined from this machine.
    """
    import ray

    check_address(ScaleConfig(address=address))
    with on_loopback() if _is_loopback(address) else nullcontext():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ray.exceptions.RayError) as error:
            raise UserError(
                f"scale.address = {address}: a Ray cluster is there, but cannot be joined from "
                f"this machine ({first_line(error)}); run famus-ray on one of its nodes"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _found_by_ray() -> str | None:
    """HOST:PORT of the cluster that Ray finds for `auto`; None if it finds none."""
    from ray._private import services

    try:
        return str(services.canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError:
        return None


def _reason(code: object, details: str) -> str:
    import grpc

    start = "is the cluster running? `ray start --head` prints its address"
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"this Ray cluster asks for a token, and got none or a wrong one; {_HOW}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer within {_ANSWER_WITHIN:.0f} s; {start}"
    if code is grpc.StatusCode.UNAVAILABLE and "HTTP/2" not in details:
        reason = details.rpartition(": ")[2] or "unreachable"
        return f"no Ray cluster answers there ({reason}); {start}"
    return f"what answers there is not a Ray cluster; {start}"


def _is_loopback(address: str) -> bool:
    host, _ = host_and_port(address) or ("", 0)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
