"""Crontabs, read and patched as Debian's cron has them."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.imports.crontab import Line, looks_like_system, patched, read

URL = "https://status.example.org/ping/8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11"


def lines(text: str, *, system: bool = False, timezone: str = "UTC") -> list[Line]:
    found, skipped = read(text, system=system, timezone=timezone)
    assert skipped == []
    return found


def line(text: str, *, system: bool = False) -> Line:
    (found,) = lines(text, system=system)
    return found


def by_cron(rest: str) -> tuple[str, str]:
    """The command and its input, as cron's own loop makes them of a line."""
    command, escaped = "", False
    for index, char in enumerate(rest):
        if escaped:
            command = command[:-1] + char if char in "%\\" else command + char
            escaped = False
        elif char == "%":
            return command, rest[index + 1 :]
        else:
            command, escaped = command + char, char == "\\"
    return command, ""


@pytest.mark.parametrize(
    "when",
    [
        "0 3 * * *",
        "*/5 8-18 1-31/2 jan-mar,dec mon-fri",
        "5,10,20-30 0 * * 7",
        "0 0 13 * 5",
        "@hourly",
        "@daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@yearly",
        "@annually",
    ],
)
def test_every_way_to_say_when_is_understood(when: str) -> None:
    found = line(f"{when} backup --all")
    assert (found.schedule["cron"], found.command) == (when, "backup --all")


def test_tabs_spaces_comments_and_the_ends_of_lines_of_dos_are_no_matter() -> None:
    text = "# nightly\r\n\r\n  \t0\t3 \t* * *\t backup  --all \r\n\t# more\r\n@daily\tsync\r\n"
    first, second = lines(text)
    assert (first.number, first.before, first.command) == (3, "  \t0\t3 \t* * *\t ", "backup  --all ")
    assert (second.number, second.before, second.command) == (5, "@daily\t", "sync")


def test_what_begins_like_a_separator_elsewhere_is_part_of_the_command() -> None:
    assert line("0 3 * * * echo \u2028 \x0c \x1d end").command == "echo \u2028 \x0c \x1d end"


def test_assignments_hold_for_the_lines_below() -> None:
    text = """
        0 1 * * * one
        CRON_TZ=Europe/Riga
        SHELL = "/bin/bash"
        MAILTO=""
        0 2 * * * two
        CRON_TZ = 'America/New_York'
        SHELL=/bin/sh
        0 3 * * * A=b three
        CRON_TZ=
        0 4 * * * four
    """
    found = lines(text, timezone="Asia/Tokyo")
    assert [(each.command, each.schedule["timezone"], each.shell) for each in found] == [
        ("one", "Asia/Tokyo", "/bin/sh"),
        ("two", "Europe/Riga", "/bin/bash"),
        ("A=b three", "America/New_York", "/bin/sh"),
        ("four", "Asia/Tokyo", "/bin/sh"),
    ]


def test_a_user_stands_before_the_command_in_a_system_crontab() -> None:
    text = "17 *\t* * *\troot\tcd / && run-parts /etc/cron.hourly\n25 6 * * * www-data\tsync\n"
    assert looks_like_system(text)
    first, second = lines(text, system=True)
    assert (first.user, first.command) == ("root", "cd / && run-parts /etc/cron.hourly")
    assert (second.user, second.before) == ("www-data", "25 6 * * * www-data\t")
    assert patched(second, URL, "beat") == f"25 6 * * * www-data\tbeat {URL} -- /bin/sh -c 'sync'"


@pytest.mark.parametrize(
    "text", ["", "# nothing", "0 3 * * * backup", "0 3 * * * root\n0 4 * * * /usr/bin/x", "@daily a b"]
)
def test_a_crontab_of_a_person_is_not_taken_for_one_of_the_system(text: str) -> None:
    assert not looks_like_system(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("@reboot /usr/bin/start", "a job that runs at boot has no schedule"),
        ("0 3 * *", "this is neither a job nor an assignment"),
        ("0 3 * * *", "this is neither a job nor an assignment"),
        ("backup", "this is neither a job nor an assignment"),
        ("@daily", "this is neither a job nor an assignment"),
        ("@sometimes backup", "cron '@sometimes' has 1 field"),
        ("61 * * * * x", "the minute '61' is not possible; allowed: 0-59"),
        ("0 0 31 2 * x", "never occurs"),
        ("0~30 * * * * x", "the minute '0~30' is not possible"),
        ("0 3 * * * %only what it reads", "there is no command"),
        (f"0 3 * * * beat {URL} -- backup", "it reports already"),
    ],
)
def test_what_makes_no_monitor_is_named_with_its_line(text: str, why: str) -> None:
    found, (skipped,) = read(f"# a comment\n\n{text}\n@daily sync", system=False, timezone="UTC")
    assert [each.command for each in found] == ["sync"]
    assert (skipped.line, skipped.text) == (3, text)
    assert why in skipped.why


def test_a_system_line_without_a_command_is_named() -> None:
    _, (skipped,) = read("0 3 * * * root", system=True, timezone="UTC")
    assert skipped.why == "there is no command behind the user"


def test_an_unknown_time_zone_is_named() -> None:
    _, (skipped,) = read("CRON_TZ=CEST\n0 3 * * * x", system=False, timezone="UTC")
    assert "unknown time zone 'CEST'" in skipped.why


@pytest.mark.parametrize(
    ("command", "shown", "given"),
    [
        ("date +\\%F", "date +%F", ""),
        ("mail root%Subject: x%%body", "mail root", "%Subject: x%%body"),
        ("echo \\\\%input", "echo \\", "%input"),
        ("echo 100\\% \\\\ \\x%in\\%put", "echo 100% \\ \\x", "%in\\%put"),
        ("echo end\\", "echo end\\", ""),
    ],
)
def test_a_percent_sign_begins_what_the_command_reads_unless_it_is_escaped(
    command: str, shown: str, given: str
) -> None:
    found = line(f"0 3 * * * {command}")
    assert (found.job.command, found.given) == (shown, given)
    assert by_cron(command) == (shown, given.removeprefix("%"))


def through_a_shell(rest: str) -> tuple[list[str], str]:
    """The words that a `beat` gets where cron starts such a line, and what it reads."""
    command, given = by_cron(rest)
    script = 'beat() { printf "%s\\0" "$@"; }\n' + command
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True, env={"PATH": os.defpath})
    return done.stdout.decode().split("\0")[:-1], given


# What cron and a shell have rules for comes often.
@given(
    st.text(
        st.one_of(st.sampled_from("'\\%\"$`! \t#ab-"), st.characters(exclude_characters="\n\0", codec="utf-8")),
        min_size=1,
        max_size=40,
    )
)
def test_the_word_that_beat_gets_is_the_old_command(command: str) -> None:
    found, _ = read(f"0 3 * * * {command}", system=False, timezone="UTC")
    for each in found:
        words, given = through_a_shell(patched(each, URL, "beat").removeprefix(each.before))
        rest = command.lstrip(" \t").removesuffix("\r")
        assert (words, given) == ([URL, "--", "/bin/sh", "-c", by_cron(rest)[0]], by_cron(rest)[1])


@given(st.text(max_size=200), st.booleans())
def test_whatever_a_file_holds_is_read_without_an_error(text: str, system: bool) -> None:
    found, skipped = read(text, system=system, timezone="UTC")
    assert len({each.number for each in found} | {each.line for each in skipped}) == len(found) + len(skipped)


def test_a_patched_line_does_what_it_did(tmp_path: Path) -> None:
    """With the real `beat`, to a server that is not there."""
    beat = Path(__file__).resolve().parents[3] / "clients" / "beat"
    out = tmp_path / "out"
    old = f"""cd {shlex.quote(str(tmp_path))} && read a && echo "$a's 100\\%" 'it' > out; exit 3%given%not read"""
    new = patched(line(f"0 3 * * * {old}"), "http://127.0.0.1:9/ping/code", str(beat)).removeprefix("0 3 * * * ")
    for rest in (old, new):
        command, given = by_cron(rest)
        env = {"PATH": os.environ["PATH"], "BEAT_SPOOL": str(tmp_path / "spool")}
        done = subprocess.run(["/bin/sh", "-c", command], input=given.replace("%", "\n").encode(), check=False, env=env)
        assert (done.returncode, out.read_text()) == (3, "given's 100% it\n")
        out.unlink()
