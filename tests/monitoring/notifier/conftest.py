from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from checks import clock
from checks.status import Cause, Status
from checks.store.outbox import StoredTransition
from monitoring import channels
from monitoring.models import AlertRule, AlertRuleChannel, Channel, Incident, Monitor, Notification
from monitoring.notifier import delivery, dispatch
from monitoring.notifier.pool import Pool
from monitoring.notifier.sender import Answer
from tests.monitoring.notifier.installation import Installation, installed
from tests.monitoring.notifier.receiver import Receiver, receiving

LEASE = timedelta(seconds=2)
FAILURE = {
    "reason": "expectation",
    "message": "expected status in 200-299, got 500",
}
EVIDENCE = {
    "location": "local",
    "failure": FAILURE,
    "phases": {"dns": 1_000_000, "connect": 2_000_000, "first_byte": 80_000_000},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


SLOWEST = 20.0  # seconds in which a busy machine starts a child and sends


@pytest.fixture(scope="session")
def warm_pool() -> Iterator[Pool]:
    """Children are warm between tests, as they are between messages."""
    pool = Pool(deadline=SLOWEST)
    yield pool
    pool.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[Installation]:
    """Databases that several connections, threads and processes use at once, on each engine in turn."""
    with django_db_blocker.unblock(), installed(request.param, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def sqlite_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[Installation]:
    """The same on SQLite, for what no database decides."""
    with django_db_blocker.unblock(), installed("sqlite", tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def postgresql_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[Installation]:
    """The same on PostgreSQL."""
    with django_db_blocker.unblock(), installed("postgresql", tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def store_id() -> UUID:
    return uuid4()


def make_monitor(**fields: Any) -> Monitor:
    number = Monitor.objects.count() + 1
    name = fields.pop("name", f"Shop {number}")
    spec = {"kind": "http", "name": name, "url": "http://127.0.0.1:9/", **fields.pop("spec", {})}
    now = clock.utcnow()
    defaults = {"slug": f"shop-{number}", "kind": "http", "created_at": now, "updated_at": now}
    return Monitor.objects.create(name=name, spec=spec, **{**defaults, **fields})


def make_channel(url: str, **fields: Any) -> Channel:
    channel = Channel(name=fields.pop("name", f"channel-{Channel.objects.count() + 1}"), **fields)
    channels.set_url(channel, url)
    channel.save()
    return channel


def make_rule(*told: Channel, **fields: Any) -> AlertRule:
    rule = AlertRule.objects.create(**{"name": f"rule-{AlertRule.objects.count() + 1}", **fields})
    for position, channel in enumerate(told):
        AlertRuleChannel.objects.create(rule=rule, channel=channel, position=position)
    return rule


class Story:
    """What happens to one monitor, told to the dispatch transition by transition."""

    def __init__(self, store: UUID, monitor: Monitor) -> None:
        self.store = store
        self.monitor = monitor
        self.seq = 0
        self.status = Status.PENDING

    def transition(
        self, status: Status, *, cause: Cause = Cause.PROBE, ago: float = 30.0, **fields: Any
    ) -> StoredTransition:
        now = clock.utcnow()
        self.seq, before, self.status = self.seq + 1, self.status, status
        defaults = {
            "uuid": uuid4(),
            "monitor": self.monitor.pk,
            "slug": self.monitor.slug,
            "name": self.monitor.name,
            "kind": self.monitor.kind,
            "seq": self.seq,
            "at": now,
            "since": now - timedelta(seconds=ago),
            "from_status": before,
            "to_status": status,
            "cause": cause,
            "evidence": EVIDENCE if status is Status.DOWN else {},
        }
        return StoredTransition(**{**defaults, **fields})

    def goes(self, status: Status, **fields: Any) -> StoredTransition:
        transition = self.transition(status, **fields)
        assert dispatch.consume(transition, self.store, clock.utcnow())
        return transition

    @property
    def incident(self) -> Incident:
        return Incident.objects.filter(monitor_uuid=self.monitor.pk).latest("detected_at")


@pytest.fixture
def tell(store_id: UUID) -> Callable[..., Story]:
    """Begins the story of a monitor."""
    return lambda monitor=None, **fields: Story(store_id, monitor or make_monitor(**fields))


class Post:
    """Delivers what is due, on this thread."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.name = "notifier@here"

    def one(self, after: float = 0.0) -> Answer | None:
        """Deliver the next message that is due in `after` seconds."""
        now = clock.utcnow() + timedelta(seconds=after)
        claimed = delivery.claim(self.name, now, LEASE)
        if claimed is None:
            return None
        answer = delivery.send(claimed, self.pool)
        delivery.settle(claimed, self.name, answer, now)
        return answer

    def all(self, after: float = 0.0) -> list[Answer]:
        answers = []
        while (answer := self.one(after)) is not None:
            answers.append(answer)
        return answers


@pytest.fixture
def post(warm_pool: Pool) -> Post:
    return Post(warm_pool)


def statuses() -> dict[str, str]:
    """The event and status of every message."""
    return {row.event: row.status for row in Notification.objects.order_by("created_at", "key")}
