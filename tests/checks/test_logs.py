from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from checks.logs import JsonFormatter, TextFormatter, one_line, without_secrets
from tests.checks.workers import ROOT


def record(message: str, *args: Any, extra: dict[str, Any] | None = None, exc: BaseException | None = None) -> Any:
    info = (type(exc), exc, exc.__traceback__) if exc else None
    made = logging.getLogger("checks.worker").makeRecord(
        "checks.worker", logging.INFO, __file__, 1, message, args, info, extra=extra
    )
    made.created, made.msecs = 1795255200.9996, 999.6
    return made


def test_a_line_is_a_sentence_with_its_facts() -> None:
    made = record("%s went from %s to %s", "shop", "up", "down", extra={"action": "transition", "seq": 3})
    assert TextFormatter("worker").format(made) == (
        "2026-11-21T10:00:00.999Z INFO  worker  shop went from up to down action=transition seq=3"
    )


def test_json_has_one_object_a_line_with_the_same_facts() -> None:
    made = record("shop is %s", "down", extra={"action": "transition", "seq": 3, "evidence": {"a": 1}})
    assert json.loads(JsonFormatter("worker").format(made)) == {
        "at": "2026-11-21T10:00:00.999Z",
        "level": "info",
        "process": "worker",
        "logger": "checks.worker",
        "message": "shop is down",
        "action": "transition",
        "seq": 3,
        "evidence": "{'a': 1}",
    }


@pytest.mark.parametrize(
    "hostile",
    ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\u2028b", "a\x85b", "a\u202eb", "a\x7fb", "a\ud800b"],
)
def test_foreign_text_forges_no_event_and_drives_no_terminal(hostile: str) -> None:
    made = record("the server said %s", hostile, extra={"banner": hostile})
    for line in (TextFormatter("worker").format(made), JsonFormatter("worker").format(made)):
        assert len(line.splitlines()) == 1
        assert line.encode("utf-8", "backslashreplace").isascii() or "\ud800" in line
        assert not any(ord(c) < 0x20 or c in "\x7f\x85\u2028\u202e" for c in line)


def test_values_with_spaces_are_quoted() -> None:
    line = TextFormatter("").format(record("Said.", extra={"banner": '220 "mail" ready', "empty": ""}))
    assert line.endswith(r'INFO  worker  Said. banner="220 \"mail\" ready" empty=""')


def test_a_traceback_stays_within_its_event() -> None:
    with pytest.raises(ValueError) as caught:
        int("first line\nsecond line")
    made = record("it failed", exc=caught.value)
    text = TextFormatter("worker").format(made)
    assert len(text.splitlines()) == 1
    assert "traceback: Traceback (most recent call last):\\n" in text
    event = json.loads(JsonFormatter("worker").format(made))
    assert event["message"] == "it failed"
    assert event["traceback"].splitlines()[-1].startswith("ValueError: invalid literal")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://shop.example.org/a?token=t0p", "https://shop.example.org/a?..."),
        ("https://watch:h0rse@shop.example.org/a", "https://shop.example.org/a"),
        ("postgresql://watch:p@ss@db/stillup", "postgresql://db/stillup"),
        ("GET /ping/1?rid=7&x=1 HTTP/1.1", "GET /ping/1?... HTTP/1.1"),
        ('asked "https://a.example/?key=1" twice', 'asked "https://a.example/?..." twice'),
        ("Is it still up? yes", "Is it still up? yes"),
        ("write to ops@example.org", "write to ops@example.org"),
    ],
)
def test_passwords_and_queries_are_left_out(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert shown in TextFormatter("web").format(record("%s", text))


def test_a_mistake_in_the_call_is_shown() -> None:
    assert "two %s of 1 ('one',)" not in TextFormatter("web").format(record("fine %s", "one"))
    assert "%d probes ('many',)" in TextFormatter("web").format(record("%d probes", "many"))


def test_control_characters_become_escapes() -> None:
    assert one_line("a\tb\x1bc\u2029") == "a\\tb\\x1bc\\u2029"


def run(code: str, **environment: str) -> str:
    """What a process logs."""
    code = f"from checks import logs; logs.configure('worker'); import logging, threading\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return done.stderr


def test_what_nobody_caught_is_one_event_too() -> None:
    said = run("threading.Thread(target=lambda: 1 / 0, name='hot').start()\nraise ValueError('no')")
    assert len(said.splitlines()) == 2
    assert "thread hot ended by ZeroDivisionError" in said
    assert "ended by ValueError" in said


def test_json_is_chosen_by_the_environment() -> None:
    said = run("import warnings; warnings.warn('old')\nlogging.getLogger('x').info('yes')", STILLUP_LOG_FORMAT="json")
    assert [json.loads(line)["level"] for line in said.splitlines()] == ["warning", "info"]


def test_an_unknown_format_is_named() -> None:
    assert "STILLUP_LOG_FORMAT is 'xml'; allowed: text, json" in run("", STILLUP_LOG_FORMAT="xml")


def test_chatty_libraries_are_kept_quiet() -> None:
    assert run("logging.getLogger('httpx').info('GET https://a/?key=1')\nlogging.getLogger('alembic').info('x')") == ""
