"""A job that is published, and what hears its pings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from checks.heartbeats.receiver import PingReceiver
from checks.store.publishing import PublishedMonitor
from tests.checks.heartbeats.asking import CODE, receiving
from tests.checks.workers import monitor_of, publish


@pytest.fixture
def heartbeat(store: sa.Engine) -> PublishedMonitor:
    """A published job that is expected every minute, with ten seconds of grace."""
    monitor = replace(monitor_of(kind="heartbeat", schedule={"every": "60s"}, grace="10s"), ping_codes=(CODE,))
    publish(store, monitor)
    return monitor


@pytest.fixture
def receiver(store_url: str, heartbeat: PublishedMonitor) -> Iterator[PingReceiver]:
    with receiving(store_url) as receiver:
        yield receiver
