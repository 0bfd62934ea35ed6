"""A local Ray of this command, out of reach of other machines and other users."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from famus_ray.errors import UserError, first_line

__all__ = ["LOOPBACK", "local_ray", "on_loopback"]

LOOPBACK = "127.0.0.1"

_NEEDED = 100 * 2**20  # bytes for Ray's logs
_LONGEST_SOCKET = 103  # bytes of a socket's path on macOS; Linux allows 107
_LIKE_RAYS = "frXXXXXXXX/r/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"

# Variables in which Ray would look for an existing cluster.
_OF_OTHERS = dict.fromkeys(("RAY_ADDRESS", "RAY_REDIS_ADDRESS", "RAY_GCS_SERVER_PORT"))


@contextmanager
def local_ray(cpus: int) -> Iterator[None]:
    """Inside, a local Ray with `cpus` cores is running.

    All of its sockets listen on the loopback interface. Its clients need a token: the user's own
    if there is one, else one that this process generates and writes nowhere. Its files are in a
    folder under RAY_TMPDIR or /tmp that only this user may enter.

    Raises:
        UserError: there is no space for these files.
        RuntimeError: Ray listens on another interface.
    """
    import ray

    folder = _private_folder()
    try:
        with on_loopback(), _environment({**_OF_OTHERS, **_token()}):
            ray.init(
                address="local",
                num_cpus=cpus,
                _node_ip_address=LOOPBACK,
                _temp_dir=str(folder / "r"),
                dashboard_host=LOOPBACK,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        if (address := ray.util.get_node_ip_address()) != LOOPBACK:
            raise RuntimeError(
                f"Ray {ray.__version__} listens at {address}, where other machines could reach "
                "it; this version of famus-ray does not know how to prevent that"
            )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Inside, Ray listens at 127.0.0.1 if told to.

    By default Ray on Linux replaces that address by the machine's own and listens on every
    interface, so that other machines can join. On macOS and Windows, where none can join, it does
    not. Its switch is a constant, read from the environment when Ray is imported: it is changed
    in this process and, by the environment, in the processes that Ray starts.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment({ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


_made_token = secrets.token_hex(32)  # one per process: Ray reads the token only once


def _token() -> dict[str, str | None]:
    """The variables of Ray's token; Ray asks for one unless the user has disabled that."""
    has_own = (
        "RAY_AUTH_TOKEN" in os.environ
        or "RAY_AUTH_TOKEN_PATH" in os.environ
        or os.access(f"{os.environ.get('HOME')}/.ray/auth_token", os.R_OK)
    )
    mode = os.environ.get("RAY_AUTH_MODE")  # Ray changes it: listed here, it is restored
    return {"RAY_AUTH_MODE": mode, **({} if has_own else {"RAY_AUTH_TOKEN": _made_token})}


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Inside, these environment variables have these values; None for unset."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _private_folder() -> Path:
    """A new folder for Ray's files that only this user may enter."""
    root = os.environ.get("RAY_TMPDIR", "/tmp")  # noqa: S108 - the folder in it is new
    room = _LONGEST_SOCKET - len(_LIKE_RAYS) - 1
    if len(os.fsencode(Path(root).absolute())) > room:
        raise UserError(
            f"RAY_TMPDIR = {root}: too long for Ray's sockets; choose a folder whose path has at "
            f"most {room} characters, or leave it out"
        )
    choose = "; set RAY_TMPDIR to another folder"
    try:
        if (free := shutil.disk_usage(root).free) < _NEEDED:
            raise UserError(
                f"{root}: {free / 2**20:.0f} MiB are free, Ray's logs need "
                f"{_NEEDED / 2**20:.0f}{choose}"
            )
        return Path(tempfile.mkdtemp(prefix="fr", dir=root))
    except OSError as error:
        raise UserError(f"{root}: Ray cannot write there ({first_line(error)}){choose}") from error
