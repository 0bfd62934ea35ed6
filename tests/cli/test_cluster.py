"""famus-ray cluster: what it would run, for each kind of file, and what it refuses."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

import famus_ray

SHIPPED = Path(famus_ray.__file__).parents[1] / "cluster"
ONPREM = str(SHIPPED / "onprem" / "cluster.yaml")
SLURM = str(SHIPPED / "slurm" / "famus.sbatch")
SKY = str(SHIPPED / "skypilot" / "famus.sky.yaml")
STANDING = str(SHIPPED / "kubernetes" / "overlays" / "standing")
RAYJOB = str(SHIPPED / "kubernetes" / "base" / "rayjob.yaml")


@pytest.fixture
def would_run(here):
    """The command lines that a dry run prints, split into words."""

    def run(verb: str, *words: str) -> list[list[str]]:
        code, printed, told = here("cluster", verb, *words, "--dry-run")
        assert code == 0, told
        return [shlex.split(line[2:]) for line in printed.splitlines() if line.startswith("$ ")]

    return run


@pytest.fixture
def submitted(here):
    """The command lines that `submit` prints for a command, split into words."""

    def run(file: str, *words: str) -> list[list[str]]:
        code, printed, told = here("cluster", "submit", file, "--dry-run", "--", *words)
        assert code == 0, told
        return [shlex.split(line[2:]) for line in printed.splitlines() if line.startswith("$ ")]

    return run


def test_on_prem_starts_waits_for_every_machine_and_stops_the_workers_first(
    would_run, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    token, private, up, wait = would_run("up", ONPREM)
    assert private == ["chmod", "600", str(tmp_path / ".ray" / "auth_token")]
    assert token == ["ray", "get-auth-token", "--generate"]
    assert up == ["RAY_UP_enable_autoscaler_v2=0", "ray", "up", "-y", "--no-config-cache", ONPREM]
    assert wait[:3] == ["ray", "exec", ONPREM]
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    assert would_run("up", ONPREM) == [private, up, wait]
    stop, down = would_run("down", ONPREM)
    assert stop[0] == "ssh"
    assert stop[-2] == "ubuntu@10.0.0.5"
    assert down[1:] == ["ray", "down", "-y", ONPREM]
    assert would_run("fetch", ONPREM, "a") == [
        ["ray", "rsync-down", ONPREM, "/mnt/shared/runs/a", "runs/"]
    ]
    assert would_run("fetch", ONPREM, "/b/c", "--to", "d")[0][-2:] == ["/b/c", "d/"]


def test_down_check_asks_the_machines_or_the_cloud_and_ends_nothing(would_run, here, tmp_path):
    asked = would_run("down", ONPREM, "--check")
    assert [argv[-2] for argv in asked] == ["ubuntu@10.0.0.4", "ubuntu@10.0.0.5"]
    assert all(argv[-1].startswith("pgrep ") for argv in asked)
    for name, program in {"aws/gpu-spot": "aws", "gcp/gpu": "gcloud", "azure/gpu": "az"}.items():
        asked = would_run("down", str(SHIPPED / f"{name}.yaml"), "--check")
        assert {argv[0] for argv in asked} == {program}
        assert all({"list", "ec2"} & {*argv} for argv in asked)
    assert would_run("down", SLURM, "--check")[0][:2] == ["squeue", "--me"]


def test_up_tells_machines_price_and_end_before_anything_runs(here):
    _, printed, _ = here("cluster", "up", ONPREM, "--dry-run")
    assert printed.splitlines()[:3] == [
        "# machines: 2 machines of yours",
        "# price: nothing is rented",
        "# ends: not by itself",
    ]


@pytest.fixture
def rented(tmp_path):
    """The file of a head without trials and of up to two machines with four GPUs each."""
    text = (SHIPPED / "aws" / "gpu-ondemand.yaml").read_text().replace("REPLACE-ME", "mine")
    (tmp_path / "rented.yaml").write_text(text)
    return "rented.yaml"


@pytest.mark.parametrize(
    ("words", "each", "fits"),
    [
        ("", "1 worker x 1 CPU and 1 GPU", "8 trials at once on 96 CPUs and 8 GPUs, 0 before"),
        ("scale.workers=4", "4 workers x 1 CPU and 1 GPU", "2 trials at once"),
        ("scale.cpus_per_worker=24", "1 worker x 24 CPUs and 1 GPU", "4 trials at once"),
        ("--concurrent 3", "1 worker x 1 CPU and 1 GPU", "study.concurrent allows 3"),
    ],
)
def test_a_study_is_told_how_many_trials_fit(here, rented, words, each, fits):
    study = ("tune", "famus", "scale.gpus_per_worker=1", *words.split())
    _, printed, _ = here("cluster", "submit", rented, "--dry-run", "--", *study)
    first, second, *_ = printed.splitlines()
    assert first == f"# a trial: {each}"
    assert second.startswith("# fits: ")
    assert fits in second


def test_a_trial_that_fits_no_machine_is_refused_with_the_arithmetic(refused, here, rented):
    study = "tune famus scale.workers=16 scale.gpus_per_worker=1"
    refused(f"cluster submit {rented} --dry-run -- {study}", "need 16 GPUs, there are 8")
    refused(
        f"cluster submit {rented} --dry-run -- train digits scale.cpus_per_worker=64",
        "each worker needs 64 CPUs of one node",
    )
    _, printed, _ = here("cluster", "submit", rented, "--dry-run", "--", "train", "digits")
    assert "# fits: yes; the machines have 96 CPUs and 8 GPUs for it" in printed


def test_what_the_file_does_not_say_is_said_so(here, rented):
    _, printed, _ = here("cluster", "submit", ONPREM, "--dry-run", "--", "tune", "famus")
    assert "# fits: not known: the file does not say what a machine has" in printed
    _, printed, _ = here("cluster", "submit", rented, "--dry-run", "--", "tune", "there.yaml")
    assert "# fits: not known here: there.yaml: no such search space" in printed
    _, printed, _ = here("cluster", "submit", ONPREM, "--dry-run", "--", "trials", "a")
    assert "fits" not in printed


def test_a_job_gets_the_clusters_address_and_the_folder_that_all_machines_see(submitted):
    run, ask = submitted(ONPREM, "tune", "famus", "--trials", "4")
    inner = shlex.split(run[-1])
    assert inner[:5] == ["env", "RAY_AUTH_MODE=token", "ray", "job", "submit"]
    there = inner[inner.index("--") + 1 :]
    assert there[:3] == ["famus-ray", "tune", "famus"]
    assert there[-2:] == ["run.root=/mnt/shared/runs", "scale.address=auto"]
    assert inner[6] in ask[-1]  # the same job is asked for its exit code
    own = ("run.root=/x", "scale.address=auto", "model.widths=[4, 4]")
    run, _ = submitted(ONPREM, "famus-ray", "train", "digits", *own)
    assert shlex.split(run[-1])[-6:] == ["famus-ray", "train", "digits", *own]
    run, _ = submitted(ONPREM, "check", "--cluster")
    there = ["check", "--cluster", "--address", "auto", "--root", "/mnt/shared/runs"]
    assert shlex.split(run[-1])[-6:] == there
    run, _ = submitted(ONPREM, "check", "--cluster", "--root=/x")
    assert "/mnt/shared/runs" not in run[-1]
    run, _ = submitted(ONPREM, "trials", "first")
    assert shlex.split(run[-1])[-3:] == ["famus-ray", "trials", "first"]


def test_own_files_go_along_with_a_job_or_one_is_told_what_to_do(submitted, here, tmp_path):
    (tmp_path / "nets.py").write_text("import parts\n")
    (tmp_path / "parts.py").write_text("")
    (tmp_path / "other.py").write_text("")
    pack, make, send, away, unpack, run, _ = submitted(
        ONPREM, "train", "digits", "model.name=nets:a"
    )
    assert pack[: pack.index(">")] == ["tar", "-czf", "-", "--", "nets.py", "parts.py"]
    archive = pack[-1]
    assert send == ["ray", "rsync-up", ONPREM, archive, f"~/{shlex.split(unpack[-1])[2]}"]
    assert away == ["rm", archive]
    folder = shlex.split(make[-1])[-1]
    inner = shlex.split(run[-1])
    assert inner[inner.index("--working-dir") + 1] == folder
    assert not Path(archive).exists()
    (tmp_path / "mine.sky.yaml").write_text(Path(SKY).read_text().replace("REPLACE-ME", "mine"))
    line = ("--dry-run", "--", "train", "digits", "model.name=nets:a")
    _, _, told = here("cluster", "submit", "mine.sky.yaml", *line)
    assert "note: nets.py, parts.py: they go along if they are in the task's workdir" in told


def test_several_machines_without_a_folder_that_all_see_are_refused(refused, tmp_path):
    text = Path(ONPREM).read_text().replace("  runs: /mnt/shared/runs", "  other: x")
    (tmp_path / "c.yaml").write_text(text)
    refused("cluster submit c.yaml -- tune famus", "up to 2 machines")
    refused(f"cluster submit {ONPREM} -- famus-ray", "no command")


def test_slurm_submits_waits_and_cancels_by_the_jobs_name(would_run, submitted, refused):
    (run,) = submitted(SLURM, "tune", "famus")
    assert run[:2] == ["sbatch", "--wait"]
    assert run[-3:] == [SLURM, "tune", "famus"]
    assert would_run("down", SLURM) == [["scancel", "--me", "--name=famus-ray"]]
    assert "--name=famus-ray" in would_run("status", SLURM)[0]
    refused(f"cluster fetch {SLURM} first", "nothing to fetch")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_a_standing_ray_cluster_runs_jobs_on_its_head(would_run, submitted):
    assert would_run("up", STANDING)[0] == ["kubectl", "apply", "-k", STANDING]
    run, ask = submitted(STANDING, "tune", "famus")
    assert run[:4] == ["kubectl", "exec", "svc/famus-head-svc", "-c"]
    assert run[-2:] == ["run.root=/runs", "scale.address=auto"]
    assert "jobs" in ask
    pack, unpack, _ = would_run("fetch", STANDING, "first")
    assert pack[-3:] == ["first", ">", "runs/first.tar"]
    assert unpack[:2] == ["tar", "-xf"]


def test_a_ray_job_is_applied_with_the_command_as_its_entrypoint(here, submitted, refused):
    apply, *_, ask = submitted(RAYJOB, "tune", "quick", "--name", "j")
    assert apply == ["kubectl", "apply", "-f", "-"]
    assert "exitCode" in ask[-1]
    _, printed, _ = here("cluster", "submit", RAYJOB, "--dry-run", "--", "tune", "quick")
    assert "entrypoint: famus-ray tune quick run.root=/runs scale.address=auto" in printed
    refused(f"cluster fetch {RAYJOB} j", "end with it")


def test_down_on_kubernetes_keeps_the_runs_and_says_that_they_are_billed(here):
    code, printed, _ = here("cluster", "down", RAYJOB, "--dry-run")
    assert code == 0
    assert "delete rayjobs,rayclusters --selector" in printed
    assert "Still billed: the volumes with the runs" in printed


def test_skypilot_gets_the_command_in_a_variable(submitted, would_run, refused, tmp_path):
    text = Path(SKY).read_text().replace("REPLACE-ME", "bucket")
    (tmp_path / "task.yaml").write_text(text)
    (run,) = submitted("task.yaml", "tune", "famus", "--name", "first")
    assert run[:2] == ["sky", "launch"]
    assert "FAMUS=tune famus --name first" in run
    assert would_run("down", "task.yaml") == [["sky", "down", "--yes", "famus"]]
    (tmp_path / "task.yaml").write_text(text.replace("$FAMUS", "tune famus"))
    refused("cluster submit task.yaml -- tune famus", "must be famus-ray $FAMUS")


def test_check_finds_every_mistake_and_up_refuses_them(here, refused, tmp_path):
    (tmp_path / "bad.yaml").write_text(Path(ONPREM).read_text() + "idle_timeout: 5\n")
    code, printed, _ = here("cluster", "check", "bad.yaml")
    assert code == 1
    line = len((tmp_path / "bad.yaml").read_text().splitlines())
    assert f"bad.yaml:{line}: " in printed
    code, printed, _ = here("cluster", "check", "bad.yaml", "--json")
    assert code == 1
    assert json.loads(printed)["problems"][0]["line"] == line
    refused("cluster up bad.yaml --dry-run", f"bad.yaml:{line}: ")
    assert here("cluster", "check", ONPREM)[0] == 0
    assert here("cluster", "check", SLURM)[0] == 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: 1\n", "not a cluster's file"),
        ("#!/bin/bash\necho\n", "without #SBATCH"),
        ("", "not a cluster's file"),
    ],
)
def test_other_files_are_refused(refused, tmp_path, content, told):
    (tmp_path / "x.yaml").write_text(content)
    refused("cluster up x.yaml", told)
    refused("cluster status x.yaml", told)
    refused("cluster down nosuch.yaml", "nosuch.yaml")
    (tmp_path / "folder").mkdir()
    refused("cluster up folder", "kustomization.yaml")


def test_a_missing_program_is_named_before_anything_runs(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(f"cluster status {SLURM}", "not on this machine: sbatch")


def test_list_names_the_files_that_come_along(here):
    code, printed, _ = here("cluster", "list")
    assert code == 0
    assert f"{ONPREM}\n    Machines of your own" in printed
    assert f"{STANDING}\n" in printed
    assert "cfn" not in printed
    _, printed, _ = here("cluster", "list", "--json")
    assert ONPREM in {entry["file"] for entry in json.loads(printed)}
