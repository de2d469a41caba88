"""What the tests of the store do again and again, each with the defaults of `tests.factories`."""

from datetime import timedelta

import sqlalchemy as sa

from checks.status import Status
from checks.store.claims import claim
from checks.store.engine import reading
from checks.store.publishing import publish
from checks.store.schema import monitor_state, target, transition
from checks.store.writer import record
from tests.factories import NOON, at, make_finished, make_published

LEASE = timedelta(seconds=30)
LATER = at(60)  # every monitor of the factories is due by then


def publish_one(engine, **fields):
    monitor = make_published(**fields)
    with engine.begin() as conn:
        assert publish(conn, [monitor], NOON) == 1
    return monitor


def claim_due(engine, now=LATER, **options):
    given = {"worker": "w1", "location": "local", "horizon": timedelta(seconds=1), "limit": 100, "lease": LEASE}
    with engine.begin() as conn:
        return claim(conn, now=now, **{**given, **options})


def run_probe(engine, outcome, now=LATER, *, location="local", **fields):
    """Claim the one due target of a location, and record an outcome at `now`."""
    [claimed] = claim_due(engine, now, location=location, worker=f"w-{location}")
    with engine.begin() as conn:
        return record(conn, [make_finished(claimed, outcome, **{"started_at": now, **fields})], now)


def rows(engine, table, *where):
    with reading(engine) as conn:
        return conn.execute(sa.select(table).where(*where).order_by(*table.primary_key)).all()


def one(engine, table, *where):
    [row] = rows(engine, table, *where)
    return row


def status_of(engine, monitor):
    return Status(one(engine, monitor_state, monitor_state.c.monitor == monitor.uuid).status)


def target_of(engine, monitor, location="local"):
    return one(engine, target, target.c.monitor == monitor.uuid, target.c.location == location)


def history(engine, monitor):
    """The transitions of a monitor as (seq, from, to, cause)."""
    with reading(engine) as conn:
        query = sa.select(transition).where(transition.c.monitor == monitor.uuid).order_by(transition.c.seq)
        return [(row.seq, row.from_status, row.to_status, row.cause) for row in conn.execute(query)]
