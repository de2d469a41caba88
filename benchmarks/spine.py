"""One worker, SQLite, 1,000 `http` monitors every 10 s for a minute: `.venv/bin/python benchmarks/spine.py`.

The product is started by its own command with its default settings and talks to a server in another process. Figures
come from the product's own store; the work is counted at the server too, and a mismatch above 0.1 % fails. CPU is user
and system time of every process below `up`, their children included.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
ROLES = ("web", "worker", "notifier")
MISMATCH = 0.001
WANTED = {"on time": 0.995, "CPU": 1500, "memory": 350}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, path: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def rows(data: Path, statement: str, *values: object) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(f"file:{data / 'measurements.sqlite3'}?mode=ro", uri=True, timeout=20)) as conn:
        return conn.execute(statement, values).fetchall()


def role_of(process: psutil.Process) -> str:
    return next((word for word in process.cmdline() if word in ROLES), "other")


def cpu_seconds(up: psutil.Process) -> dict[str, float]:
    """User and system time of each process below `up`, with that of the children it has buried."""
    total: dict[str, float] = {}
    for child in up.children():
        for process in (child, *child.children(recursive=True)):
            times = process.cpu_times()
            spent = times.user + times.system + times.children_user + times.children_system
            total[role_of(child)] = total.get(role_of(child), 0.0) + spent
    return total


def memory_mib(up: psutil.Process) -> dict[str, float]:
    found = {"up": up.memory_info().rss / 2**20}
    for process in up.children():
        below = sum(child.memory_info().rss for child in process.children(recursive=True))
        found[role_of(process)] = (process.memory_info().rss + below) / 2**20
    return found


def configuration(monitors: int, interval: int, port: int) -> str:
    lines = ["monitors:"]
    for number in range(monitors):
        lines += [
            f"  - name: Monitor {number}",
            "    kind: http",
            f"    url: http://127.0.0.1:{port}/{number}",
            f"    interval: {interval}s",
        ]
    return "\n".join(lines) + "\n"


def wait_for(what: str, ask_it, within: float) -> None:
    deadline = time.monotonic() + within
    while not ask_it():
        if time.monotonic() > deadline:
            sys.exit(f"not within {within:g} s: {what}")
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitors", type=int, default=1000)
    parser.add_argument("--interval", type=int, default=10, help="seconds")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, ROOT / "benchmarks" / "loopback.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        return measure(options, int(server.stdout.readline()))
    finally:
        server.kill()
        server.wait()


def measure(options: argparse.Namespace, target: int) -> int:
    with tempfile.TemporaryDirectory(prefix="stillup-bench-") as directory:
        data, config, port = Path(directory) / "data", Path(directory) / "config.yaml", free_port()
        config.write_text(configuration(options.monitors, options.interval, target), encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if not name.startswith("STILLUP_")}
        command = [
            sys.executable,
            ROOT / "manage.py",
            "up",
            "--data-dir",
            data,
            "--config",
            config,
            "--port",
            str(port),
        ]
        with (Path(directory) / "log").open("w") as log:
            up = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            figures = observe(psutil.Process(up.pid), data, options)
            up.send_signal(signal.SIGTERM)
            stopped = up.wait(15)
        except BaseException:
            print((Path(directory) / "log").read_text()[-5000:], file=sys.stderr)
            up.kill()
            raise
        recorded = rows(data, "SELECT count(*) FROM result")[0][0]
        return report(figures, options, seen=int(ask(target, "/count")), recorded=recorded, stopped=stopped)


def observe(up: psutil.Process, data: Path, options: argparse.Namespace) -> dict[str, object]:
    def all_probed() -> bool:
        try:
            return rows(data, "SELECT count(DISTINCT target_id) FROM result")[0][0] == options.monitors
        except sqlite3.OperationalError:
            return False

    wait_for("every monitor was probed once", all_probed, 60 + 3 * options.interval)
    # The window is one of a day like others: the first change of every monitor's status was handled before it.
    waiting = "SELECT count(*) FROM monitor_state WHERE seq > consumed_seq"
    first = time.monotonic()
    wait_for("the first transitions were consumed", lambda: rows(data, waiting)[0][0] == 0, 300)
    consumed = time.monotonic() - first
    time.sleep(options.interval)
    before, begun = cpu_seconds(up), time.time()
    time.sleep(options.seconds)
    ended, after = time.time(), cpu_seconds(up)
    cpu = {role: seconds - before.get(role, 0.0) for role, seconds in after.items()}
    memory = memory_mib(up)
    time.sleep(3)  # what started in the window is recorded by now
    start, end = int(begun * 1e6), int(ended * 1e6)
    window = "FROM result WHERE due_at >= ? AND due_at < ?"
    latest = rows(
        data, f"SELECT count(*), sum(started_at - due_at <= 1000000), max(started_at - due_at) {window}", start, end
    )[0]
    tables = [
        name
        for (name,) in rows(data, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    ]
    return {
        "probes": latest[0],
        "on time": latest[1] or 0,
        "latest": (latest[2] or 0) / 1e6,
        "failed": rows(data, f"SELECT count(*) {window} AND outcome != 'up'", start, end)[0][0],
        "skipped": rows(data, "SELECT sum(skipped_slots) FROM target")[0][0],
        "cpu": cpu,
        "memory": memory,
        "rows": {name: count for name in tables if (count := rows(data, f"SELECT count(*) FROM {name}")[0][0])},
        "elapsed": ended - begun,
        "consumed": consumed,
    }


def report(figures, options, *, seen: int, recorded: int, stopped: int) -> int:
    due = options.monitors * figures["elapsed"] / options.interval
    share = figures["on time"] / max(due, figures["probes"])
    shares = {role: seconds / max(1, figures["probes"]) * 1e6 for role, seconds in figures["cpu"].items()}
    per_probe = sum(shares.values())
    three = sum(figures["memory"].get(role, 0.0) for role in ROLES)
    print(
        f"{options.monitors} http monitors every {options.interval} s for {figures['elapsed']:.1f} s, {os.cpu_count()} cores"
    )
    print(
        f"due in the window       {due:.0f}, probed {figures['probes']}, failed {figures['failed']}, skipped {figures['skipped']}"
    )
    print(
        f"started within 1 s      {share:.2%} (wanted {WANTED['on time']:.1%}); the latest {figures['latest']:.3f} s late"
    )
    print(f"CPU a probe             {per_probe:.0f} us over all processes (wanted at most {WANTED['CPU']})")
    print("  of which              " + ", ".join(f"{role} {micros:.0f} us" for role, micros in shares.items()))
    print("memory                  " + ", ".join(f"{role} {mib:.0f} MB" for role, mib in figures["memory"].items()))
    print(f"  the three together    {three:.0f} MB (wanted at most {WANTED['memory']})")
    print(f"first transitions       consumed {figures['consumed']:.1f} s after the last monitor was first probed")
    print("rows                    " + ", ".join(f"{name} {count}" for name, count in figures["rows"].items()))
    print(f"seen by the server      {seen}, recorded {recorded}")
    faults = []
    if abs(seen - recorded) > MISMATCH * max(seen, recorded):
        faults.append(f"the server saw {seen} requests, the store has {recorded} results")
    if share < WANTED["on time"] or per_probe > WANTED["CPU"] or three > WANTED["memory"]:
        faults.append("a figure is not what is wanted")
    if stopped != 0:
        faults.append(f"up ended with {stopped}")
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
