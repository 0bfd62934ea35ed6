"""How many runs fit on given nodes, and what is said when none does."""

from __future__ import annotations

import pytest

from famus_ray.config.schema import ScaleConfig
from famus_ray.errors import UserError
from famus_ray.scale.capacity import check_fits, runs_at_once


def scale(workers=1, cpus=1.0, gpus=0.0, **more) -> ScaleConfig:
    return ScaleConfig(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus, **more)


HEAD, CPUS, GPUS = {"memory": 1.0}, {"CPU": 3.0}, {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("wanted", "nodes", "expected"),
    [
        (scale(), [HEAD, CPUS, CPUS], 6),
        (scale(cpus=2), [CPUS, CPUS], 2),  # a worker lies on one node
        (scale(workers=2, cpus=2), [CPUS, CPUS], 1),  # a run may lie on two
        (scale(workers=2, gpus=1), [CPUS, GPUS, GPUS], 2),
        (scale(cpus=1, gpus=0.25), [CPUS, GPUS], 8),
        (scale(cpus=4, gpus=0.25), [CPUS, GPUS], 2),
        (scale(), [HEAD], 0),
    ],
)
def test_runs_that_fit(wanted, nodes, expected):
    assert runs_at_once(wanted, nodes) == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (scale(workers=4, cpus=2), "4 workers x 2 CPU need 8 CPUs, there are 6; lower"),
        (scale(gpus=1), "1 workers x 1 GPU need 1 GPUs, there are 0; lower"),
        (scale(cpus=4), "needs 4 CPUs of one node; the nodes have 3 CPUs, 3 CPUs; lower"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_arithmetic(wanted, message):
    with pytest.raises(UserError, match=message):
        check_fits(wanted, [CPUS, CPUS])


def test_a_cluster_that_grows_is_waited_for_and_another_is_told_how():
    check_fits(scale(gpus=1, address="auto", autoscaling=True), [CPUS])
    with pytest.raises(UserError, match=r"or scale\.autoscaling=true if it adds nodes"):
        check_fits(scale(gpus=1, address="auto"), [CPUS])
