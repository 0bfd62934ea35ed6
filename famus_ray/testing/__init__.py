"""What a method, data set, layer grouping or searcher must keep, as checks that anyone can run.

Ours are all run through them; so can one of your own be, in a test of yours:

    @pytest.mark.parametrize("check", METHOD_CHECKS)
    def test_my_method(check, tmp_path):
        check("mine.bootstrap:METHOD", tmp_path)

Each raises an AssertionError that says what is broken.
"""

from __future__ import annotations

from famus_ray.testing.data import check_reader
from famus_ray.testing.groups import check_groups
from famus_ray.testing.methods import METHOD_CHECKS
from famus_ray.testing.searchers import check_sampler

__all__ = ["METHOD_CHECKS", "check_groups", "check_reader", "check_sampler"]
