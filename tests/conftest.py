"""One thread for tiny tensors: two would mostly wait for each other on a busy machine.

Tests marked `gpu` are left out where there is none. Processes that a shell starts in the background
ignore Ctrl-C, and so would those that tests start.
"""

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for processes
signal.signal(signal.SIGINT, signal.default_int_handler)


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


def pytest_collection_modifyitems(config, items):
    import torch

    if torch.cuda.is_available():
        return
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
