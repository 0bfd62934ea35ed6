"""One thread for tiny tensors: two would mostly wait for each other on a busy machine.

Tests marked `gpu` are left out where there is none. Processes that a shell starts in the background
ignore Ctrl-C, those under nohup a lost terminal, and so would those that tests start.
"""

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for processes
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def float64():
    """Numbers are of double precision in this test, whole runs of this process included.

    Two ways of computing the same are then compared where rounding (1e-16) cannot decide: it
    differs from processor to processor.
    """
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def ray_instance():
    """One Ray of two CPUs for all tests, started as the commands start theirs: whatever other
    cluster the shell knows of."""
    from famus_ray.scale import cluster
    from famus_ray.scale.local_ray import local_ray

    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.QUIET.items():
            patch.setenv(name, value)
        patch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # nothing answers there
        with local_ray(cpus=2):
            patch.delenv("RAY_ADDRESS")
            yield


@pytest.fixture(scope="session")
def run_processes():
    """Runs a function of the process's number in several processes at once, until all have ended.

    They are forked from one that has imported what they need: each would take seconds for it.
    """
    import multiprocessing

    from torch.multiprocessing.spawn import start_processes

    multiprocessing.set_forkserver_preload(["famus_ray.training.loop"])

    def run(function, *arguments, count):
        start_processes(function, arguments, nprocs=count, start_method="forkserver")

    return run


@pytest.fixture(scope="session")
def kill_with_children():
    """Kills a process of a test and all that it started, as the loss of their machine would."""
    import psutil

    def kill(process):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            if child.is_running():
                child.kill()
        process.wait()
        psutil.wait_procs(children, timeout=20)

    return kill


def pytest_collection_modifyitems(config, items):
    import torch

    if torch.cuda.is_available():
        return
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
