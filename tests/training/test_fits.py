"""What does not fit into memory is refused before any of it is taken."""

import resource

import pytest

from famus_ray import UserError
from famus_ray.config import resolve
from famus_ray.training.estimate import run_cost
from famus_ray.training.fits import free_memory
from famus_ray.training.loop import checked_data

TOO_LARGE = {
    "model.widths=[100000,100000,100000]": "model.widths = [100000, 100000, 100000]: needs more",
    "model.name=wrn40_999": "model.name = wrn40_999: needs more memory",
    "model.name=wrn1000_1000": "model.name = wrn1000_1000: at most wrn994_999",
    f"model.name=wrn{'9' * 500}4_1": "at most wrn994_999",
    "schedule.balanced_batches=1000000000": "schedule.balanced_batches = 1000000000: needs more",
    "data.crop_padding=1000": "data.crop_padding = 1000: needs more memory",
    "meta.gate_hidden=1000000": "meta.gate_hidden = 1000000: needs more memory",
    "meta.hidden=1000000": "meta.hidden = 1000000: needs more memory",
}
WITH = {
    "data.crop_padding=1000": ["run.batch_size=1190"],
    "meta.gate_hidden=1000000": ["meta.fidelity=released"],
    "meta.hidden=1000000": ["run.batch_size=1190"],
}


@pytest.fixture
def few_gib(monkeypatch):
    """A machine of 4 GiB, whatever this one has."""
    monkeypatch.setattr("famus_ray.training.fits.free_memory", lambda device=None: 4.0 * 2**30)


@pytest.mark.parametrize(("override", "found"), TOO_LARGE.items(), ids=[k[:40] for k in TOO_LARGE])
def test_what_does_not_fit_is_refused_before_it_is_taken(few_gib, override, found):
    config = resolve("digits", [override, *WITH.get(override, [])]).config
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        checked_data(config)
    message = str(caught.value)
    assert found in message
    assert "\n" not in message
    if "needs more" in found:
        assert "4.0 GiB are free; lower it" in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


def test_a_dry_run_refuses_it_as_well(few_gib):
    with pytest.raises(UserError, match=r"model.name = wrn40_999: needs more memory"):
        run_cost(resolve("digits", ["model.name=wrn40_999"]).config)


def test_the_memory_that_is_free_is_no_more_than_the_machine_has():
    import psutil

    assert 0 < free_memory() <= psutil.virtual_memory().total


def test_a_batch_that_fits_is_not_refused():
    checked_data(resolve("digits", ["model.widths=[4,4,4]", "meta.gate_hidden=1000"]).config)
