"""What `beat` reports, and what becomes of a report that nobody takes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.clients.beating import CLIENTS, PING, SHELLS, Machine, keep, machine, said
from tests.servers import Target, Visit, answer, answers, closed_port, drips, hangs

RUN = "0b6a36f2-91c4-4a2e-8a4b-5d3f8a1c2e77"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_run_is_its_start_and_its_end(tmp_path: Path, server: Target, shell: str, client: str) -> None:
    here = machine(tmp_path, shell, client)
    done = here.run(server.url(PING), "sh", "-c", "echo one; echo two >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"one\n", b"two\n")
    start, end = said(server)
    assert (start.path, end.path) == (f"{PING}/start", f"{PING}/3")
    assert start.query == end.query == {"rid": start.query["rid"]}
    assert (start.body, sorted(end.body.splitlines())) == (b"", [b"one", b"two"])
    assert here.kept() == []


@pytest.mark.parametrize(
    ("address", "path", "query"),
    [
        (f"{PING}/", PING, {}),
        ("/ping/aB3_-xYz0123456789abcd/nightly-backup", "/ping/aB3_-xYz0123456789abcd/nightly-backup", {}),
        (f"{PING}?create=1", PING, {"create": "1"}),
        (f"{PING}/?create=1&rows=7", PING, {"create": "1", "rows": "7"}),
        (f"/below{PING}", f"/below{PING}", {}),
    ],
)
def test_every_form_of_the_address_is_understood(
    small: Machine, server: Target, address: str, path: str, query: dict[str, str]
) -> None:
    assert small.run(server.url(address), "true").stderr == b""
    start, end = said(server)
    assert (start.path, end.path) == (f"{path}/start", f"{path}/0")
    assert start.query == end.query == {**query, "rid": start.query["rid"]}


def test_the_end_of_a_long_output_is_reported(here: Machine, server: Target) -> None:
    done = here.run(server.url(PING), "sh", "-c", "seq 400000")
    assert len(done.stdout) > 2_000_000
    assert said(server)[-1].body == done.stdout[-10_000:]


def test_what_nobody_takes_is_sent_later_with_its_true_time(here: Machine, server: Target) -> None:
    server.behave = answers(b"", "503 Service Unavailable")
    began = int(time.time())
    assert here.run(server.url(PING), "sh", "-c", "printf 'out\\0put\\n'; exit 5").returncode == 5
    assert len(here.kept()) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in (here.spool, *here.kept()))
    ended = int(time.time())
    server.behave = answers()
    server.requests.clear()
    assert here.run(server.url(PING), "true").returncode == 0
    new, start, end, newer = said(server)
    assert [each.what for each in (new, start, end, newer)] == ["start", "start", "5", "0"]
    assert start.query["rid"] == end.query["rid"] != new.query["rid"] == newer.query["rid"]
    assert began <= int(start.query["at"]) <= int(end.query["at"]) <= ended
    # Busybox's wget ends a body at its first NUL.
    assert (start.body, end.body) == (b"", b"out" if "busybox" in here.shell[0] else b"out\0put\n")
    assert "at" not in new.query | newer.query
    assert here.kept() == []


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Internal Server Error", "408 Request Timeout"])
def test_a_report_that_may_come_again_is_kept(small: Machine, server: Target, status: str) -> None:
    server.behave = answers(b"", status)
    done = small.run(server.url(PING), "true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [path.name.rpartition("-")[2] for path in small.kept()] == ["1", "2"]


def test_a_server_that_is_not_there_changes_nothing(here: Machine) -> None:
    done = here.run(f"http://127.0.0.1:{closed_port()}{PING}", "sh", "-c", "cat; exit 9", given=b"in")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"in", b"")
    assert len(here.kept()) == 2


def test_a_report_that_is_refused_is_told_and_forgotten(here: Machine, server: Target) -> None:
    server.behave = answers(b"", "404 Not Found")
    keep(here, server.url(PING), "0")
    done = here.run(server.url(PING), "sh", "-c", "exit 1")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"beat: the report was refused with 404\n" * 3
    assert here.kept() == []


def test_no_server_delays_a_job_by_more_than_ten_seconds(tmp_path: Path) -> None:
    def slowly(visit: Visit) -> None:
        visit.read_request()
        visit.wait(0.4)
        visit.send(answer())

    machines = []
    for name, shell, client in zip("abcd", (*SHELLS, "dash"), (*CLIENTS, "curl"), strict=True):
        (tmp_path / name).mkdir()
        machines.append(machine(tmp_path / name, shell, client))
    with Target(hangs) as silent, Target(drips(b"HTTP/1.1 ", b" ")) as dripping, Target(slowly) as slow:
        *others, full = machines
        for minute in range(40):
            keep(full, slow.url(PING), "0", ago=60 * (minute + 1))
        begun = time.monotonic()
        runs = [here.start(target.url(PING), "sh", "-c", "exit 7") for here in others for target in (silent, dripping)]
        for process in (*runs, full.start(slow.url(PING), "sh", "-c", "exit 7")):
            assert process.communicate(timeout=60) == (b"", b"")
            assert process.returncode == 7
        assert time.monotonic() - begun < 10
        assert [len(here.kept()) for here in others] == [4, 4, 4]
        sent = [int(each.query["at"]) for each in said(slow) if "at" in each.query]
    assert sent == sorted(sent), "the oldest first"
    assert 5 <= len(sent) == 40 - len(full.kept()) + 1, "the end of this run waits its turn"


def test_what_is_a_day_old_is_forgotten_unsent(small: Machine, server: Target) -> None:
    old = keep(small, server.url(PING), "1", ago=86_500)
    assert small.run(server.url(PING), "true").returncode == 0
    assert not old.exists()
    assert [each.what for each in said(server)] == ["start", "0"]


def test_what_waits_for_another_server_delays_nobody(small: Machine, server: Target) -> None:
    other = keep(small, f"http://127.0.0.1:{closed_port()}{PING}", "1", ago=3600)
    longer = keep(small, server.url("0" + PING), "2", ago=3500)  # on a port that only begins the same
    assert small.run(server.url(PING), "true").returncode == 0
    assert [each.what for each in said(server)] == ["start", "0"]
    assert small.kept() == [other, longer]


def test_a_report_that_comes_too_fast_holds_up_no_other(small: Machine, server: Target) -> None:
    other = PING.replace("8c0f", "9d1e")

    def behave(visit: Visit) -> None:
        fast = other.encode() in visit.read_request()
        visit.send(answer(b"", "429 Too Many Requests" if fast else "200 OK"))

    server.behave = behave
    waits = keep(small, server.url(other), "1", ago=100)
    keep(small, server.url(PING), "2", ago=90)
    assert small.run(server.url(PING), "true").returncode == 0
    assert [each.what for each in said(server)] == ["start", "1", "2", "0"]
    assert small.kept() == [waits]


def test_runs_at_the_same_time_send_everything_once(here: Machine, server: Target) -> None:
    for minute in range(10):
        keep(here, server.url(PING), "9", ago=60 * (minute + 1))
    runs = [here.start(server.url(PING), "sh", "-c", f"exit {code}") for code in range(8)]
    for code, process in enumerate(runs):
        assert process.communicate(timeout=60) == (b"", b"")
        assert process.returncode == code
    assert here.run(server.url(PING), "true").returncode == 0
    assert here.kept() == []
    late = [each.query["at"] for each in said(server) if "at" in each.query]
    assert len(late) == len(set(late)) == 10
    assert len(said(server)) == 10 + 2 * 9


def test_a_run_that_was_killed_while_sending_holds_up_the_others_for_minutes_only(
    here: Machine, server: Target
) -> None:
    keep(here, server.url(PING), "9")
    lock = here.spool / ".sending"
    lock.mkdir()
    (lock / "body").touch()
    assert here.run(server.url(PING), "true").returncode == 0
    assert len(here.kept()) == 1, "another run may be at it"
    subprocess.run(["touch", "-d", "10 minutes ago", lock], check=True)
    assert here.run(server.url(PING), "true").returncode == 0
    assert here.run(server.url(PING), "true").returncode == 0
    assert here.kept() == []
    assert not lock.exists()


@pytest.mark.parametrize("what", ["link", "file", "missing"])
def test_a_spool_that_is_not_ours_is_not_used(small: Machine, server: Target, tmp_path: Path, what: str) -> None:
    others = tmp_path / "others"
    others.mkdir()
    if what == "link":
        small.spool.symlink_to(others)
    else:
        small.spool.write_text("")
    spool = small.spool / "below" if what == "missing" else small.spool
    server.behave = answers(b"", "503 Service Unavailable")
    done = small.run(server.url(PING), "sh", "-c", "exit 3", BEAT_SPOOL=str(spool))
    assert (done.returncode, done.stderr) == (3, b"beat: a report could neither be sent nor kept\n" * 2)
    assert list(others.iterdir()) == []
    server.behave = answers()
    assert small.run(server.url(PING), "true", BEAT_SPOOL=str(spool)).stderr == b"", "nothing had to wait"


def test_unsent_reports_wait_below_the_home(here: Machine, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}{PING}"
    assert here.run(url, "true", BEAT_SPOOL="", HOME=str(tmp_path)).returncode == 0
    assert len(list((tmp_path / ".local" / "state" / "beat").glob("[0-9]*"))) == 2
    assert here.run(url, "true", BEAT_SPOOL="", HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path)).returncode == 0
    assert len(list((tmp_path / "beat").glob("[0-9]*"))) == 2


def test_without_a_client_the_job_runs_all_the_same(here: Machine, server: Target) -> None:
    for client in ("curl", "wget"):
        (here.programs / client).unlink(missing_ok=True)
    done = here.run(server.url(PING), "sh", "-c", "exit 2")
    assert done.returncode == 2
    assert said(server) == [] or "busybox" in here.shell[0]
    if not said(server):
        assert done.stderr == b"beat: reports need curl, or wget and timeout; there is neither\n"
        assert len(here.kept()) == 2
