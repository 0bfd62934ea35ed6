"""The time budget of a study: counted over its commands, kept to, and no failure."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import famus_ray as fr
from famus_ray.records.ledger import append_event, read_events
from famus_ray.scale.time_budget import done_within, used_seconds

PROGRAM = str(Path(sys.executable).with_name("famus-ray"))


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
@pytest.mark.slow
def test_a_study_ends_by_itself_with_0_and_more_time_goes_on_with_it(tmp_path):
    (tmp_path / "space.yaml").write_text(
        "preset: digits\nsettings: {method: ce, schedule: {epochs: 200}}\n"
        "space: {optimiser.lr: {type: float, low: 0.01, high: 0.1}}\n",
        encoding="utf-8",
    )

    def run(*words):
        return subprocess.run(
            [PROGRAM, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    cut = run(
        "tune", "space.yaml", "run.threads=1", "--hours", "0.003", "--concurrent", "1",
        "--name", "job",
    )  # fmt: skip
    assert cut.returncode == 0, cut.stderr
    assert "study.hours = 0.003: the time is used up; 0 of 16 trials have ended" in cut.stderr
    ledger = tmp_path / "runs" / "job" / "ledger.jsonl"
    before, used = read_events(ledger), used_seconds(read_events(ledger))
    assert {event["event"] for event in before} >= {"started", "attempt"}
    more = run("resume", "job", f"study.hours={used / 3600 + 0.003}")
    assert more.returncode == 0, more.stderr
    assert "was cut" not in more.stderr
    after = read_events(ledger)
    assert sum(e["event"] == "attempt" for e in after) > sum(
        e["event"] == "attempt" for e in before
    )
    assert sum(e["event"] == "started" for e in after) == 1  # the trial that was cut goes on
