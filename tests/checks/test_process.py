from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from checks.process import STUCK, Watchdog, process_name
from tests.checks.workers import ROOT
from tests.waiting import wait_until

FOLLOW = "import time; from checks.process import die_with_parent; die_with_parent(); print('here', flush=True); time.sleep(60)"


def run(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit status and what it said, within ten seconds."""
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_no_two_processes_have_one_name() -> None:
    names = {process_name("worker") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("worker@") and f":{os.getpid()}:" in name and len(name) <= 100 for name in names)


def test_the_collector_has_nothing_to_look_at_but_what_came_since() -> None:
    process = run(
        "import gc; from checks.process import leave_loaded_alone\n"
        "loaded = [[number] for number in range(100_000)]; leave_loaded_alone(); came = [[]]\n"
        "print(gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 1_000)"
    )
    assert process.communicate(timeout=60)[0] == "True True\n"


def test_a_child_is_killed_with_its_parent() -> None:
    parent = run(
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {FOLLOW!r}], stdout=subprocess.PIPE,"
        " env={**os.environ, 'STILLUP_PARENT_PID': str(os.getpid())})\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    end(parent)
    wait_until(lambda: _is_gone(child), within=2, what="the child is gone")


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    status, _ = end(run(FOLLOW, STILLUP_PARENT_PID="1"))
    assert status == -signal.SIGKILL


def test_a_child_with_a_pipe_ends_with_the_other_end_of_it() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    child = subprocess.Popen(
        [sys.executable, "-c", FOLLOW],
        cwd=ROOT,
        env={**os.environ, "STILLUP_PARENT_PIPE": str(reader)},
        pass_fds=[reader],
        stdout=subprocess.PIPE,
    )
    os.close(reader)
    assert child.stdout is not None
    assert child.stdout.readline() == b"here\n"
    assert child.poll() is None
    os.close(writer)
    assert child.wait(5) == -signal.SIGKILL
    child.stdout.close()


def test_a_process_that_nobody_supervises_stays_alive() -> None:
    process = run("from checks.process import die_with_parent; die_with_parent(); print('alive')")
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "alive\n")


def test_grandchildren_do_not_take_our_parent_for_theirs() -> None:
    code = "import os; from checks.process import die_with_parent; die_with_parent(); print('STILLUP_PARENT_PID' in os.environ)"
    process = run(code, STILLUP_PARENT_PID=str(os.getpid()))
    said, _ = process.communicate(timeout=60)
    assert said == "False\n"


def test_a_loop_that_does_not_move_ends_the_process() -> None:
    status, said = end(
        run(
            "import time; from checks import logs; from checks.process import Watchdog\n"
            "logs.configure('worker'); dog = Watchdog(0.5); dog.start(); dog.beat('loop')\n"
            "time.sleep(60)"
        )
    )
    assert status == STUCK
    assert "loop has not moved" in said


def test_a_call_that_hangs_ends_the_process_though_the_loop_moves() -> None:
    status, said = end(
        run(
            "import time; from checks import logs; from checks.process import Watchdog\n"
            "logs.configure('worker'); dog = Watchdog(0.5); dog.start()\n"
            "with dog.busy('hot'):\n"
            "    while True: dog.beat('loop'); time.sleep(0.05)"
        )
    )
    assert status == STUCK
    assert "hot has not moved" in said


def test_what_moves_and_what_rests_is_left_alone() -> None:
    ended: list[int] = []
    dog = Watchdog(0.3, end=ended.append)
    dog.start()
    with dog.busy("hot"):
        pass
    for _ in range(20):
        dog.beat("loop")
        time.sleep(0.03)
    dog.rest("loop")
    time.sleep(0.5)
    dog.stop()
    assert ended == []
    assert dog.oldest() is None


def test_a_process_that_was_stopped_as_a_whole_is_not_ended_when_it_goes_on(tmp_path: Path) -> None:
    process = run(
        "import time; from checks.process import Watchdog\n"
        "dog = Watchdog(1.0); dog.start(); print('here', flush=True); end = time.monotonic() + 4\n"
        "while time.monotonic() < end: dog.beat('loop'); time.sleep(0.02)"
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)
    assert end(process) == (0, "")
