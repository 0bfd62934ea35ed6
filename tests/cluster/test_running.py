from __future__ import annotations

import sys
from pathlib import Path

from famus_ray.cluster.provider import Command, Until
from famus_ray.cluster.running import printed, run_all


def python(code: str, **more) -> Command:
    return Command((sys.executable, "-c", code), "a test", **more)


def test_the_first_failure_ends_it_with_its_exit_code(tmp_path: Path):
    touch = python(f"open({str(tmp_path / 'a')!r}, 'w')")
    assert run_all([python("exit(3)"), touch]) == 3
    assert not (tmp_path / "a").exists()
    assert run_all([python("exit(3)", may_fail=True), touch]) == 0
    assert (tmp_path / "a").exists()


def test_the_jobs_exit_code_is_read_from_what_is_printed():
    ask = r'"driver_exit_code": (\d+)'
    said = python("print('x \"driver_exit_code\": 7,')", exit_code_in=ask)
    assert run_all([python("exit(1)", may_fail=True), said]) == 7
    assert run_all([python("print('no such job')", exit_code_in=ask)]) == 1


def test_a_command_is_repeated_until_all_are_there(tmp_path: Path, capsys):
    joins = (
        f"p = open({str(tmp_path / 'a')!r}, 'a+'); p.write('ALIVE '); p.seek(0); print(p.read())"
    )
    assert run_all([python(joins, until=Until("ALIVE", 2, 20, "see the log"))]) == 0
    assert run_all([python("print('ALIVE')", until=Until("ALIVE", 2, 0.1, "see the log"))]) == 1
    assert "1 of 2: see the log" in capsys.readouterr().err


def test_waiting_ends_at_once_when_it_is_in_vain(capsys):
    until = Until("ALIVE", 2, 60, "see the log", never="differs")
    assert run_all([python("print('ALIVE'); print('b: ray differs')", until=until)]) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == ["b: ray differs", "1 of 2: see the log"]


def test_a_file_is_shown_while_it_is_written_and_to_its_end(tmp_path: Path, capsys):
    log = tmp_path / "job.out"
    writes = (
        "import time\n"
        f"for n in range(3): print(n, file=open({str(log)!r}, 'a')); time.sleep(0.3)\n"
        f"print('end', file=open({str(log)!r}, 'a')); exit(5)"
    )
    assert run_all([python(writes, follow=log)]) == 5
    assert capsys.readouterr().out == "0\n1\n2\nend\n"


def test_secrets_are_not_shown(capfd):
    assert run_all([python("print('hidden')", quiet=True), python("print('seen')")]) == 0
    assert capfd.readouterr().out == "seen\n"


def test_what_is_printed_can_be_typed_in_a_shell():
    command = Command(("ray", "exec", "a b.yaml", "echo '1'"), "look", env={"A": "b c"})
    assert list(printed([command])) == [
        "# look",
        "$ A='b c' ray exec 'a b.yaml' 'echo '\"'\"'1'\"'\"''",
    ]


def test_what_goes_to_standard_input_is_printed_and_passed_on(capfd):
    text = "entrypoint: x\n"
    command = python("print(input())", stdin=text)
    assert f"    {text.strip()}" in list(printed([command]))
    assert run_all([command]) == 0
    assert capfd.readouterr().out == text


def test_output_goes_into_a_file(tmp_path: Path):
    assert run_all([python("print('x')", to=tmp_path / "new" / "a.tar")]) == 0
    assert (tmp_path / "new" / "a.tar").read_text() == "x\n"


def test_what_is_left_is_told_and_asked_of_all(capfd):
    asked = [
        python("print('i-1 running')", left="machines"),
        python("exit(3)", left="disks"),
        python("import sys; print('nothing listed', file=sys.stderr)", left="addresses"),
    ]
    assert run_all(asked) == 1
    printed, told = capfd.readouterr()
    assert printed == "i-1 running\n"
    assert "still there: machines" in told
    assert "not known: disks" in told
    assert "addresses" not in told
    assert run_all(asked[2:]) == 0
