"""The schedule of a trial: its own settings since it was born, before those of its forebears."""

import pandas as pd

from famus_ray.reading.lineage import changed_settings, schedule_of

TRIALS = pd.DataFrame(
    {
        "trial": [0, 1, 2, 3],
        "parent": pd.array([None, None, 0, 2], dtype="Int64"),
        "from_epoch": pd.array([None, None, 2, 4], dtype="Int64"),
        "epochs": [6, 2, 4, 6],
        "param.optimiser.lr": [0.1, 0.3, 0.08, 0.1],
        "param.meta.k": [3, 4, 3, 3],
        "param.meta.grouping": ["layer", "tensor", "layer", "layer"],
        "param.meta.lambda1": [None, None, None, None],
    }
)


def test_a_child_has_the_settings_of_its_forebears_until_it_was_born():
    line = schedule_of(TRIALS, 3, "optimiser.lr")
    assert line.to_dict() == {1: 0.1, 2: 0.1, 3: 0.08, 4: 0.08, 5: 0.1, 6: 0.1}
    assert schedule_of(TRIALS, 1, "optimiser.lr").to_dict() == {1: 0.3, 2: 0.3}


def test_only_what_a_child_has_otherwise_than_its_parent_changed():
    assert changed_settings(TRIALS) == ["optimiser.lr"]
    assert changed_settings(TRIALS.iloc[:2]) == []
