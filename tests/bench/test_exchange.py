from __future__ import annotations

import pytest

from famus_ray.bench.exchange import bench_exchange
from famus_ray.bench.variants import PLAIN, Setup, Variant


def test_bytes_of_a_step_are_counted_in_real_processes():
    setup = Setup("preact_resnet8", batch=8, pixels=16)
    names = ("mwnet meta.parallel=exact", "mwnet meta.parallel=local")
    rows = bench_exchange(setup, [PLAIN, *(Variant(name) for name in names)], workers=2)
    plain, exact, local = rows
    assert plain.bytes == plain.parameter_bytes  # plain data parallel: its gradients, once
    assert exact.times_plain == pytest.approx(3, rel=0.02)
    assert local.times_plain == pytest.approx(1, rel=0.02)
