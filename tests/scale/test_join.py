"""A cluster at an address: joined, or a reason within seconds why not."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from famus_ray.scale.join import refusal

pytestmark = pytest.mark.ray

TOKEN = "0123456789abcdef" * 4
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # else it would listen to the network


def command(name: str) -> Path:
    return Path(sys.executable).with_name(name)


@pytest.fixture(scope="module")
def with_token() -> Iterator[str]:
    """The address of a cluster that asks for a token, on this machine's loopback interface."""
    folder = Path(tempfile.mkdtemp(prefix="fr", dir="/tmp"))  # socket paths must stay short
    head = subprocess.Popen(
        [
            command("ray"), "start", "--head", "--block", "--node-ip-address=127.0.0.1", "--port=0",
            "--num-cpus=1", "--include-dashboard=false", "--dashboard-agent-listen-port=0",
            f"--temp-dir={folder}",
        ],
        env={**os.environ, **LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ports = folder.glob("session_2*/runtime_env_agent_port_*")
    while head.poll() is None and not any(ports):  # written once the node is up
        time.sleep(0.1)
        ports = folder.glob("session_2*/runtime_env_agent_port_*")
    assert head.poll() is None, "`ray start` ended"
    (port,) = folder.glob("session_2*/gcs_server_port_*")
    yield f"127.0.0.1:{port.read_text()}"
    started = psutil.Process(head.pid).children(recursive=True)
    head.terminate()
    head.wait(timeout=300)
    for process in psutil.wait_procs(started, timeout=5)[1]:
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ({}, "asks for a token, and got none or a wrong one; set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "token"}, "RAY_AUTH_MODE is token, and there is no token; set"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, "got none or a wrong one"),
    ],
)
def test_a_cluster_that_asks_for_a_token_says_so(tmp_path, with_token, mode, message):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    finished = subprocess.run(
        [command("famus-ray"), "tune", "quick", f"scale.address={with_token}",
         f"run.root={tmp_path}"],
        env={**environment, "HOME": str(tmp_path / "no"), **mode},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert finished.returncode == 2
    assert f"scale.address = {with_token}: " in finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


JOIN = """
import sys, ray
from famus_ray.scale.join import joined
with joined(sys.argv[1]):
    print(ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


def test_with_its_token_it_is_joined(with_token):
    finished = subprocess.run(
        [sys.executable, "-c", JOIN, with_token],
        env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert finished.stdout.split() == ["42"]


def test_what_is_no_cluster_is_told_within_ten_seconds():
    silent = socket.create_server(("127.0.0.1", 0))
    web = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    closed = socket.create_server(("127.0.0.1", 0))
    free = closed.getsockname()[1]
    closed.close()
    asked = {
        f"127.0.0.1:{silent.getsockname()[1]}": "no answer within 5 s; is the cluster running?",
        f"127.0.0.1:{web.server_port}": "what answers there is not a Ray cluster",
        f"127.0.0.1:{free}": "no Ray cluster answers there (Connection refused)",
        "no-such-host.invalid:6379": "no Ray cluster answers there",
    }
    for address, message in asked.items():
        began = time.monotonic()
        assert message in (refusal(address) or "")
        assert time.monotonic() - began < 10
    web.shutdown()
    web.server_close()
    silent.close()
