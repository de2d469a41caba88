"""What a command notices of `beat`: nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.beating import BEAT, PING, Machine, is_free_of_leftovers, said
from tests.servers import Target
from tests.waiting import wait_until


def exit_codes(here: Machine, url: str, codes: list[int]) -> dict[int, int]:
    """What beat ends with, for each exit code of a command."""
    begun = {code: here.start(url, "sh", "-c", f"exit {code}") for code in codes}
    return {code: ended(process) for code, process in begun.items()}


def ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code of what ended."""
    process.communicate(timeout=60)
    return process.returncode


def test_every_exit_code_is_passed_on_and_reported(here: Machine, server: Target) -> None:
    codes = [0, 1, 2, 125, 126, 127, 128, 143, 255]
    assert exit_codes(here, server.url(PING), codes) == {code: code for code in codes}
    assert sorted(int(each.what) for each in said(server) if each.what != "start") == codes


@pytest.mark.long
def test_all_256_exit_codes_are_passed_on(here: Machine, server: Target) -> None:
    for first in range(0, 256, 16):
        codes = list(range(first, first + 16))
        assert exit_codes(here, server.url(PING), codes) == {code: code for code in codes}


def test_a_command_that_a_signal_ended_is_reported_so(here: Machine, server: Target) -> None:
    signals = [signal.SIGHUP, signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGTERM]
    whatever_was_ignored = {
        "stdin": subprocess.PIPE,
        "preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    begun = [
        here.popen([server.url(PING), "--", "sh", "-c", f"kill -{number} $$"], {}, **whatever_was_ignored)
        for number in signals
    ]
    expected = [128 + number for number in signals]
    assert [ended(process) for process in begun] == expected
    assert sorted(int(each.what) for each in said(server) if each.what != "start") == sorted(expected)


@pytest.mark.parametrize(("command", "code"), [("/nonexistent/job", 127), ("/etc/passwd", 126)])
def test_what_can_not_be_started_is_a_failure_too(here: Machine, server: Target, command: str, code: int) -> None:
    assert here.run(server.url(PING), command).returncode == code
    assert said(server)[-1].what == str(code)


def test_all_three_streams_are_those_of_the_command(here: Machine, server: Target) -> None:
    given = random.Random(5).randbytes(300_000)
    done = here.run(server.url(PING), "sh", "-c", "cat; printf 'to \\0 the other' >&2", given=given)
    assert done.stdout == given
    assert done.stderr == b"to \0 the other"


@pytest.mark.parametrize("output", ["0", "1"])
def test_a_command_sees_nothing_of_us(here: Machine, server: Target, tmp_path: Path, output: str) -> None:
    shown = """umask; pwd; ls /proc/self/fd; printf '[%s]' "$@" "$url" "$run" "$work" "$status"; echo"""
    command = ("sh", "-c", shown, "name", "two words", "", "it's", "*", "$HOME", "new\nline", "--")
    env = {"url": "mine", "run": "1", "work": "/srv", "status": "", "PATH": str(here.programs)}

    def begin() -> None:
        os.umask(0o027)

    bare = subprocess.run(command, env=env, capture_output=True, check=True, cwd=tmp_path, preexec_fn=begin)
    arguments = [server.url(PING), "--", *command]
    with here.popen(arguments, {**env, "BEAT_OUTPUT": output}, cwd=tmp_path, preexec_fn=begin) as process:
        assert process.communicate(timeout=60) == (bare.stdout, b"")
    assert [each.body for each in said(server)] == [b"", b"" if output == "0" else bare.stdout]


def test_a_job_may_still_interrupt_its_own_children(small: Machine, server: Target) -> None:
    assert small.run(server.url(PING), "sh", "-c", "kill -INT $$; exit 1").returncode == 128 + signal.SIGINT


def test_what_comes_from_the_keyboard_comes_once(small: Machine, server: Target) -> None:
    script = "trap 'echo interrupted' INT; trap 'echo told' TERM; echo ready; sleep 0.5; sleep 0.1; exit 7"
    with small.start(server.url(PING), "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == b"interrupted\n"
        assert process.wait(20) == 7


def test_what_interrupts_us_alone_is_waited_out(small: Machine, server: Target) -> None:
    """Where it came from can't be known; to pass it on would double what comes from the keyboard."""
    with small.start(server.url(PING), "sh", "-c", "echo ready; sleep 0.5; exit 7") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 7


@pytest.mark.parametrize("name", ["report", "send", "say", "now"])
def test_a_command_named_like_a_part_of_ours_is_the_command(small: Machine, server: Target, name: str) -> None:
    own = small.programs / name
    own.write_text("#!/bin/sh\nexit 42\n")
    own.chmod(0o755)
    assert small.run(server.url(PING), name).returncode == 42


def test_a_command_that_is_told_to_stop_decides_itself(here: Machine, server: Target) -> None:
    script = "trap 'echo stopping; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    with here.start(server.url(PING), "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.stdout.read() == b"stopping\n"
        assert process.wait(20) == 9
    assert (said(server)[-1].what, said(server)[-1].body) == ("9", b"ready\nstopping\n")


def test_a_command_that_does_not_listen_is_waited_for(here: Machine, server: Target) -> None:
    script = "trap '' HUP TERM; echo ready; sleep 0.5; exit 3"
    with here.start(server.url(PING), "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            process.terminate()
        assert process.wait(20) == 3


@pytest.mark.long
def test_a_storm_of_signals_is_no_exit_code(here: Machine, server: Target) -> None:
    """Now and then bash calls a wait interrupted by a signal with which it is done."""

    def told_again_and_again(seed: int) -> int:
        dice = random.Random(seed)
        script = "trap '' HUP TERM; echo ready; sleep 0.3; exit 3"
        with here.start(server.url(PING), "sh", "-c", script) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(8):
                process.send_signal(dice.choice([signal.SIGHUP, signal.SIGTERM]))
                time.sleep(dice.choice([0, 0.003 * dice.random()]))
            return process.wait(60)

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(told_again_and_again, range(200))) == {3: 200}


def test_a_group_that_is_told_to_stop_is_reported(here: Machine, server: Target) -> None:
    with here.start(
        server.url(PING), "sh", "-c", "trap 'sleep 0.2; echo last words; exit 5' TERM; sleep 60 & echo ready; wait"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)  # until the child in the background is what it is to be: before, it has the trap of its parent
        os.killpg(process.pid, signal.SIGTERM)
        assert process.stdout.read() == b"last words\n"
        assert process.wait(20) == 5
    assert said(server)[-1].body == b"ready\nlast words\n"


def test_a_job_that_ends_by_the_signal_is_reported_as_ended_by_it(here: Machine, server: Target) -> None:
    with here.start(server.url(PING), "sh", "-c", "echo ready; exec sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
    assert said(server)[-1].what == "143"


def test_a_child_that_stays_behind_is_not_waited_for(here: Machine, server: Target, tmp_path: Path) -> None:
    output, flag = tmp_path / "output", tmp_path / "flag"
    script = f"echo started; (while [ ! -e {flag} ]; do sleep 0.05; done; echo later) & exit 4"
    with output.open("wb") as file:
        process = here.popen([server.url(PING), "--", "sh", "-c", script], {}, stdout=file, stderr=file)
        assert process.wait(60) == 4
    assert said(server)[-1].what == "4"
    flag.touch()
    wait_until(lambda: output.read_bytes() == b"started\nlater\n", within=20, what="the child is heard")


def test_a_wrong_address_stops_no_job(small: Machine, server: Target) -> None:
    for url in ("", "PING-URL-OF-backup", "https://status.example.org/", "--version"):
        done = small.run(url, "sh", "-c", "cat; exit 6", given=b"input")
        assert (done.returncode, done.stdout) == (6, b"input")
        assert done.stderr.decode() == f"beat: nothing is reported: this is no ping URL: {url}\n"


@pytest.mark.parametrize("arguments", [[], ["URL"], ["URL", "--"], ["URL", "job", "--"]])
def test_what_is_no_command_is_told_with_the_usage(small: Machine, arguments: list[str]) -> None:
    done = small.beat(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"beat: usage: beat URL -- command [argument ...]\n"


def test_without_room_for_temporary_files_only_the_output_is_missing(here: Machine, server: Target) -> None:
    done = here.run(server.url(PING), "sh", "-c", "echo out; exit 8", TMPDIR="/nonexistent")
    assert (done.returncode, done.stdout, done.stderr) == (8, b"out\n", b"")
    assert [(each.what, each.body) for each in said(server)] == [("start", b""), ("8", b"")]


def test_streams_that_are_closed_harm_nobody(here: Machine, server: Target) -> None:
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        script = f'exec "$@" {closed}'
        beat = [*here.shell, str(BEAT), server.url(PING), "--", "sh", "-c", "exit 3"]
        env = {"PATH": str(here.programs), "BEAT_SPOOL": str(here.spool)}
        assert subprocess.run(["/bin/sh", "-c", script, "sh", *beat], env=env, timeout=60, check=False).returncode == 3
    assert [each.what for each in said(server)] == ["start", "3"] * 4


def test_nothing_is_left_of_a_run(here: Machine, server: Target, tmp_path: Path) -> None:
    assert here.run(server.url(PING), "true", TMPDIR=str(tmp_path)).returncode == 0
    assert is_free_of_leftovers(tmp_path)
    assert here.kept() == []
