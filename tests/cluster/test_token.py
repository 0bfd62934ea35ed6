"""A cluster with a token, started on loopback as the shipped files start theirs: who commands."""

from __future__ import annotations

import http.client
import ipaddress
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from famus_ray.cluster.free_ports import free_ports

pytestmark = pytest.mark.cluster

# Requests that command, one for each of Ray's services.
GRPC = {
    "the head's tables": "/ray.rpc.NodeInfoGcsService/GetClusterId",
    "a node": "/ray.rpc.NodeManagerService/GetNodeStats",
    "Ray Client": "/ray.rpc.RayletDriver/ClusterInfo",
}
HTTP = ("/api/jobs/", "/api/job_agent/jobs/", "/get_or_create_runtime_env")
TOKENS = {"none": None, "a wrong one": "0" * 64}


@pytest.fixture(scope="module")
def token() -> str:
    return secrets.token_hex(32)


@pytest.fixture(scope="module")
def sockets(token: str) -> Iterator[list[tuple[str, str, int]]]:
    """The name, address and port of everything of the cluster that listens."""
    home = Path(tempfile.mkdtemp(prefix="fr", dir="/tmp"))  # socket paths must stay short
    (home / "token").write_text(token)
    gcs, dashboard, agent, client = map(str, free_ports(4))
    command = [
        Path(sys.executable).with_name("ray"), "start", "--head", "--node-ip-address=127.0.0.1",
        f"--port={gcs}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}",
        "--min-worker-port=0", "--max-worker-port=0", "--num-cpus=1", f"--temp-dir={home}/r",
        "--block",
    ]  # fmt: skip
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    env |= {"HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    env |= {"RAY_AUTH_TOKEN_PATH": str(home / "token"), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    with (home / "log").open("w") as log:
        head = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        last = {int(agent), int(client)}  # of the services to start
        wait_until(lambda: last <= {port for _, _, port in listening(head.pid)}, home)
        yield listening(head.pid)
    finally:
        mine = psutil.Process(head.pid).children(recursive=True)
        head.terminate()
        head.wait(60)
        _, alive = psutil.wait_procs(mine, timeout=20)
        for process in alive:
            process.kill()
        shutil.rmtree(home, ignore_errors=True)


def wait_until(done: Callable[[], bool], home: Path) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end, (home / "log").read_text()
        time.sleep(0.5)


def listening(pid: int) -> list[tuple[str, str, int]]:
    """What a process and its children listen at."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            connections, name = process.net_connections("inet"), process.name()
        except psutil.Error:
            continue
        found += [(name, *c.laddr) for c in connections if c.status == psutil.CONN_LISTEN]
    return found


def grpc_answer(port: int, method: str, token: str | None) -> str:
    sent = (("authorization", f"Bearer {token}"),) if token else None
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        try:
            channel.unary_unary(method)(b"", timeout=5, metadata=sent)
        except grpc.RpcError as error:
            return error.code().name
    return "OK"


def http_answer(port: int, path: str, token: str | None) -> int | None:
    """The status of a POST; None from what does not speak HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    sent = {"Content-Type": "application/json"}
    sent |= {"Authorization": f"Bearer {token}"} if token else {}
    try:
        connection.request("POST", path, body=b"{}", headers=sent)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_nothing_listens_where_other_machines_could_reach_it(sockets):
    assert len(sockets) >= 8
    for name, text, port in sockets:
        address = ipaddress.ip_address(text)
        mapped = getattr(address, "ipv4_mapped", None)
        assert (mapped or address).is_loopback, f"{name} at {text}:{port}"


@pytest.mark.parametrize("given", TOKENS)
def test_every_port_that_takes_commands_refuses(sockets, given: str, token: str):
    wrong, answered = TOKENS[given], set()
    for name, _, port in sockets:
        for what, method in GRPC.items():
            answer = grpc_answer(port, method, wrong)
            assert answer in ("UNAUTHENTICATED", "UNAVAILABLE", "UNIMPLEMENTED"), (name, what)
            if answer == "UNAUTHENTICATED":
                answered.add(what)
                assert grpc_answer(port, method, token) != "UNAUTHENTICATED", (name, what)
        for path in HTTP:
            answer = http_answer(port, path, wrong)
            assert answer in (None, 401, 403, 404, 405), (name, port, path, answer)
            if answer in (401, 403):
                answered.add(path)
                assert http_answer(port, path, token) not in (401, 403), (name, path)
    assert answered == {*GRPC, *HTTP}  # each was found, and lets the right token in
