"""The Pareto front: what no other trial beats in every objective."""

import pandas as pd

from famus_ray.reading.pareto import pareto_front
from famus_ray.reading.trials import best_of


def trials(*rows):
    columns = ["trial", "state", "value", "cost.time/step"]
    return pd.DataFrame([(i, *row) for i, row in enumerate(rows)], columns=columns)


def test_what_is_beaten_in_all_objectives_is_not_on_the_front():
    table = trials(
        ("completed", 0.9, 3.0),
        ("completed", 0.8, 1.0),
        ("completed", 0.7, 2.0),  # worse and slower than the one before
        ("completed", 0.8, 1.5),  # as good and slower
        ("pruned", 0.99, 0.1),
    )
    assert pareto_front(table)["trial"].tolist() == [0, 1]


def test_equals_share_the_front():
    table = trials(("completed", 0.5, 1.0), ("completed", 0.5, 1.0))
    assert len(pareto_front(table)) == 2


def test_with_one_objective_the_front_is_the_best():
    table = trials(("completed", 0.5, 1.0), ("completed", 0.6, 9.0)).drop(columns="cost.time/step")
    assert pareto_front(table)["trial"].tolist() == [1]


def test_what_breaks_a_constraint_is_neither_on_the_front_nor_the_best():
    table = trials(("completed", 0.9, 3.0), ("completed", 0.8, 1.0))
    table["excess.validation/loss <= 1"] = [0.2, -0.1]
    assert pareto_front(table)["trial"].tolist() == [1]
    assert best_of(table).number == 1
