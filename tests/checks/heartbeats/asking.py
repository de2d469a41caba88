"""Requests to the receiver of pings, as a server hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.heartbeats.receiver import PingReceiver
from checks.store.schema import monitor_state, ping, target, transition

CODE = UUID("8c0f6cb2-6f1e-4b0a-9d50-2f3c1f0f8a11")
PING = f"/ping/{CODE}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def ask(
    receiver: PingReceiver,
    path: str,
    *,
    method: str = "GET",
    query: str = "",
    parts: Sequence[bytes] = (b"",),
    headers: Sequence[tuple[bytes, bytes]] = (),
    leaves: bool = False,
) -> Answer | None:
    """One request; None where it was not answered. A client that `leaves` is gone after the parts of the body."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if leaves:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    waiting = iter(messages)
    sent: list[Any] = []

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
    }
    await receiver(scope, receive, send)
    if not sent:
        return None
    decoded = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], decoded, b"".join(message["body"] for message in sent[1:]))


def asked(receiver: PingReceiver, path: str, **options: Any) -> Answer:
    """One request, answered."""
    answer = asyncio.run(ask(receiver, path, **options))
    assert answer is not None
    return answer


@contextmanager
def receiving(url: str) -> Iterator[PingReceiver]:
    """A receiver that stores."""
    receiver = PingReceiver(url)
    receiver.open()
    try:
        yield receiver
    finally:
        receiver.close()


def pings(store: sa.Engine) -> Sequence[sa.Row[Any]]:
    with store.begin() as conn:
        return conn.execute(sa.select(ping).order_by(ping.c.id)).all()


def heard(store: sa.Engine) -> int:
    """How many pings are stored, those that are counted on the row of another too."""
    return sum(row.count for row in pings(store))


def job(store: sa.Engine) -> sa.Row[Any]:
    """The only target."""
    with store.begin() as conn:
        return conn.execute(sa.select(target)).one()


def status(store: sa.Engine) -> str:
    """The status of the only monitor."""
    with store.begin() as conn:
        return str(conn.execute(sa.select(monitor_state.c.status)).scalar_one())


def transitions(store: sa.Engine) -> Sequence[sa.Row[Any]]:
    with store.begin() as conn:
        return conn.execute(sa.select(transition).order_by(transition.c.seq)).all()
