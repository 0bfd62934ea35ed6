"""The runs of one trial, without Ray."""

import pytest

from famus_ray.config.resolve import resolve
from famus_ray.errors import UserError
from famus_ray.scale.seeded import DatasetCache, SeededRuns


def test_a_curve_that_the_run_does_not_have_is_named(tmp_path):
    more = ("schedule.epochs=1", "run.threads=1", "model.widths=[4,4,8]", "method=ce",
            "study.constraints=['time/stp <= 1']")  # fmt: skip
    runs = SeededRuns(resolve("digits", more).config, tmp_path / "0000", DatasetCache())
    with pytest.raises(UserError, match=r"time/stp is not a curve of this run; .*time/step"):
        runs.step()
