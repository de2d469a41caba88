"""A process is killed at a point of the path: one incident, no change lost or invented, each message once or twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests import sharing
from tests.crash.points import ALL, OUTAGE, PING, SILENCE, Point
from tests.journeys.inbox import Inbox, Message
from tests.journeys.stack import Stack
from tests.journeys.target import Target
from tests.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

HOOK = Path(__file__).parent / "sitecustomize.py"
REPEAT = "may be a repeat"
VIA = ("json", "chat")


class Rig:
    """One installation that is killed again and again, with the server it watches and the inbox it writes to."""

    def __init__(self, database: str, *, feed: bool) -> None:
        self.hook = Path(mkdtemp(prefix="stillup-crash-"))
        shutil.copy(HOOK, self.hook)
        (self.hook / "functions").write_text("\n".join(sorted({point.function for point in ALL})), encoding="ascii")
        self.target = Target()
        self.target.start()
        self.inbox = Inbox()
        self.inbox.__enter__()
        directory = self.hook / "stack"
        directory.mkdir()
        self.stack = Stack(directory, database, self.configuration(feed=feed), PYTHONPATH=str(self.hook))
        self.stack.start()
        self.stack.wait_status("shop", "up")
        self.pings = {m["slug"]: m["ping_url"] for m in self.stack.monitors().values() if m["ping_url"]}
        for slug in self.pings:
            self.ping(slug)

    def configuration(self, *, feed: bool) -> str:
        # A job that nobody runs would fall silent in the middle of another story.
        silent = "  - {name: Feed, kind: heartbeat, schedule: {every: 6s}, grace: 6s}" if feed else ""
        # Intervals long enough that a restart is no silence: three of them without a result would be "unknown".
        return f"""
monitors:
  - {{name: Shop, kind: http, url: "{self.target.url}", interval: 3s, timeout: 1s, failures: 2, successes: 1, retry_interval: 1s}}
  - {{name: Import, kind: heartbeat, schedule: {{every: 1h}}, grace: 1h}}
{silent}
channels:
  - {{name: hook, url: "{self.inbox.json_url}"}}
  - {{name: chat, url: "{self.inbox.chat_url}"}}
alert_rules:
  - {{name: Told, when: down, notify: [hook, chat]}}
status_pages:
  - slug: public
    title: Example
    groups:
      - {{name: Core, components: [{{monitor: shop, name: Shop}}]}}
"""

    def close(self) -> None:
        try:
            self.stack.__exit__(None, None, None)
        finally:
            self.target.stop()
            self.inbox.__exit__(None, None, None)
            shutil.rmtree(self.hook, ignore_errors=True)

    def arm(self, point: Point) -> None:
        (self.hook / "reached").unlink(missing_ok=True)
        beside = self.hook / "arming"
        beside.write_text(point.order, encoding="ascii")
        beside.replace(self.hook / "armed")

    def reached(self) -> bool:
        return (self.hook / "reached").exists()

    def disarm(self) -> None:
        (self.hook / "armed").unlink(missing_ok=True)

    def ping(self, slug: str, action: str = "") -> None:
        """As a careful client does: again until it is answered by 200."""
        wait_until(
            lambda: self.stack.get(self.pings[slug] + action, method="POST", body=b"")[0] == 200,
            within=60,
            what=f"the ping of {slug} is answered",
            every=0.3,
        )

    def told(self, via: str, name: str) -> list[Message]:
        return [message for message in self.inbox.of(via) if name.lower() in message.text.lower()]


_rigs: dict[tuple[str, bool], Rig] = {}


@pytest.fixture
def rig(database: str, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The installation of this database; a fresh one after a test that failed."""
    key = (database, "silent" in request.node.name)
    if key not in _rigs:
        _rigs[key] = Rig(database, feed=key[1])
        sharing.share(f"crash-{database}", lambda: _close(key))
    rig = _rigs[key]
    rig.stack.wait_ready()
    for slug in ("shop", *rig.pings):
        if slug in rig.pings:
            rig.ping(slug)
        rig.stack.wait_status(slug, "up", within=60)
    rig.stack.wait_quiet()
    rig.inbox.messages.clear()
    failed_before = request.session.testsfailed
    yield rig
    rig.disarm()
    if request.session.testsfailed > failed_before:
        print(rig.stack.log[-20_000:])
        _close(key)


def _close(key: tuple[str, bool]) -> None:
    rig = _rigs.pop(key, None)
    if rig is not None:
        rig.close()


def selection(points: list[Point]) -> list[object]:
    """Each point on each database; the everyday selection is killed on one of them in turn, the rest is marked as long."""
    everyday = [point for point in points if point.short]
    own = dict(zip(everyday, cycle(("sqlite", "postgresql")), strict=False))
    return [
        pytest.param(
            database,
            point,
            id=f"{database}-{point}",
            marks=[
                pytest.mark.xdist_group(f"crash-{database}"),
                *([] if own.get(point) == database else [pytest.mark.long]),
            ],
        )
        for database in ("sqlite", "postgresql")
        for point in points
    ]


def check_story(rig: Rig, point: Point, name: str, *, begin: Callable[[], None], end: Callable[[], None]) -> None:
    """What must hold of a trouble that begins and ends while a process is killed at the point."""
    slug = name.lower()
    known = len(rig.stack.transitions(slug))
    incidents = {row["uuid"] for row in rig.stack.query("SELECT uuid FROM monitoring_incident")}

    rig.arm(point)
    begin()
    rig.stack.wait_status(slug, "down", within=60)
    wait_until(lambda: all(rig.told(via, name) for via in VIA), within=60, what="it was told")
    rig.stack.wait_quiet()
    end()
    rig.stack.wait_status(slug, "up", within=60)
    wait_until(rig.reached, within=30, what=f"{point} is reached")
    rig.stack.wait_quiet()
    rig.stack.wait_ready()
    rig.stack.wait_quiet()

    # A job that is silent is late first, where somebody is there to see it.
    seen = [change for change in rig.stack.transitions(slug)[known:] if change != ("up", "degraded")]
    assert [("up", "down") if change == ("degraded", "down") else change for change in seen] == [
        ("up", "down"),
        ("down", "up"),
    ]
    query = "SELECT uuid, cause, resolved_at FROM monitoring_incident"
    opened = [row for row in rig.stack.query(query) if row["uuid"] not in incidents]
    assert [row["cause"] for row in opened] == ["down"]
    assert opened[0]["resolved_at"] is not None
    for via in VIA:
        messages = rig.told(via, name)
        down = [message for message in messages if "is down" in message.text]
        over = [message for message in messages if "up again" in message.text]
        assert len(down) + len(over) == len(messages), messages
        for copies in (down, over):
            assert 1 <= len(copies) <= 2, [message.text for message in copies]
            assert all(REPEAT in copy.text for copy in copies[1:]), [message.text for message in copies]
        assert max(m.at for m in down) < min(m.at for m in over), "the end is told after the beginning"


@pytest.mark.parametrize(("database", "point"), selection(OUTAGE))
def test_an_outage_is_told_whole_whatever_dies(rig: Rig, point: Point) -> None:
    check_story(rig, point, "Shop", begin=rig.target.stop, end=rig.target.start)


@pytest.mark.parametrize(("database", "point"), selection(PING))
def test_a_reported_failure_is_told_whole_whatever_dies(rig: Rig, point: Point) -> None:
    check_story(rig, point, "Import", begin=lambda: rig.ping("import", "/fail"), end=lambda: rig.ping("import"))


@pytest.mark.parametrize(("database", "point"), selection(SILENCE))
def test_a_silent_job_is_told_whole_whatever_dies(rig: Rig, point: Point) -> None:
    check_story(rig, point, "Feed", begin=lambda: rig.ping("feed"), end=lambda: rig.ping("feed"))


def test_there_are_enough_points() -> None:
    assert len(ALL) >= 25
    assert len({point.order for point in ALL}) == len(ALL)
