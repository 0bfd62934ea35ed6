from __future__ import annotations

from collections.abc import Iterator

import pytest
from machines import NEEDED, Machines, why_not


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A laptop and two machines with sshd, and a folder that both machines see."""
    if reason := why_not(NEEDED):
        pytest.skip(reason)
    with Machines(tmp_path_factory.mktemp("machines")).up() as up:
        yield up
