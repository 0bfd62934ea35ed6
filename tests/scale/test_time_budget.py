"""The time budget of a study: counted over its commands, kept to, and no failure."""

import signal
import threading
import time
from collections import Counter

import pytest

import famus_ray as fr
from famus_ray.records.ledger import append_event, read_events
from famus_ray.scale.study import resume_study, run_study
from famus_ray.scale.time_budget import done_within, used_seconds
from famus_ray.spaces.space import load_space


def test_time_is_counted_while_a_command_runs_the_study():
    times = [("opened", 0), ("reported", 50), ("opened", 1000), ("reported", 1007)]
    events = [
        {"event": event, "time": f"2026-01-01T00:{s // 60:02}:{s % 60:02}+00:00"}
        for event, s in times
    ]
    assert used_seconds(events) == 57
    assert used_seconds([]) == 0


def test_work_ends_when_the_time_is_used_up(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    append_event(ledger, "opened")
    began = time.monotonic()
    assert not done_within(0.5 / 3600, ledger, lambda: time.sleep(60))
    assert time.monotonic() - began < 30
    assert done_within(1, ledger, lambda: None)
    assert done_within(None, ledger, lambda: None)


def test_an_error_of_the_work_is_no_end_in_time(tmp_path):
    def fails():
        raise ValueError("its own")

    append_event(tmp_path / "ledger.jsonl", "opened")
    with pytest.raises(ValueError, match="its own"):
        done_within(1, tmp_path / "ledger.jsonl", fails)


def test_nothing_starts_once_the_time_is_used_up(tmp_path):
    ledger, begun = tmp_path / "ledger.jsonl", []
    append_event(ledger, "opened")
    time.sleep(0.02)
    append_event(ledger, "reported", "0000")
    assert not done_within(0.01 / 3600, ledger, lambda: begun.append(1))
    assert not begun


def test_another_thread_has_no_timer(tmp_path):
    told = []

    def start():
        try:
            done_within(1, tmp_path / "ledger.jsonl", lambda: None)
        except fr.UserError as error:
            told.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in told[0]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_instance")
def test_a_study_ends_by_itself_and_more_time_goes_on_with_it(tmp_path):
    file, study, told = tmp_path / "space.yaml", tmp_path / "job", []
    file.write_text(
        "preset: digits\nsettings: {method: ce, schedule: {epochs: 2000}}\n"
        "space: {optimiser.lr: {type: float, low: 0.01, high: 0.1}}\n",
        encoding="utf-8",
    )

    def time_flies(news):
        if news.event == "reported":
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    given = ("run.threads=1", "study.concurrent=1", "study.hours=1")
    run_study(load_space(str(file), given), study, time_flies, tell=told.append)
    assert "study.hours = 1: the time is used up; 0 of 16 trials have ended" in told[-1]
    before = [*read_events(study / "ledger.jsonl")]
    resume_study(study, ("study.hours=2",), time_flies, tell=told.append)
    assert "study.hours = 2: the time is used up; 0 of 16 trials have ended" in told[-1]
    after = [*read_events(study / "ledger.jsonl")]
    counts = [Counter(event["event"] for event in events) for events in (before, after)]
    assert counts[1]["reported"] > counts[0]["reported"]
    assert counts[1]["started"] == 1  # the trial that was cut goes on
