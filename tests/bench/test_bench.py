from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from famus_ray.bench.machine import Machine
from famus_ray.bench.roofline import roofline
from famus_ray.bench.runner import build_runners
from famus_ray.bench.saved import bench_and_save
from famus_ray.bench.step import bench_setup
from famus_ray.bench.variants import VARIANTS, Setup, Variant, default_setups, variants_of
from famus_ray.bench.work import counted_work
from famus_ray.cli import main
from famus_ray.cli.bench_tables import show_roofline
from famus_ray.errors import UserError

TINY = Setup("preact_resnet8", batch=2, pixels=8)
TINIEST = ("--network", "preact_resnet8", "--batch", "1", "--rounds", "1", "--no-memory")


def silent(message: str) -> None: ...


def test_every_usual_variant_is_measured_with_its_phases():
    rows = bench_setup(TINY, VARIANTS, rounds=3, memory=False)
    assert [row.variant for row in rows] == [variant.name for variant in VARIANTS]
    assert rows[0].times_plain == 1
    for row in rows:
        assert row.times_plain == pytest.approx(row.ms / rows[0].ms, rel=0.02)
        assert row.images_per_second == pytest.approx(2000 / row.ms, rel=0.02)
        assert all(ms >= 0 for ms in row.phases_ms.values())
    by_name = {row.variant: row.phases_ms for row in rows}
    assert "tangent" in by_name["famus"]
    assert "tangent" not in by_name["famus meta.engine=double_backward"]
    assert set(by_name["ce"]) == {"actual/forward", "actual/backward", "actual/update", "other"}


def test_phases_are_parts_of_the_step():
    (runner,) = build_runners(Setup("preact_resnet8", 32, 16), [Variant("mwnet")])
    runner.round()
    seconds, phases = runner.timed_round()
    assert seconds / 3 < sum(phases.values()) <= seconds


def test_an_interval_is_paid_for_by_all_its_steps():
    every, fifth = build_runners(TINY, [Variant("mwnet"), Variant("mwnet meta.interval=5")])
    assert (every.interval, fifth.interval) == (1, 5)
    fifth.timed_round()
    assert fifth.step.taken == 5
    counted = [counted_work(runner).flops("tangent") for runner in (every, fifth)]
    assert counted[0] > 0
    assert counted[1] == pytest.approx(counted[0], rel=1e-6)  # one tangent pass a round


def test_memory_is_measured_in_a_process_of_its_own():
    (row,) = bench_setup(Setup("preact_resnet8", 64, 32), [Variant("ce")], rounds=1)
    assert row.memory_mib > 10
    assert row.memory_times_plain == 1


def test_the_counted_work_is_that_of_the_network():
    """One convolution's operations, by hand; and MW-Net's ten forwards against SGD's three."""
    rows = roofline(Setup("preact_resnet8", 4, 16), variants_of(["mwnet"], ()), rounds=1)
    plain, mwnet = rows[:2]
    forward, backward = (plain.phases_gflop[f"actual/{x}"] for x in ("forward", "backward"))
    assert 1.9 < backward / forward <= 2
    assert mwnet.flop_times_plain == pytest.approx(10 / 3, rel=0.03)
    assert plain.floor_ms < plain.ms

    (runner,) = build_runners(TINY, [Variant("ce")])
    work = counted_work(runner)
    conv1 = 2 * 3 * 9 * 16 * 2 * 8 * 8  # multiply and add, 3 channels to 16, two images
    assert conv1 in [flops for flops, _ in work.operators["actual/forward"]]
    images, kernel, output = 2 * 3 * 64 * 4, 16 * 3 * 9 * 4, 2 * 16 * 64 * 4
    assert (conv1, images + kernel + output) in work.operators["actual/forward"]
    assert work.floor_seconds(Machine(1e9, 1e30)) == pytest.approx(work.flops() / 1e9)


def test_counts_depend_on_neither_rounds_nor_company():
    famus = Variant("famus meta.k=1")
    alone = roofline(TINY, [famus], rounds=1)
    *_, beside = roofline(TINY, [Variant("ce"), Variant("l2rw"), famus], rounds=4)
    assert (beside.gflop, beside.gbyte) == (alone[0].gflop, alone[0].gbyte)
    assert beside.phases_gflop == alone[0].phases_gflop


def test_a_floor_above_the_measured_time_is_doubted(capsys):
    (row,) = roofline(TINY, [Variant("ce")], rounds=1)
    for gap, is_doubted in ((0.97, False), (0.8, True)):
        show_roofline([replace(row, gap=gap)], as_json=True)
        captured = capsys.readouterr()
        assert ("the peaks are too low" in captured.err) == is_doubted
        assert json.loads(captured.out)["rows"][0]["gap"] == gap


def test_a_meta_batch_has_its_own_size():
    (runner,) = build_runners(TINY, [Variant("mwnet meta.batch_size=5")])
    assert (len(runner.train[0]), len(runner.meta[0])) == (2, 5)


def test_an_interrupted_measurement_goes_on(tmp_path):
    file = tmp_path / "bench.json"
    setups = [TINY, Setup("preact_resnet8", batch=3, pixels=8)]
    variants = variants_of((), ["famus meta.scope=tail"])
    first = next(bench_and_save(setups, variants, 1, file, silent, memory=False))
    said = []
    rows = list(bench_and_save(setups, variants, 1, file, said.append, memory=False))
    assert rows[0] == first
    assert f"{setups[0]}: already in {file}" in said
    assert [row.batch for found in rows for row in found] == [2, 2, 3, 3]
    # Other variants, or another number of rounds, would take the place of these rows.
    written = file.read_bytes()
    for others, rounds in ((variants, 2), (variants_of(["l2rw"], ()), 1)):
        with pytest.raises(UserError, match="with other variants or rounds"):
            next(bench_and_save(setups, others, rounds, file, silent, memory=False))
    assert file.read_bytes() == written
    file.write_text("[]")
    with pytest.raises(UserError, match="not a file of `bench step`"):
        next(bench_and_save(setups, variants, 1, file, silent))


def test_setups_follow_the_recipes():
    sizes = {s.network: s.pixels for s in default_setups(["wrn28_10", "timm/inception_resnet_v2"])}
    assert sizes == {"wrn28_10": 32, "timm/inception_resnet_v2": 299}
    (setup,) = default_setups(["resnet50"], [4], pixels=64, device="cpu")
    assert (setup.batch, setup.pixels) == (4, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "adam"), "--methods adam: must be among ce, famus"),
        (("--variant", "famus meta.scoop=tail"), "meta.scoop"),
        (("--variant", "mwnet run.device=cuda"), "takes settings of meta and method only"),
        (("--variant", "mwnet optimiser.accumulate=4"), "optimiser.accumulate=4"),
        (("--variant", "famus noise=symmetric"), "takes settings of meta and method only"),
        (("--variant", "famus method=mwnet"), "the method is the first word"),
        (("--variant", "dividemix"), "trains two networks"),
        (("--variant", "mwnet meta.source=pseudo_clean"), "trains two networks"),
        (("--variant", " "), "--variant: is empty"),
        ((*TINIEST, "--pixels", "1"), "--batch 1 --pixels 1: preact_resnet8"),
        ((*TINIEST, "--variant", "famus meta.source=batch"), "run.batch_size = 1: meta.source"),
        (("--network", "resnet19"), "did you mean"),
        (("--network", "vit_tiny_patch16_224", "--pixels", "32"), "--pixels 32"),
    ],
)
def test_mistakes_are_named(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["famus-ray", "bench", "step", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_commands_print_tables_and_json(monkeypatch, capsys):
    tiny = ("--network", "preact_resnet8", "--batch", "2", "--pixels", "8", "--rounds", "1")
    for command in (("step", "--no-memory"), ("roofline",)):
        for as_json in (False, True):
            options = ("--methods", "mlc", *(["--json"] if as_json else []))
            monkeypatch.setattr(sys, "argv", ["famus-ray", "bench", *command, *tiny, *options])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 0
            out = capsys.readouterr().out
            if as_json:
                assert [row["variant"] for row in json.loads(out)["rows"]] == ["ce", "mlc"]
            else:
                assert out.count("preact_resnet8  2      mlc") == (2 if command[0] == "step" else 1)


def test_ctrl_c_says_what_the_file_will_hold(tmp_path):
    file = tmp_path / "step.json"
    command = [sys.executable, "-c", "from famus_ray.cli import main; main()", "bench", "step"]
    options = (*TINIEST, "--pixels", "8", "--rounds", "100000", "--methods", "ce")
    process = subprocess.Popen(
        [*command, *options, "--to", str(file)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "round 1 of" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not file.exists()
    assert "when all of them are measured" in err
