"""A Ray of this command's own: out of reach of other machines, and of other users of this one."""

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

# Where Ray would look for another cluster, or for the parts of one.
_OF_OTHERS = dict.fromkeys(("RAY_ADDRESS", "RAY_REDIS_ADDRESS", "RAY_GCS_SERVER_PORT"))


@contextmanager
def local_ray(cpus: int) -> Iterator[None]:
    """A Ray with so many cores is there while inside, and gone afterwards.

    All of its sockets listen on the loopback interface. Whoever talks to it needs its token: the
    user's where there is one, else one that this process makes and writes nowhere. Its files are
    in a folder that no other user may enter, under RAY_TMPDIR or /tmp.

    Raises:
        UserError: no room for these files.
        RuntimeError: Ray would listen to the network after all.
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
    """Inside, Ray takes 127.0.0.1 for what it is.

    Elsewhere it puts the machine's own address in its place, and listens on every interface, so
    that other machines can join. On macOS and Windows, where none can, it never does; the switch
    for that is a constant that is read from the environment when Ray is imported, in this process
    and in those that it starts.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment({ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


_made_token = secrets.token_hex(32)  # Ray reads a token once in a process's life


def _token() -> dict[str, str | None]:
    """The variables of Ray's token, which it asks for unless the user has said otherwise."""
    has_own = (
        "RAY_AUTH_TOKEN" in os.environ
        or "RAY_AUTH_TOKEN_PATH" in os.environ
        or os.access(f"{os.environ.get('HOME')}/.ray/auth_token", os.R_OK)
    )
    mode = os.environ.get("RAY_AUTH_MODE")  # Ray sets it; afterwards it is what it was
    return {"RAY_AUTH_MODE": mode, **({} if has_own else {"RAY_AUTH_TOKEN": _made_token})}


@contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Inside, these variables have these values, or are not set (None)."""
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
    """A new folder for Ray's files, which this user alone may enter."""
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
