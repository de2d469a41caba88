"""`command`: real programs, well-behaved and not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from checks.network import Resources
from checks.probes.command import COMMAND
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.waiting import wait_until


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A directory whose programs may run: `programs("name", "script")` writes one and gives its name."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("STILLUP_COMMANDS", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def write(script: str, interpreter: str = "/bin/sh") -> str:
        path = directory / "check_it"
        path.write_text(f"#!{interpreter}\n{script}\n")
        path.chmod(0o755)
        return path.name

    write.directory = directory
    return write


def run(program, **options):
    return probe_once(kind="command", program=program, **options)


@pytest.fixture(autouse=True)
def others():
    """What other tests have started and keep: servers that they share."""
    OTHERS.clear()
    OTHERS.update(psutil.Process().children(recursive=True))


OTHERS: set[psutil.Process] = set()


def children():
    """What this test has started: neither those servers, nor what they start meanwhile."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if OTHERS.isdisjoint([child, *child.parents()]):
                found.append(child)
    return found


def test_a_program_that_ends_well_is_up(programs):
    result = run(programs("echo fine"), expect=["exit_status == 0", 'output contains "fine"', "errors not exists"])
    assert result.failure.message == 'expected errors not exists, got ""'
    result = run(programs("echo fine"))
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert set(result.phases.as_dict()) == {"other", "first_byte", "transfer"}


def test_its_exit_status_says_down_or_degraded_as_plugins_have_it(programs):
    program = programs("exit $1")
    lines = {"expect": ["exit_status in 0-1"], "degraded": ["exit_status == 0"]}
    outcomes = [run(program, arguments=[status], **lines).outcome for status in ("0", "1", "2")]
    assert outcomes == [Outcome.UP, Outcome.DEGRADED, Outcome.DOWN]
    failure = run(program, arguments=["2"]).failure
    assert failure.message == "expected exit_status == 0, got 2"


def test_evidence_has_what_it_was_and_what_it_wrote(programs):
    result = run(programs("echo some; echo bad >&2; exit 3"), arguments=["-w", "10"])
    assert result.evidence == {
        "command": "check_it -w 10",
        "exit_status": "3",
        "output": "some\n",
        "errors": "bad\n",
    }


def test_its_output_is_read_as_json(programs):
    program = programs("""echo '{"queue": 143}'""")
    assert run(program, expect=["json $.queue == 143"]).outcome is Outcome.UP
    assert run(program, expect=["json $.queue < 100"]).failure.found == "143"


def test_arguments_are_read_by_no_shell(programs):
    program = programs('printf "%s|" "$@"')
    result = run(program, arguments=["$(id)", "a b", "*", "; exit 9"], expect=['output == "$(id)|a b|*|; exit 9|"'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)


def test_it_gets_a_short_environment_an_empty_directory_and_no_input(programs, monkeypatch):
    monkeypatch.setenv("STILLUP_SECRET_KEY", "ours")
    script = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir(), sys.stdin.read()]))"
    program = programs(script, interpreter=sys.executable)
    result = run(program, environment={"TOKEN": "s3cret"}, expect=["exit_status == 9"])
    environment, directory, files, given = json.loads(result.evidence["output"])
    assert environment.keys() - {"LC_CTYPE"} == {"PATH", "LANG", "HOME", "TMPDIR", "TOKEN"}
    assert environment["TOKEN"] == "••••••"
    assert environment["HOME"] == environment["TMPDIR"] == directory
    assert (files, given) == ([], "")
    assert not Path(directory).exists()


def test_the_directory_is_gone_with_all_that_it_wrote_there(programs, tmp_path):
    assert run(programs("mkdir a; echo x > a/b")).outcome is Outcome.UP
    assert [path.name for path in tmp_path.iterdir()] == ["programs"]


def test_a_directory_is_gone_however_deep(programs, tmp_path):
    deep = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')"
    assert run(programs(deep, interpreter=sys.executable)).outcome is Outcome.UP
    wait_until(lambda: [path.name for path in tmp_path.iterdir()] == ["programs"], what="the directory is gone")


def test_a_signal_is_named(programs):
    result = run(programs("kill -SEGV $$"))
    assert result.failure.message == "expected exit_status == 0, got 139"
    assert result.evidence["exit_status"] == "139: ended by SIGSEGV"


def test_at_the_deadline_it_is_killed_with_all_that_it_started(programs):
    began = time.monotonic()
    result = run(programs("trap '' TERM; echo begun; sleep 60 & sleep 60"), timeout="300ms")
    assert time.monotonic() - began < 10
    assert result.failure.reason is Reason.TIMEOUT
    assert result.evidence["output"] == "begun\n"
    assert children() == []


def test_what_it_leaves_behind_is_killed_and_does_not_hold_up_its_end(programs):
    began = time.monotonic()
    result = run(programs("sleep 60 & echo done"))
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert time.monotonic() - began < 10
    assert children() == []


def test_one_that_detaches_itself_and_keeps_the_pipe_does_not_hold_up_its_end(programs):
    script = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(30)
print("done")
"""
    began = time.monotonic()
    assert run(programs(script, interpreter=sys.executable)).outcome is Outcome.UP
    assert time.monotonic() - began < 15


def test_cancellation_leaves_no_process(programs):
    async def cancel(spec, resources):
        task = asyncio.create_task(probed(spec, resources))
        await asyncio.sleep(0.1)
        assert children() != []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children() == []

    resources = Resources.open()
    on_loop(cancel(make_spec(kind="command", program=programs("sleep 60")), resources), resources)


def test_endless_output_is_cut_short(programs):
    began = time.monotonic()
    result = run(programs("yes"))
    assert time.monotonic() - began < 5
    assert (result.failure.reason, result.failure.message) == (Reason.TOO_LARGE, "it wrote more than 1024 KiB")
    assert len(result.evidence["output"]) == 4096
    assert children() == []


def test_its_memory_is_bounded(programs):
    program = programs("x = bytearray(64 << 20); print(len(x))", interpreter=sys.executable)
    assert run(program, memory_mib=256).outcome is Outcome.UP
    result = run(program, memory_mib=48)
    assert result.outcome is Outcome.DOWN
    assert "MemoryError" in result.evidence["errors"]


def test_it_writes_no_huge_file_and_has_no_more_descriptors_than_usual(programs):
    result = run(programs("ulimit -n; ulimit -c; ulimit -f"), expect=["exit_status == 9"])
    assert result.evidence["output"] == "1024\n0\n131072\n"


def test_many_at_once_leave_nothing_behind(programs):
    async def many(spec, resources):
        return await asyncio.gather(*(probed(spec, resources) for _ in range(30)))

    before = len(list(Path("/proc/self/fd").iterdir()))
    resources = Resources.open()
    results = on_loop(many(make_spec(kind="command", program=programs("echo x")), resources), resources)
    assert {result.outcome for result in results} == {Outcome.UP}
    assert children() == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


# Refused


def test_without_leave_of_the_instance_no_program_runs(programs, monkeypatch):
    monkeypatch.delenv("STILLUP_COMMANDS")
    assert COMMAND.missing().startswith("programs are not run here: STILLUP_COMMANDS would name")
    result = run(programs("echo x"))
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_DRIVER)
    assert "STILLUP_COMMANDS" in result.failure.message


def test_a_directory_that_is_not_written_from_the_root_on_is_none(programs, monkeypatch):
    monkeypatch.setenv("STILLUP_COMMANDS", "bin")
    assert COMMAND.missing() == "STILLUP_COMMANDS is 'bin', and not the path of a directory from / on"


def test_with_leave_nothing_is_missing(programs):
    assert COMMAND.missing() == ""


def test_a_directory_into_which_everybody_may_write_is_refused(programs):
    program = programs("echo x")
    programs.directory.chmod(0o777)
    result = run(program)
    assert result.failure.message == "STILLUP_COMMANDS names a directory that everybody may write into"


def test_a_directory_that_is_not_there_is_our_own_fault(programs, monkeypatch):
    monkeypatch.setenv("STILLUP_COMMANDS", str(programs.directory / "absent"))
    result = run("check_it")
    assert result.outcome is Outcome.UNKNOWN
    assert result.failure.message.endswith("can't be read: No such file or directory")


@pytest.mark.parametrize("program", ["absent", "plain.txt", "lost", "noise"])
def test_what_is_no_program_is_our_own_fault(programs, program):
    (programs.directory / "plain.txt").write_text("not executable")
    for name, text in (("lost", "#!/no/such/interpreter\n"), ("noise", "\x7f not a program")):
        (programs.directory / name).write_text(text)
        (programs.directory / name).chmod(0o755)
    result = run(program)
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_DRIVER)
    assert program in result.failure.message


@pytest.mark.parametrize("program", ["../sh", "/bin/sh", "a/b", ".hidden", "-rf", "", "a\nb"])
def test_a_program_has_no_path(program):
    with pytest.raises(ValidationError):
        make_spec(kind="command", program=program)


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PATH", "BASH_ENV", "PYTHONPATH", "PERL5OPT", "NODE_OPTIONS", "GIT_SSH_COMMAND"]
)
def test_a_variable_that_makes_programs_run_other_code_is_refused(name):
    with pytest.raises(ValidationError, match=f"{name} makes programs run other code"):
        make_spec(kind="command", program="x", environment={name: "y"})


def test_a_variable_has_a_name():
    with pytest.raises(ValidationError, match="no name of an environment variable"):
        make_spec(kind="command", program="x", environment={"A-B": "y"})
    spec = make_spec(kind="command", program="x", environment={"PGPASSWORD": "y", "LDAP_URI": "z"})
    assert spec.environment == {"PGPASSWORD": "y", "LDAP_URI": "z"}


def test_it_does_not_outlive_a_worker_that_is_killed(programs, tmp_path):
    program, told = programs("echo $$ > $1; exec sleep 60"), tmp_path / "pid"
    options = [f"--option=arguments={json.dumps([str(told)])}", "--timeout=1m"]
    with subprocess.Popen([sys.executable, "-m", "checks", "probe", program, "--kind=command", *options]) as asking:
        wait_until(lambda: told.exists() and told.read_text())
        running = psutil.Process(int(told.read_text()))
        asking.kill()
    wait_until(lambda: not running.is_running() or running.status() == psutil.STATUS_ZOMBIE)
