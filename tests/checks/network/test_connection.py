from __future__ import annotations

import asyncio
from functools import partial

import pytest
import uvloop

from checks.network.connection import Connection
from checks.network.streams import Streams
from tests.servers import Target, answers


class Collecting(Connection):
    def __init__(self, *, alone: bool) -> None:
        super().__init__()
        self.opening, self.alone = b"GET / HTTP/1.1\r\n\r\n", alone
        self.heard = asyncio.get_running_loop().create_future()

    def received(self, data: bytes, at_ns: int) -> None:
        if not self.heard.done():
            self.heard.set_result(data)


async def connected(port: int, *, alone: bool) -> Collecting:
    return await Streams().connect("127.0.0.1", port, partial(Collecting, alone=alone))


def test_what_stands_alone_says_its_opening_at_once() -> None:
    async def main(port: int) -> bytes:
        connection = await connected(port, alone=True)
        assert connection.opened_ns
        connection.start()
        try:
            return await connection.heard
        finally:
            connection.abort()
            await asyncio.sleep(0)  # the loop may only end once the connection is gone

    with Target(answers()) as target:
        assert uvloop.run(main(target.port)).startswith(b"HTTP/1.1 200")
        assert target.requests == [b"GET / HTTP/1.1\r\n\r\n"]


def test_what_may_not_stand_alone_says_nothing() -> None:
    async def main(port: int) -> None:
        connection = await connected(port, alone=False)
        assert not connection.opened_ns
        connection.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.heard, 0.1)
        connection.abort()

    with Target(answers()) as target:
        uvloop.run(main(target.port))
        assert target.requests == []
