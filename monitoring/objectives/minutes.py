"""Promises about minutes, `p95 < 300ms`: which minutes kept them. Counted from results, an hour at a time, and kept.

A minute keeps such a promise where that share of its probes was answered in less. An answer that never came was not
fast; what was our own fault does not count, and a minute without a probe is none.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from django.db import transaction

from checks.clock import from_micros
from checks.result import Outcome
from checks.store.ages import ages
from checks.store.engine import reading
from checks.store.periods import HOUR, LENGTH, MINUTE, SETTLED, start_of
from checks.store.schema import result, target
from checks.store.watches import targets
from checks.units import format_duration, parse_duration
from monitoring.models import Objective, PromisedHour
from monitoring.objectives.budget import Slice

logger = logging.getLogger(__name__)

PERCENTILES = ("50", "75", "90", "95", "99", "99.9")
MOST = 200  # hours counted in one step
AT_ONCE = timedelta(hours=24)  # counted by one query

_FORM = re.compile(r"p(\d{2}(?:\.\d)?)\s*<\s*(\S.*)", re.ASCII)
_AN_HOUR, _MINUTE = LENGTH[HOUR], 60_000_000  # microseconds
_A_MINUTE = LENGTH[MINUTE].total_seconds()
_KEPT_FOR = timedelta(days=3 * 366)
_ASKED_FOR = timedelta(days=92)  # the longest window
_LATE = timedelta(hours=1)  # for so long an hour that is over is counted anew

Counts = tuple[int, int]  # minutes that kept it, and that did not


@dataclass(frozen=True, slots=True)
class Promise:
    """What is said of a minute: of its probes, a share is answered in less than so many nanoseconds."""

    percentile: str
    nanoseconds: int

    def __str__(self) -> str:
        return f"p{self.percentile} < {format_duration(self.nanoseconds / 1e9)}"

    def holds(self, fast: int, all_of_them: int) -> bool:
        """Whether it holds for a minute with so many probes: by the nearest rank, as every percentile here."""
        return fast >= max(1, math.ceil(float(self.percentile) / 100 * all_of_them - 1e-9))


def parse_promise(text: str) -> Promise:
    """The promise of `p95 < 300ms`. Raises ValueError that says what to write."""
    match = _FORM.fullmatch(text.strip())
    if match is None or match[1] not in PERCENTILES:
        allowed = ", ".join(f"p{each}" for each in PERCENTILES)
        raise ValueError(f"not a promise about minutes: {text[:60]!r}; write one of {allowed}, as in p95 < 300ms")
    seconds = parse_duration(match[2])
    if not 0.0001 <= seconds <= 3600:
        raise ValueError(f"a latency is between 100us and 1h; found {match[2]}")
    return Promise(match[1], round(seconds * 1e9))


def count(
    conn: sa.Connection, monitor: UUID, promise: Promise, start: datetime, end: datetime
) -> dict[datetime, Counts]:
    """By the hour: how many minutes of a window kept the promise and how many did not. Hours without a probe are left out."""
    c = result.c
    minute = (sa.type_coerce(c.started_at, sa.BigInteger) // _MINUTE).label("minute")
    fast = sa.func.count(sa.case((c.latency_ns < promise.nanoseconds, 1)))
    query = (
        sa.select(minute, sa.func.count(), fast)
        .where(
            c.target_id.in_(targets(conn, monitor, start)),
            c.started_at >= start,
            c.started_at < end,
            c.outcome != Outcome.UNKNOWN.value,
        )
        .group_by(minute)
    )
    found: dict[datetime, Counts] = {}
    for number, probes, in_time in conn.execute(query):
        hour = start_of(HOUR, from_micros(int(number) * _MINUTE))
        kept, broken = found.get(hour, (0, 0))
        holds = promise.holds(in_time, probes)
        found[hour] = (kept + holds, broken + (not holds))
    return found


def density(conn: sa.Connection, monitor: UUID) -> float:
    """The share of the minutes in which a monitor is probed: all its locations probe in the same ones."""
    shortest = sa.select(sa.func.min(target.c.interval_seconds)).where(target.c.monitor == monitor)
    return min(1.0, _A_MINUTE / (conn.execute(shortest).scalar_one() or _A_MINUTE))


def follow(engine: sa.Engine, now: datetime) -> int:
    """Count the hours that are over, of every promise about minutes; how many are new, or are not what they were.

    An hour is counted anew for a while after its end: a worker that could not deliver a result at once still does.
    """
    left = MOST
    asked = Objective.objects.exclude(minutes="").order_by("monitor", "minutes").values_list("monitor", "minutes")
    for monitor, minutes in asked.distinct():
        if left <= 0:
            break
        try:
            left -= _follow_one(engine, monitor, minutes, now, left)
        except ValueError:  # not by us: none of the others waits for it
            logger.exception("The promise %r can't be read.", minutes, extra={"action": "promise_unreadable"})
    if left < MOST:
        PromisedHour.objects.filter(start__lt=now - _KEPT_FOR).delete()
    return MOST - left


def _follow_one(engine: sa.Engine, monitor: UUID, minutes: str, now: datetime, most: int) -> int:
    promise = parse_promise(minutes)
    oldest = start_of(HOUR, now - min(ages().results, _ASKED_FOR)) + _AN_HOUR
    known = kept_hours(monitor, minutes, oldest, now)
    over = [hour for hour in _hours(oldest, now) if hour + _AN_HOUR + SETTLED <= now]
    waiting = [hour for hour in over if hour not in known or hour + _AN_HOUR + SETTLED > now - _LATE][:most]
    done = 0
    while waiting:
        some = [hour for hour in waiting if hour < waiting[0] + AT_ONCE]
        with reading(engine) as conn:
            counted = count(conn, monitor, promise, some[0], some[-1] + _AN_HOUR)
        news = {hour: counted.get(hour, (0, 0)) for hour in some if known.get(hour) != counted.get(hour, (0, 0))}
        if news:
            _keep(monitor, minutes, news)
        done += len(news)
        waiting = waiting[len(some) :]
    return done


def _hours(start: datetime, end: datetime) -> Iterable[datetime]:
    while start < end:
        yield start
        start += _AN_HOUR


@transaction.atomic
def _keep(monitor: UUID, minutes: str, hours: Mapping[datetime, Counts]) -> None:
    """Two notifiers that count the same hour write the same row."""
    PromisedHour.objects.bulk_create(
        [
            PromisedHour(monitor_uuid=monitor, minutes=minutes, start=hour, kept=kept, broken=broken)
            for hour, (kept, broken) in hours.items()
        ],
        update_conflicts=True,
        unique_fields=("monitor_uuid", "minutes", "start"),
        update_fields=("kept", "broken"),
    )


def kept_hours(monitor: UUID, minutes: str, start: datetime, end: datetime) -> dict[datetime, Counts]:
    """What was counted of a window."""
    rows = PromisedHour.objects.filter(monitor_uuid=monitor, minutes=minutes, start__gt=start - _AN_HOUR, start__lt=end)
    return {row.start: (row.kept, row.broken) for row in rows}


def running(hours: Mapping[datetime, Counts], now: datetime) -> datetime:
    """From when on the results themselves are to be counted: after the last hour that was, and not long before now."""
    return max(max(hours, default=now - AT_ONCE) + _AN_HOUR, start_of(HOUR, now - AT_ONCE))


def of_hours(hours: Mapping[datetime, Counts], now: datetime) -> list[Slice]:
    """Slices of a promise about minutes."""
    return [
        Slice(hour, min(hour + _AN_HOUR, now), 60.0 * (kept + broken), 60.0 * broken)
        for hour, (kept, broken) in sorted(hours.items())
        if hour < now
    ]
