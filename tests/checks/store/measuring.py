"""Results of any time, written at once, and the histograms that they must make."""

from checks.histogram import Histogram
from checks.store.engine import reading
from checks.store.percentiles import latency
from checks.store.periods import HOUR, start_of
from checks.store.rollup import roll_up
from checks.store.schema import dirty_period, result
from tests.checks.store.acts import target_of

MS = 1_000_000


def roll_all(engine, now):
    while roll_up(engine, now):
        pass


def put_results(engine, monitor, *found, location="local", **more):
    """Write results as (instant, milliseconds or None), with the marks that the writer would have made."""
    number = target_of(engine, monitor, location).id
    hours = sorted({start_of(HOUR, instant) for instant, _ in found})
    with engine.begin() as conn:
        conn.execute(
            result.insert(),
            [
                {
                    "target_id": number,
                    "due_at": instant,
                    "started_at": instant,
                    "outcome": "up" if milliseconds is not None else "down",
                    "latency_ns": None if milliseconds is None else milliseconds * MS,
                    **more,
                }
                for instant, milliseconds in found
            ],
        )
        conn.execute(
            dirty_period.insert(),
            [{"target_id": number, "resolution": HOUR, "start": hour, "ready_at": hour} for hour in hours],
        )


def read(engine, monitor, start, end):
    with reading(engine) as conn:
        return latency(conn, monitor.uuid, start, end)


def exactly(found, start, end):
    """The summary that all results of the window make, computed from them directly."""
    inside = [milliseconds for instant, milliseconds in found if start <= instant < end]
    histogram = Histogram()
    for milliseconds in inside:
        if milliseconds is not None:
            histogram.add(milliseconds * MS)
    quantiles = [None if ns is None else ns / 1e9 for ns in histogram.quantiles((0.5, 0.95, 0.99))]
    return (*quantiles, histogram.count, inside.count(None))


def shown(summary):
    return (summary.p50, summary.p95, summary.p99, summary.complete, summary.incomplete)
