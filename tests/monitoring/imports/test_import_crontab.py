"""`manage.py import_crontab`, from a file to monitors whose addresses are heard."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from django.core.management import CommandError, call_command

from checks.process import WRONG_CONFIGURATION
from monitoring.models import Monitor
from tests.checks.heartbeats.asking import asked, receiving

CRONTAB = """\
SHELL=/bin/bash
*/10 * * * * /srv/sync.sh
0 3 * * * cd /srv && ./backup.sh --password S3cret
0 4 * * * /srv/sync.sh
@reboot /srv/start
"""


@pytest.fixture
def run(committed: Any, published_to_sqlite: sa.Engine, capsys: pytest.CaptureFixture[str]) -> Any:
    """The command; what it printed, and what it told beside."""

    def run(*arguments: str, **options: Any) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        with committed():
            call_command("import_crontab", *arguments, stdout=out, stderr=err, **options)
        return out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def crontab(tmp_path: Path) -> str:
    path = tmp_path / "crontab"
    path.write_text(CRONTAB)
    return str(path)


def slugs() -> list[str]:
    return sorted(Monitor.objects.values_list("slug", flat=True))


def test_without_create_a_plan_is_printed_and_nothing_is_made(run: Any, crontab: str) -> None:
    out, err = run(crontab, timezone="Europe/Riga")
    assert slugs() == []
    configuration, lines = out.split("# The jobs, once they report:\n")
    monitors = yaml.safe_load(configuration)["monitors"]
    assert [each["slug"] for each in monitors] == ["sync", "backup", "sync-2"]
    assert {each["schedule"]["timezone"] for each in monitors} == {"Europe/Riga"}
    assert lines.splitlines()[:2] == [
        "# sync, of line 2",
        "*/10 * * * * /usr/local/bin/beat PING-URL-OF-sync -- /bin/bash -c '/srv/sync.sh'",
    ]
    assert "S3cret" not in configuration
    assert "line 5 makes no monitor: a job that runs at boot has no schedule\n    @reboot /srv/start\n" in err
    assert err.endswith("Proposed 3 monitors; 0 there already; 1 skipped.\n")


def test_the_printed_configuration_can_be_applied(run: Any, crontab: str, tmp_path: Path) -> None:
    out, _ = run(crontab)
    path = tmp_path / "config.yaml"
    path.write_text(out.split("# The jobs")[0])
    call_command("apply", str(path), stdout=io.StringIO())
    assert slugs() == ["backup", "sync", "sync-2"]
    out, err = run(crontab)
    assert "monitors:" not in out
    assert err.endswith("Proposed 0 monitors; 3 there already; 1 skipped.\n")


def test_created_monitors_are_heard_at_the_printed_addresses(run: Any, crontab: str, sqlite_url: str) -> None:
    out, err = run(crontab, "--create", "--beat", "beat")
    assert slugs() == ["backup", "sync", "sync-2"]
    assert err.endswith("Created 3 monitors; 0 there already; 1 skipped.\n")
    addresses = re.findall(r"beat http://\S+(/ping/\S+) -- ", out)
    assert len(addresses) == 3
    with receiving(sqlite_url) as receiver:
        assert [asked(receiver, f"{address}/0").status for address in addresses] == [200] * 3


def test_importing_again_makes_nothing_and_prints_the_same_lines(run: Any, crontab: str) -> None:
    first, _ = run(crontab, "--create")
    again, err = run(crontab, "--create")
    assert slugs() == ["backup", "sync", "sync-2"]
    assert err.endswith("Created 0 monitors; 3 there already; 1 skipped.\n")
    assert "# backup, of line 3; its monitor is there already\n" in again
    job_lines = [[line for line in text.splitlines() if not line.startswith("#")] for text in (first, again)]
    assert job_lines[0] == job_lines[1]


def test_what_it_printed_needs_no_import_any_more(run: Any, crontab: str, tmp_path: Path) -> None:
    out, _ = run(crontab, "--create")
    path = tmp_path / "new"
    path.write_text(out)
    out, err = run(str(path), "--create")
    assert out == ""
    assert err.count("it reports already") == 3


def test_the_same_crontab_of_another_machine_has_monitors_of_its_own(run: Any, crontab: str) -> None:
    run(crontab, "--create", "--prefix", "web1")
    run(crontab, "--create", "--prefix", "web2")
    run(crontab, "--create", "--prefix", "web2")
    assert slugs() == sorted(f"{web}-{name}" for web in ("web1", "web2") for name in ("backup", "sync", "sync-2"))


def test_a_slug_that_another_monitor_has_is_not_taken(run: Any, crontab: str, make_monitor: Any) -> None:
    make_monitor(name="Backup")
    run(crontab, "--create")
    assert slugs() == ["backup", "backup-2", "sync", "sync-2"]


def test_it_reads_what_is_given_on_stdin(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0 3 * * * root backup\n")))
    out, _ = run("--system")
    assert "0 3 * * * root /usr/local/bin/beat PING-URL-OF-backup -- /bin/sh -c 'backup'" in out


def test_it_reads_systemds_timers(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "units"
    path.write_text(
        "# /etc/systemd/system/nightly.timer\n[Timer]\nOnCalendar=03:00\n\n"
        "# /etc/systemd/system/nightly.service\n[Service]\nExecStart=/usr/bin/backup\n"
        "# /etc/systemd/system/boot.timer\n[Timer]\nOnBootSec=1min\n"
        "# /etc/systemd/system/boot.service\n[Service]\nExecStart=/usr/bin/boot\n"
    )
    out, err = run(str(path), "--create", "--beat", "beat")
    assert slugs() == ["nightly"]
    assert re.search(r"\n\[Service\]\nExecStart=\nExecStart=beat http://\S+ -- /usr/bin/backup\n", out)
    assert "line 8 makes no monitor: it has no OnCalendar and no OnUnitActiveSec" in err


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, {}, "can't be read: No such file or directory"),
        (b"\xff", {}, "is not UTF-8 at byte 0"),
        (b"#" * (1 << 20) + b"\n", {}, "has more than 1048576 bytes; a crontab is smaller"),
        (b"# nothing\n", {}, "has no job; expected a crontab, or what `systemctl cat NAME.timer NAME.service` prints"),
        (b"[Timer]\nOnCalendar=daily\n", {}, "has no job; expected a crontab, or what `systemctl cat"),
        (b"0 3 * * * x\n", {"timezone": "CEST"}, "unknown time zone 'CEST'"),
    ],
)
def test_what_can_not_be_read_is_told(
    run: Any, tmp_path: Path, content: bytes | None, options: dict[str, str], message: str
) -> None:
    path = tmp_path / "crontab"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError, match=re.escape(message)) as caught:
        run(str(path), **options)
    assert caught.value.returncode == WRONG_CONFIGURATION
