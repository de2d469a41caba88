"""Where processes are killed: before and after each commit, send and lease step of the path."""

from __future__ import annotations

from dataclasses import dataclass

SENDER = "monitoring.notifier.sender"


@dataclass(frozen=True, slots=True)
class Point:
    """A call in one of the processes. `short`: in the everyday selection, not only in the full matrix."""

    role: str
    function: str
    when: str
    nth: int = 1
    short: bool = False

    @property
    def order(self) -> str:
        """What the armed file says."""
        return f"{self.role} {self.function}:{self.when}:{self.nth}"

    def __str__(self) -> str:
        name = self.function.rpartition(":")[2]
        return f"{self.role.rpartition('.')[2]}-{self.when}-{name}" + (f"-{self.nth}" if self.nth > 1 else "")


def around(role: str, function: str, *, short: str = "") -> list[Point]:
    """The two points of a function."""
    return [Point(role, function, when, short=when == short) for when in ("before", "after")]


# A server stops and comes back. Worker, notifier and sender are killed on the way to the first message or to the last.
OUTAGE = [
    # The claim, in its transaction and after its commit.
    *around("worker", "checks.store.claims:claim"),
    Point("worker", "checks.worker:Worker._claim_now", "after"),
    # The probe; its result is held in memory only.
    *around("worker", "checks.probe:run"),
    Point("worker", "checks.recorder:Recorder.add", "after"),
    # The batch: before anything is written, with all of it written and nothing committed, after the commit.
    Point("worker", "checks.recorder:Recorder._write_now", "before"),
    Point("worker", "checks.store.bulk:write", "after"),
    *around("worker", "checks.store.writer:settle"),
    Point("worker", "checks.store.writer:record", "after"),
    Point("worker", "checks.recorder:Recorder._write_now", "after", short=True),
    Point("worker", "checks.recorder:Recorder._write_now", "after", nth=3),
    *around("worker", "checks.store.claims:renew"),
    *around("worker", "checks.sight:Signs.write"),
    # The notifier's lease on the monitor.
    *around("notifier", "checks.store.outbox:claim_monitors"),
    *around("notifier", "checks.store.outbox:next_transition"),
    # Incident and notifications, in one transaction, and after its commit.
    Point("notifier", "monitoring.notifier.dispatch:consume", "before"),
    Point("notifier", "monitoring.notifier.incidents:take_effect", "before"),
    Point("notifier", "monitoring.notifier.routing:queue", "before"),
    Point("notifier", "monitoring.notifier.routing:queue", "after"),
    Point("notifier", "monitoring.notifier.incidents:take_effect", "after"),
    Point("notifier", "monitoring.notifier.dispatch:consume", "after", short=True),
    # The mark in the store, in its transaction and after its commit.
    *around("notifier", "checks.store.outbox:mark_consumed"),
    *around("notifier", "checks.store.outbox:release_monitors"),
    # The delivery: the lease on the message, the sending, the end written down.
    *around("notifier", "monitoring.notifier.delivery:claim"),
    *around("notifier", "monitoring.notifier.delivery:send", short="after"),
    *around("notifier", "monitoring.notifier.delivery:settle"),
    Point("notifier", "monitoring.notifier.delivery:settle", "after", nth=2),
    *around("notifier", "monitoring.notifier.pool:Child.send"),
    *around(SENDER, "monitoring.recipients:pick"),
    *around(SENDER, "apprise.plugins.base:NotifyBase.notify", short="after"),
    # The page.
    *around("notifier", "monitoring.status.snapshot:render_all"),
]

# A job reports failure and then success. The client repeats what was not answered by 200.
PING = [
    *around("web", "checks.heartbeats.receiver:read"),
    Point("web", "checks.heartbeats.journal:Journal._write_now", "before"),
    *around("web", "checks.heartbeats.hearing:hear_all", short="after"),
    Point("web", "checks.heartbeats.journal:Journal._write_now", "after", short=True),
    *around("web", "checks.store.writer:settle"),
    *around("web", "checks.sight:Signs.write"),
]

# A job falls silent, and reports again.
SILENCE = [
    *around("worker", "checks.heartbeats.sweep:overdue"),
    *around("worker", "checks.heartbeats.sweep:sweep"),
    Point("worker", "checks.heartbeats.sweep:_judge", "after"),
]

ALL = [*OUTAGE, *PING, *SILENCE]
