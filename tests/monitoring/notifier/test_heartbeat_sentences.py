"""What is said of a heartbeat, from the ping or the silence to the message, as text and HTML, and on the dashboard."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from checks.heartbeats.hearing import hear_all
from checks.heartbeats.runs import Action, Ping
from checks.heartbeats.sweep import sweep
from checks.sight import EVERYWHERE, WEB
from checks.store import reader
from checks.store.schema import sign_of_life, transition
from monitoring import words
from monitoring.models import Incident
from monitoring.notifier import messages
from tests.checks.workers import monitor_of, publish

CODE = UUID(int=5)
THREE = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)  # 03:00 in Riga
NIGHTLY = {"schedule": {"cron": "0 3 * * *", "timezone": "Europe/Riga"}, "grace": "15m"}
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Said:
    """A ping so long after 03:00 of the first night."""

    after: timedelta
    action: Action = Action.SUCCESS
    exit_code: int | None = None
    numbers: tuple[tuple[str, float], ...] = ()
    sent: timedelta | None = None


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


# The run of the first night took 4 min 10 s.
FIRST = (Said(minutes(0), Action.START), Said(minutes(0) + timedelta(seconds=250)))


def story(store: sa.Engine, options: dict[str, Any], said: Sequence[Said], judged: timedelta | None) -> Any:
    """The last transition of a job that said so, and was judged then."""
    publish(store, replace(monitor_of(kind="heartbeat", name="Backup", **options), ping_codes=(CODE,)), now=THREE)
    for each in said:
        ping = Ping(
            address=CODE,
            action=each.action,
            received_at=THREE + each.after,
            sent_at=None if each.sent is None else THREE + each.sent,
            exit_code=each.exit_code,
            numbers=dict(each.numbers),
        )
        with store.begin() as conn:
            hear_all(conn, [ping], ping.received_at)
    if judged is not None:
        with store.begin() as conn:
            lived = {"process": "web", "role": WEB, "location": EVERYWHERE, "started_at": THREE, "at": THREE + judged}
            conn.execute(sign_of_life.insert().values(lived))
            sweep(conn, THREE + judged)
    with store.begin() as conn:
        return conn.execute(sa.select(transition).order_by(transition.c.seq.desc())).first()


STORIES = {
    "missed": (
        NIGHTLY,
        FIRST,
        DAY + minutes(16),
        "expected by 03:15 Europe/Riga, last heard from 2026-11-21 03:04:10 Europe/Riga, ran 4 min 10 s",
    ),
    "late": (
        NIGHTLY,
        FIRST,
        DAY + minutes(2),
        (
            "expected at 03:00 Europe/Riga, last heard from 2026-11-21 03:04:10 Europe/Riga, ran 4 min 10 s;"
            " down if silent until 03:15 Europe/Riga"
        ),
    ),
    "never ended": (
        NIGHTLY,
        (*FIRST, Said(DAY, Action.START)),
        DAY + minutes(16),
        "expected by 03:15 Europe/Riga, it started at 2026-11-22 03:00 Europe/Riga and did not end",
    ),
    "failed": (NIGHTLY, (*FIRST, Said(DAY, Action.FAIL)), None, "the job reported that it failed"),
    "exit code": (
        NIGHTLY,
        (*FIRST, Said(DAY, Action.FAIL, exit_code=137)),
        None,
        "the job ended with exit code 137",
    ),
    "too long": (
        {**NIGHTLY, "max_run": "2h"},
        (*FIRST, Said(DAY, Action.START)),
        DAY + minutes(121),
        "started at 2026-11-22 03:00 Europe/Riga and did not end within 2 h",
    ),
    "too short": (
        {**NIGHTLY, "min_run": "1m"},
        (*FIRST, Said(DAY, Action.START), Said(DAY + timedelta(seconds=12))),
        None,
        "the job ended after 12 s, sooner than it can do its work: at least 1 min",
    ),
    "stuck": (
        {**NIGHTLY, "stuck_after": 3},
        [Said(minutes(n), numbers=(("progress", 42.0),)) for n in range(3)],
        None,
        "the job is stuck: its progress was the same in 3 pings in a row",
    ),
    "expectation": (
        {**NIGHTLY, "expect": ["rows > 100"]},
        (*FIRST[:1], Said(minutes(4), numbers=(("rows", 12.0),))),
        None,
        "expected rows > 100, got 12",
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_each_trouble_of_a_job_has_its_sentence_everywhere(sqlite_store: sa.Engine, name: str) -> None:
    options, said, judged, sentence = STORIES[name]
    change = story(sqlite_store, options, said, judged)
    assert change.to_status == ("degraded" if name == "late" else "down")
    summary = messages.summary_of(change.evidence)
    assert summary == sentence[:1].upper() + sentence[1:]
    incident = Incident(
        uuid=UUID(int=7),
        monitor_name="Backup",
        cause="down",
        summary=summary,
        opened_at=change.since,
        detected_at=change.at,
        evidence=change.evidence,
    )
    message = messages.render("down", messages.facts_of(incident, {"slug": "backup", "kind": "heartbeat"}), change.at)
    assert f"{summary}." in message.text
    assert html.escape(summary) in message.html
    with sqlite_store.begin() as conn:
        (view,) = reader.overview(conn, change.at)
    assert sentence in words.failure(view.last_failure)


def test_a_report_that_was_spooled_says_that_the_job_ran_on_time(sqlite_store: sa.Engine) -> None:
    missed = story(sqlite_store, NIGHTLY, FIRST, DAY + minutes(16))
    late = Said(DAY + minutes(44), sent=DAY + minutes(4))
    with sqlite_store.begin() as conn:
        ping = Ping(
            address=CODE, action=late.action, received_at=THREE + late.after, sent_at=THREE + (late.sent or DAY)
        )
        hear_all(conn, [ping], ping.received_at)
        up = conn.execute(sa.select(transition).order_by(transition.c.seq.desc())).first()
    assert up is not None
    assert (missed.to_status, up.to_status) == ("down", "up")
    assert messages.spooled(missed.evidence, up.evidence, missed.since, up.at) == (
        "The job ran on time; its report arrived 40 min late."
    )
