"""What a heartbeat's page shows beside what every page does: where the job reports, what it did, when it is expected."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

import sqlalchemy as sa
from django.conf import settings

from checks.heartbeats import history
from checks.heartbeats.habits import Habits
from checks.heartbeats.history import Cursor, Run, Sample, UnknownPings, Which
from checks.heartbeats.request import METHODS
from checks.heartbeats.runs import LATE_AFTER, Action
from checks.probes.heartbeat import HeartbeatSpec
from checks.schedule import Schedule
from checks.store import ping_codes
from checks.store.ping_codes import CodeUse
from checks.store.reader import MonitorView
from checks.units import spoken_duration
from monitoring import words
from monitoring.models import Monitor
from monitoring.operator.bodies import Said, said
from monitoring.operator.drawing import Line, Stroke, line, strip
from monitoring.operator.recipes import Recipe, recipes

RUNS = 25  # a page of the list
SAMPLES = 100  # runs in a drawing
MOST_DRAWINGS = 12
EXPECTED = 5
MOST_UNKNOWN = 5
_UNKNOWN_SINCE = timedelta(days=1)
_NEW = timedelta(minutes=10)  # in which a job that was just connected is told that it is
# Seconds after which an open page looks again.
_WAITING, _HEARD = 2, 10
_MOST_CLIENT = 40  # characters of what a client calls itself
_SHOWS = {Which.RUNS: "Runs", Which.FAILED: "Failures", Which.ALL: "Every ping"}
_ENDS = (Action.SUCCESS, Action.FAIL)
_STATUSES = {Action.SUCCESS: "up", Action.FAIL: "down", Action.LOG: "", Action.START: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which runs somebody wants to see."""

    which: Which = Which.RUNS
    text: str = ""
    before: Cursor | None = None


def asked(given: Mapping[str, str]) -> Asked:
    """What the parameters of an address ask for; what makes no sense is not asked."""
    which = given.get("show", "")
    return Asked(
        which=Which(which) if which in set(Which) else Which.RUNS,
        text=given.get("q", "").replace("\0", "").strip()[: history.LONGEST_TEXT],
        before=Cursor.parse(given.get("before", "")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One line of the list of runs."""

    run: Run
    status: str  # whose colour and shape it has
    word: str
    remarks: Sequence[str]
    numbers: Sequence[tuple[str, str]]
    via: str
    said: Said | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A number over the last runs."""

    name: str
    last: str
    usual: str
    lowest: str
    highest: str
    count: int
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """When the job is expected, once in its own zone."""

    at: datetime
    there: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the store knows of a job beside what it knows of every monitor."""

    asked: Asked = field(default_factory=Asked)
    first_at: datetime | None = None
    codes: Sequence[CodeUse] = ()
    lines: Sequence[RunLine] = ()
    older: Cursor | None = None
    running: Sequence[datetime] = ()  # when the runs began that did not end
    durations: Sequence[Sample] = ()
    drawings: Sequence[Drawing] = ()
    habits: Habits | None = None
    unknown: Sequence[UnknownPings] = ()  # while nothing was ever heard: whose pings may have been meant for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """All that is shown of a job."""

    spec: HeartbeatSpec
    url: str
    schedule: str
    zone: str
    is_waiting: bool  # for its first ping
    is_new: bool  # the first ping came a moment ago
    refresh: int
    late_at: datetime | None
    is_overdue: bool
    expected: Sequence[Expected]
    recipes: Sequence[Recipe]
    used: CodeUse | None
    old: CodeUse | None  # the address before, while it is heard
    strokes: Sequence[Stroke]
    known: Known

    @property
    def shows(self) -> Sequence[tuple[str, str]]:
        """The lists that may be asked for, in words."""
        return [(which.value, word) for which, word in _SHOWS.items()]

    @property
    def usual_time(self) -> str:
        """The usual time of day, in the job's zone; empty where there is none."""
        band = self.known.habits.time_of_day if self.known.habits else None
        if band is None:
            return ""
        minutes = round(band.median / 60) % (24 * 60)
        return (
            f"{minutes // 60:02}:{minutes % 60:02} {self.zone}, give or take {spoken_duration(max(band.spread, 1.0))}"
        )


def read(conn: sa.Connection, monitor: Monitor, spec: HeartbeatSpec, asked: Asked, now: datetime) -> Known:
    """What the store knows of a job."""
    uuid = monitor.uuid
    found = history.runs(conn, uuid, RUNS, which=asked.which, text=asked.text, before=asked.before)
    first_at = history.first_at(conn, uuid)
    # Where some are left out, the one before is not the one below.
    every = found.runs if asked.which is not Which.FAILED and not asked.text else ()
    return Known(
        asked=asked,
        first_at=first_at,
        codes=ping_codes.uses(conn, uuid),
        lines=[_line(run, spec, every, asked.which) for run in found.runs],
        older=found.older,
        running=history.open_since(conn, uuid),
        durations=history.durations(conn, uuid, SAMPLES),
        drawings=[_drawing(*each) for each in history.numbers(conn, uuid, SAMPLES).items()][:MOST_DRAWINGS],
        habits=history.usual(conn, uuid, spec),
        unknown=[] if first_at else history.unknown_pings(conn, MOST_UNKNOWN, since=now - _UNKNOWN_SINCE),
    )


def assemble(monitor: Monitor, spec: HeartbeatSpec, view: MonitorView | None, known: Known, now: datetime) -> Heartbeat:
    """What is shown of a job, by what is known of it."""
    schedule, timezone = spec.expected, spec.schedule.timezone
    url = f"{settings.BASE_URL}/ping/{monitor.ping_code}"
    is_watched = monitor.retired_at is None and not monitor.paused
    is_waiting = is_watched and view is not None and view.last_ping_at is None
    expected_at = view.expected_at if view else None
    grace = timedelta(seconds=spec.grace)
    return Heartbeat(
        spec=spec,
        url=url,
        schedule=f"every {spoken_duration(schedule.every)}" if schedule.every else str(schedule),
        zone=timezone,
        is_waiting=is_waiting,
        is_new=known.first_at is not None and now - known.first_at < _NEW,
        refresh=_WAITING if is_waiting else _HEARD,
        late_at=None if expected_at is None or known.running else expected_at + min(LATE_AFTER, grace / 2),
        is_overdue=expected_at is not None and expected_at < now,
        expected=[_expected(at, timezone) for at in _following(schedule, expected_at, now)] if is_watched else [],
        recipes=recipes(url, schedule),
        used=next((use for use in known.codes if use.code == monitor.ping_code), None),
        old=next((use for use in known.codes if use.expires_at is not None and use.expires_at > now), None),
        strokes=strip([("down" if each.failed else "up", round(each.value * 1e9)) for each in known.durations]),
        known=known,
    )


def _following(schedule: Schedule, expected_at: datetime | None, now: datetime) -> list[datetime]:
    """The next instants at which the job is expected: an interval counts from a ping, a calendar always knows."""
    if expected_at is not None and expected_at > now:
        return [expected_at, *schedule.following(expected_at, EXPECTED - 1)]
    return [] if schedule.every else schedule.following(now, EXPECTED)


def _expected(at: datetime, timezone: str) -> Expected:
    local = at.astimezone(zoneinfo.ZoneInfo(timezone))
    clock = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    return Expected(at=at, there=f"{local:%a} {local.day} {local:%b %Y}, {clock} {local:%Z}")


def _line(run: Run, spec: HeartbeatSpec, every: Sequence[Run], which: Which) -> RunLine:
    return RunLine(
        run=run,
        status="pending" if run.is_open else _STATUSES[run.action],
        word=_word(run, which),
        remarks=_remarks(run, spec, every),
        numbers=[(name, words.number(value)) for name, value in run.numbers.items()],
        via=_via(run),
        said=said(run.body, run.body_size),
    )


def _via(run: Run) -> str:
    """`POST by curl/8.14.1`, or how else it came."""
    how = run.method if run.method in METHODS.split(", ") else f"by {run.method.lower()}"
    client = run.user_agent if len(run.user_agent) <= _MOST_CLIENT else f"{run.user_agent[: _MOST_CLIENT - 1]}…"
    return f"{how} by {client}" if client and how in METHODS else how


def _word(run: Run, which: Which) -> str:
    if run.action is Action.START:
        return "Running" if run.is_open else "Start" if which is Which.ALL else "Never ended"
    if run.action is Action.FAIL:
        return f"Exit code {run.exit_code}" if run.exit_code else "Failed"
    return "Logged" if run.action is Action.LOG else "Success"


def _overlaps(run: Run, every: Sequence[Run]) -> bool:
    """Whether a run began before another had ended that began earlier. A start that nobody ended is not known to last."""
    begun = run.started_at
    return begun is not None and any(
        other.started_at is not None
        and other.started_at < begun
        and (other.is_open if other.ended_at is None else begun < other.ended_at)
        for other in every
    )


def _remarks(run: Run, spec: HeartbeatSpec, every: Sequence[Run]) -> list[str]:
    """What is worth saying of a run, by the specification as it is now."""
    found = []
    seconds = None if run.duration_ns is None else run.duration_ns / 1e9
    if seconds is not None and spec.min_run is not None and seconds < spec.min_run:
        found.append("too fast")
    if seconds is not None and spec.max_run is not None and seconds > spec.max_run:
        found.append("too long")
    if _overlaps(run, every):
        found.append("began while another run was on")
    if run.count > 1:
        found.append(f"{run.count} pings until {run.last_at:%H:%M:%S} UTC")
    delay = run.received_at - run.at
    if delay >= LATE_AFTER:
        arrived = f"report arrived {spoken_duration(delay.total_seconds())} late"
        found.append(f"ran on time, {arrived}" if _was_on_time(run, spec, every) else arrived)
    return found


def _was_on_time(run: Run, spec: HeartbeatSpec, every: Sequence[Run]) -> bool:
    """Whether a run began, or ended, before it could have been called late after the one before it."""
    ends = [each.at for each in every if each.action in _ENDS and each.at < run.at]
    if run.action not in _ENDS or not ends:
        return False
    expected = spec.expected.next_expected(max(ends))
    return (run.started_at or run.at) <= expected + min(LATE_AFTER, timedelta(seconds=spec.grace) / 2)


def _drawing(name: str, samples: Sequence[Sample]) -> Drawing:
    values = [sample.value for sample in samples]
    return Drawing(
        name=name,
        last=words.number(values[-1]),
        usual=words.number(median(values)),
        lowest=words.number(min(values)),
        highest=words.number(max(values)),
        count=len(values),
        line=line([(sample.value, sample.failed) for sample in samples]),
    )
