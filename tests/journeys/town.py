"""One installation a database that several stories share: each has monitors and servers of its own."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import sharing
from tests.journeys.inbox import Inbox, Message
from tests.journeys.ports import free_port
from tests.journeys.stack import Stack
from tests.journeys.target import Target
from tests.waiting import wait_until

FAILURES, RETRY, INTERVAL = 3, 1.0, 2.0  # of everything that is probed
SERVERS = ("shop", "cart", "blog", "steady")


class Town:
    """The installation, the servers that it watches by their names, and the inbox of all its channels."""

    def __init__(self, database: str) -> None:
        self._open = ExitStack()
        directory = Path(self._open.enter_context(TemporaryDirectory(prefix="stillup-town-")))
        self.servers = {name: self._open.enter_context(Target()) for name in SERVERS}
        self.inbox = self._open.enter_context(Inbox())
        self.mail_port = free_port()
        self.stack = Stack(directory, database, self.configuration(), STILLUP_MAIL_PINGS=f"127.0.0.1:{self.mail_port}")
        self._open.enter_context(self.stack)

    def close(self) -> None:
        """Stop everything; the installation must stop cleanly."""
        self._open.close()

    def configuration(self, more: str = "") -> str:
        """The file, with more monitors where they are given."""
        return f"""
defaults: {{interval: {INTERVAL:g}s, timeout: 1s, failures: {FAILURES}, retry_interval: {RETRY:g}s, successes: 2}}
monitors:
  - name: Shop
    kind: http
    url: {self.servers["shop"].url}
    tags: [prod]
  - name: Shop port
    kind: tcp
    address: 127.0.0.1:{self.servers["shop"].port}
  - name: Cart
    kind: http
    url: {self.servers["cart"].url}
    tags: [prod]
    expect:
      - status in 200-299
      - json $.queue < 100
  - name: Blog
    kind: http
    url: {self.servers["blog"].url}
  - name: Steady
    kind: http
    url: {self.servers["steady"].url}
    interval: 1s
  - name: Backup
    kind: heartbeat
    schedule: {{every: 2s}}
    grace: 2s
    tags: [jobs]
  - name: Mailed
    kind: heartbeat
    schedule: {{every: 1h}}
    failure_keywords: [FAILED]
  - name: Hammered
    kind: heartbeat
    schedule: {{every: 1h}}
  - name: Hammered too
    kind: heartbeat
    schedule: {{every: 5s}}
    grace: 10s
{more}
channels:
  - name: ops-mail
    url: {self.inbox.mail_url}
  - name: team-chat
    url: {self.inbox.chat_url}
  - name: hook
    url: {self.inbox.json_url}
alert_rules:
  - name: Production is down
    when: down
    match: {{tags: [prod]}}
    notify: [ops-mail, team-chat, hook]
  - name: A job is down
    when: down
    match: {{tags: [jobs]}}
    notify: [ops-mail]
status_pages:
  - slug: public
    title: Example status
    groups:
      - name: Core
        components: [{{monitor: shop, name: The shop}}, {{monitor: blog, name: The blog}}]
"""

    def told(self, via: str, name: str) -> list[Message]:
        """The messages about a monitor that came that way."""
        return [message for message in self.inbox.of(via) if re.search(rf"\b{name}\b", message.text)]

    def wait_told(self, name: str, count: int, *via: str) -> None:
        """Until so many messages about the monitor came each way."""
        wait_until(
            lambda: all(len(self.told(each, name)) >= count for each in via),
            within=60,
            what=f"{count} messages about {name} by {', '.join(via)}",
        )


_towns: dict[str, Town] = {}


def town_of(database: str) -> Town:
    """The town on that database, founded when it is first visited."""
    if database not in _towns:
        _towns[database] = Town(database)
        sharing.share(f"town-{database}", lambda: _towns.pop(database).close())
    return _towns[database]
