"""systemd's timers, as `systemctl cat` prints them."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.imports.timers import Timer, is_systemd, patched, read

URL = "https://status.example.org/ping/8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11"

FORGIVING = """/bin/sh -c '"$$@" || :' sh"""
CAT = """\
# /etc/systemd/system/backup.timer
[Unit]
Description=Back up
# /a comment/that is.no/header
[Timer]
OnCalendar=*-*-* 03:00:00
{timer}
[Install]
WantedBy=timers.target

# /lib/systemd/system/backup.service
[Service]
Type=oneshot
; a comment
ExecStart=/usr/bin/backup --all
{service}
"""


def cat(timer: str = "", service: str = "") -> str:
    return CAT.format(timer=timer, service=service)


def timer(text: str) -> Timer:
    found, skipped = read(text, timezone="Europe/Riga")
    assert skipped == []
    (only,) = found
    return only


def why_not(text: str) -> str:
    found, (skipped,) = read(text, timezone="Europe/Riga")
    assert found == []
    assert skipped.text == "backup.timer"
    return skipped.why


def test_a_timer_is_its_schedule_and_what_its_service_runs() -> None:
    assert is_systemd(cat())
    found = timer(cat())
    assert (found.service, found.commands) == ("backup.service", ("/usr/bin/backup --all",))
    assert (found.job.slug, found.job.command, found.job.line) == ("backup", "/usr/bin/backup --all", 1)
    assert found.job.schedule == {"oncalendar": ["*-*-* 03:00:00"], "timezone": "Europe/Riga"}


def test_a_crontab_is_no_timer() -> None:
    assert not is_systemd("# /etc/systemd/system/x.timer\n0 3 * * * test [ -e /x ]\n")


@pytest.mark.parametrize(
    ("lines", "calendars", "zone"),
    [
        ("", ["*-*-* 03:00:00"], "Europe/Riga"),
        ("OnCalendar=Mon..Fri 12:00", ["*-*-* 03:00:00", "Mon..Fri 12:00"], "Europe/Riga"),
        ("OnCalendar=\nOnCalendar=weekly", ["weekly"], "Europe/Riga"),
        ("OnCalendar=\nOnCalendar=Sun 04:00 America/New_York", ["Sun 04:00"], "America/New_York"),
        ("OnCalendar =\n OnCalendar = daily UTC ", ["daily"], "UTC"),
        ("OnCalendar=*-*-* \\\n# a comment between\n  12:00", ["*-*-* 03:00:00", "*-*-*  12:00"], "Europe/Riga"),
    ],
)
def test_calendars_add_up_until_an_empty_one_takes_them_back(lines: str, calendars: list[str], zone: str) -> None:
    schedule = timer(cat(lines)).job.schedule
    assert (schedule["oncalendar"], schedule["timezone"]) == (calendars, zone)


def test_a_drop_in_belongs_to_its_unit() -> None:
    text = cat() + (
        "\n# /etc/systemd/system/backup.timer.d/override.conf\n[Timer]\nOnCalendar=\nOnCalendar=04:00\n"
        "\n# /run/systemd/system/backup.service.d/50-x.conf\n[Service]\nExecStart=\nExecStart=/usr/bin/other\n"
    )
    found = timer(text)
    assert (found.job.schedule["oncalendar"], found.commands) == (["04:00"], ("/usr/bin/other",))


@pytest.mark.parametrize(
    ("lines", "grace"),
    [
        ("", "61m"),  # an hour, and the minute that is systemd's default accuracy
        ("AccuracySec=1us", "3601s"),
        ("RandomizedDelaySec=1h 30min\nAccuracySec=1s", "9001s"),
    ],
)
def test_what_systemd_itself_delays_is_added_to_the_grace(lines: str, grace: str) -> None:
    assert timer(cat(lines)).job.spec().model_dump()["grace"] == grace


@pytest.mark.parametrize(
    ("lines", "every"),
    [("OnUnitActiveSec=1h 30min", "90m"), ("OnUnitInactiveSec=45", "45s"), ("OnUnitActiveSec=1month", "43830m")],
)
def test_a_timer_that_counts_from_its_last_run_is_a_period(lines: str, every: str) -> None:
    text = cat(f"OnCalendar=\nOnBootSec=5min\n{lines}")
    assert timer(text).job.schedule == {"every": every}


def test_the_service_may_have_another_name() -> None:
    text = cat("Unit=other.service").replace("backup.service", "other.service")
    assert timer(text).service == "other.service"


def test_several_timers_are_read_in_one_go() -> None:
    second = cat().replace("backup", "sync@")
    found, skipped = read(f"{cat()}\n{second}", timezone="UTC")
    assert [(each.job.slug, each.service, each.job.line) for each in found] == [
        ("backup", "backup.service", 1),
        ("sync", "sync@.service", 18),
    ]
    assert skipped == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (cat("OnCalendar=\nOnBootSec=5min"), "it has no OnCalendar and no OnUnitActiveSec: it does not come again"),
        (cat("OnCalendar=every day"), "oncalendar 'every day' can't be read"),
        (cat("OnCalendar=daily UTC"), "its calendars are in several time zones: Europe/Riga, UTC"),
        (cat("RandomizedDelaySec=soon"), "'soon' is no time span"),
        (cat("OnCalendar=\nOnUnitActiveSec=100ms"), "schedule.every"),
        (cat(service=f"ExecStart=/usr/bin/curl {URL}"), "it reports already"),
        (cat(service="Type=notify"), "backup.service is of the type notify: it stays, a job ends"),
        (cat(service="ExecStart=|a && b"), "backup.service has a shell start its command by the prefix |"),
        (cat(service="ExecStart="), "backup.service is not here, or starts nothing; `systemctl cat backup.timer"),
        (cat().partition("# /lib")[0], "backup.service is not here, or starts nothing; `systemctl cat backup.timer"),
    ],
)
def test_what_makes_no_monitor_is_told_with_its_reason(text: str, why: str) -> None:
    assert why_not(text).startswith(why)


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("/usr/bin/backup --all", f"ExecStart=beat {URL} -- /usr/bin/backup --all"),
        ("+!! /usr/bin/backup", f"ExecStart=+!!beat {URL} -- /usr/bin/backup"),
        (":/bin/echo $HOME", f"ExecStart=:beat {URL} -- /bin/echo $HOME"),
        ("-/usr/bin/backup", f"ExecStart=-beat {URL} -- {FORGIVING} /usr/bin/backup"),
        ("-+!!: /usr/bin/backup", f"ExecStart=-+!!:beat {URL} -- {FORGIVING.replace('$$', '$')} /usr/bin/backup"),
        ("@/usr/bin/backup called-so --all", f"ExecStart=beat {URL} -- /usr/bin/backup --all"),
        ("-@/usr/bin/backup called-so", f"ExecStart=-beat {URL} -- {FORGIVING} /usr/bin/backup"),
        (r"/usr/bin/find / -exec x {} \; -print", rf"ExecStart=beat {URL} -- /usr/bin/find / -exec x {{}} \; -print"),
        ("/bin/sh -c 'a ; b' ';' c;d", f"ExecStart=beat {URL} -- /bin/sh -c 'a ; b' ';' c;d"),
        ("/bin/sh -c 'echo %%d %i $$HOME ${A}'", f"ExecStart=beat {URL} -- /bin/sh -c 'echo %%d %i $$HOME ${{A}}'"),
    ],
)
def test_a_command_is_put_behind_beat_with_its_prefixes_before(command: str, changed: str) -> None:
    found = timer(cat(service=f"ExecStart=\nExecStart={command}"))
    assert patched(found, URL, "beat").splitlines() == [
        "# systemctl edit backup.service",
        "[Service]",
        "ExecStart=",
        changed,
    ]


def test_every_command_of_a_service_reports() -> None:
    found = timer(cat(service="ExecStart=/usr/bin/verify"))
    assert patched(found, URL, "beat").count(f"beat {URL} -- /usr/bin/") == 2


def test_every_command_of_a_line_reports() -> None:
    found = timer(cat(service="ExecStart=\nExecStart=; /usr/bin/a --x ; -/usr/bin/b 'y ; z' ;"))
    assert patched(found, URL, "beat").splitlines()[3:] == [
        f"ExecStart=beat {URL} -- /usr/bin/a --x",
        f"ExecStart=-beat {URL} -- {FORGIVING} /usr/bin/b 'y ; z'",
    ]
    assert found.job.command == "/usr/bin/a --x"


def test_a_line_of_no_command_starts_nothing() -> None:
    assert "starts nothing" in why_not(cat(service="ExecStart=\nExecStart=;"))


@pytest.mark.parametrize("command", ["exit 3", "exit 0", "kill -TERM $$"])
def test_what_systemd_forgives_ends_well(command: str) -> None:
    found = timer(cat(service="ExecStart=\nExecStart=-/bin/sh -c COMMAND"))
    _, _, behind = patched(found, URL, "beat").splitlines()[-1].partition(" -- ")
    words = [command if word == "COMMAND" else word.replace("$$", "$") for word in shlex.split(behind)]
    assert subprocess.run(words, check=False).returncode == 0


def test_what_is_a_specifier_to_systemd_is_escaped_in_the_address() -> None:
    assert "https://s/ping/x?a=%%20b --" in patched(timer(cat()), "https://s/ping/x?a=%20b", "beat")


@given(st.text(st.one_of(st.sampled_from("'\"$% \tab-"), st.characters(categories=["L", "N"])), min_size=1))
def test_the_words_behind_beat_are_those_of_the_command(arguments: str) -> None:
    try:
        words = shlex.split(f"/usr/bin/x {arguments}")
    except ValueError:
        return
    found = timer(cat(service=f"ExecStart=\nExecStart=/usr/bin/x {arguments}"))
    line = patched(found, URL, "beat").splitlines()[-1].removeprefix("ExecStart=")
    assert shlex.split(line) == ["beat", URL, "--", *words]


@given(st.text(max_size=200))
def test_whatever_a_file_holds_is_read_without_an_error(text: str) -> None:
    read(f"{cat()}\n{text}", timezone="UTC")
    read(text, timezone="UTC")
