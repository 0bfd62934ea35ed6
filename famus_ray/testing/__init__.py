"""Checks of the contracts of methods, data sets, layer groupings and searchers.

The package's own parts pass them. Use them in tests of your own parts:

    @pytest.mark.parametrize("check", METHOD_CHECKS)
    def test_my_method(check, tmp_path):
        check("mine.bootstrap:METHOD", tmp_path)

A check raises AssertionError with a message on what is broken.
"""

from __future__ import annotations

from famus_ray.testing.data import check_reader
from famus_ray.testing.groups import check_groups
from famus_ray.testing.methods import METHOD_CHECKS
from famus_ray.testing.searchers import check_sampler

__all__ = ["METHOD_CHECKS", "check_groups", "check_reader", "check_sampler"]
