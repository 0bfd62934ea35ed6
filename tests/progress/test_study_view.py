"""The view of a study under way: what a person reads in it."""

import io

import pytest
from rich.console import Console

from famus_ray.config.resolve import resolve
from famus_ray.progress.study_view import StudyProgress, spark_line
from famus_ray.scale.reports import Report, TrialNews


@pytest.fixture
def show():
    """What stands in a terminal, or was printed elsewhere, after these news."""

    def of(news, *overrides, terminal=True, trials=4):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=150, _environ={})
        config = resolve("digits", ("schedule.epochs=3", *overrides)).config
        progress = StudyProgress(config, trials, console=console)
        for one in news:
            progress.on_trial(one)
        if terminal:
            console.print(progress.view())
        return console.file.getvalue()

    return of


def epochs(number, *values):
    reports = [
        Report(epoch, max(values[:epoch]), latest=value, seconds=360 * epoch)
        for epoch, value in enumerate(values, start=1)
    ]
    return [TrialNews("reported", number, f"{number:04d}", report) for report in reports]


def ends(state, number, *values):
    *before, last = epochs(number, *values)
    began = TrialNews("started", number, f"{number:04d}")
    return [began, *before, last, TrialNews(state, number, f"{number:04d}", last.report)]


def test_a_terminal_shows_the_best_the_running_trials_and_the_hours(show):
    news = [
        *ends("completed", 0, 0.5, 0.7, 0.6), *ends("pruned", 1, 0.1),
        TrialNews("started", 2, "0002"), *epochs(2, 0.2, 0.4),
    ]  # fmt: skip
    text = show(news, "scale.gpus_per_worker=0.5")
    assert "best 0.7000 (trial 0)" in text
    assert "1 completed  1 pruned" in text
    assert "trial 2  2/3  ▁█  0.4000" in text
    # 0.3 h, 0.1 h and 0.2 h on half a GPU; the two to come as long as those that ended
    assert "GPU-hours 0.3 used, 0.2 to come" in text


def test_leaders_that_are_trained_again_are_called_so(show):
    news = [*ends("completed", 0, 0.5), TrialNews("started", 1, "0001", again=True)]
    text = show(news)
    assert "1 running  1 of them leaders with further seeds" in text
    assert "leader again 1" in text


def test_elsewhere_there_are_plain_lines(show):
    text = show(ends("pruned", 0, 0.5), terminal=False, trials=1)
    assert text.splitlines()[-1].startswith("trials 1/1  best 0.5000 (trial 0)  1 pruned")
    assert "\x1b" not in text


def test_what_breaks_a_constraint_is_not_shown_as_the_best(show):
    broken = TrialNews("reported", 0, "0000", Report(1, 0.9), can_lead=False)
    assert "best" not in show([broken])


def test_a_spark_line_is_between_the_lowest_and_the_highest_of_its_window():
    assert spark_line([9.0, 0.0, 0.5, 1.0], width=3) == "▁▅█"
    assert spark_line([0.3, 0.3]) == "▄▄"
    assert spark_line([]) == ""
