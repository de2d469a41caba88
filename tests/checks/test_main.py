"""`python -m checks`, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from checks.__main__ import main
from tests.servers import Target, answers, closed_port, echoes, greets


def run_checks(*arguments):
    command = [sys.executable, "-W", "error", "-m", "checks", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_probe_shows_the_verdict_and_where_the_time_went():
    with Target(answers(b"hello")) as target:
        ran = run_checks("probe", target.url("/health"))
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0
    assert lines[0] == f"up: {target.url('/health')}"
    assert [line.split()[0] for line in lines[1:5]] == ["connect", "first", "transfer", "latency"]
    assert "█" in lines[1]
    assert lines[5] == "  ✓ status in 200-299"
    assert f"  address: {target.address}" in lines
    assert "  body: hello" in lines


def test_a_probe_of_a_target_that_is_down_exits_with_1():
    ran = run_checks("probe", f"http://127.0.0.1:{closed_port()}/")
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[0].endswith("the connection was refused")


def test_a_probe_as_json_is_for_scripts():
    with Target(answers(b"no", "404 Not Found")) as target:
        ran = run_checks("probe", target.url(), "--json")
    told = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert told["outcome"] == "down"
    assert told["failure"]["found"] == "404"
    assert told["latency_seconds"] == pytest.approx(sum(told["phases_seconds"].values()))
    assert told["evidence"]["status"] == 404
    assert told["expectations"] == [{"line": "status in 200-299", "decides": "down", "met": False, "found": "404"}]


def test_a_host_and_port_is_a_tcp_probe_with_expectations_and_options():
    with Target(greets(b"220 ESMTP\r\n")) as target:
        up = run_checks("probe", target.address, "--expect", 'banner contains "ESMTP"', "--timeout", "5s")
        down = run_checks(
            "probe", target.address, "--option", 'expect=["banner contains \\"POP\\""]', "--degraded", "banner exists"
        )
    assert (up.returncode, down.returncode) == (0, 1)
    assert 'expected banner contains "POP"' in down.stdout
    assert '  ✗ banner contains "POP": got "220 ESMTP' in down.stdout
    assert "  ✓ banner exists (or degraded)\n" in down.stdout


def test_a_monitor_of_a_file_is_probed_with_its_secrets_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "hunter2-hunter2")
    path = tmp_path / "config.yaml"
    with Target(echoes) as target:
        path.write_text(
            "defaults: {timeout: 3s}\n"
            "monitors:\n"
            f"  - {{name: Shop, kind: http, url: '{target.url()}', bearer: '${{SHOP_TOKEN}}', expect: ['status == 201']}}\n"
            "  - {name: Job, kind: heartbeat, schedule: {every: 1h}}\n"
        )
        ran = run_checks("probe", str(path), "--monitor", "shop")
        up = run_checks("probe", str(path), "--monitor", "shop", "--expect", "status == 200", "--json")
    assert ran.returncode == 1
    assert b"hunter2-hunter2" in target.requests[0]
    assert "hunter2" not in ran.stdout + up.stdout
    assert (up.returncode, json.loads(up.stdout)["outcome"]) == (0, "up")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["probe", "http://a/", "--monitor", "shop"], "http://a/ is no file"),
        (["probe", "nonsense"], "has no port; write host:port"),
        (["probe", "http://a/", "--timeout", "5"], "timeout: not a duration: '5'"),
        (["probe", "http://a/", "--expect", "statu == 1"], "did you mean status?"),
        (["probe", "http://a/", "--option", "x"], "write NAME=VALUE"),
        (["probe", "http://a/", "--option", "x=1"], "x: unknown key 'x'; known: kind, name"),
        (["probe", "http://a/", "--option", "ip=7"], "ip: expected one of any, 4, 6; found '7'"),
        (["probe", "http://a/" + "a" * 3000], "url: expected 1 to 2,000 characters, and this has 3,009"),
        (["probe", "http://a/", "--kind", "heartbeat"], "invalid choice"),
        ([], "required: {probe,worker}"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_wrong_command_line_is_told_without_a_traceback():
    ran = run_checks("probe", "nonsense")
    assert ran.returncode == 2
    assert "has no port; write host:port" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_wrong_environment_exits_with_78(monkeypatch):
    monkeypatch.setenv("STILLUP_PROBE_DENY", "nonsense")
    ran = run_checks("probe", "http://127.0.0.1:9/")
    assert ran.returncode == 78
    assert ran.stderr.startswith("STILLUP_PROBE_DENY holds 'nonsense'")


def test_the_worker_is_a_subcommand():
    ran = run_checks("worker", "--help")
    assert ran.returncode == 0
    assert "--location" in ran.stdout
