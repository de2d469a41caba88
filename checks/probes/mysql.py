"""`mysql`: connects to MySQL, MariaDB or what speaks like them, logs in, and runs a query that can only read."""

from __future__ import annotations

from typing import ClassVar, Literal

from checks.probe import Kind, ProbeContext
from checks.protocols.databases import SqlSpec, open_database
from checks.protocols.wire import importing, time_left
from checks.result import Observation

_QUIT = b"\1\0\0\0\1"


class MysqlSpec(SqlSpec):
    """Options of a monitor that asks MySQL or MariaDB."""

    example: ClassVar[str] = """\
address: db.example.org:3306
username: stillup
password: ${DB_PASSWORD}
database: shop
query: SELECT count(*) FROM orders WHERE state = 'stuck'
expect:
  - value < 10
"""

    kind: Literal["mysql"] = "mysql"
    """Connects to MySQL or MariaDB, logs in, and runs a query."""


async def probe(spec: MysqlSpec, context: ProbeContext) -> Observation:
    """Connect, secure the connection where both sides want it, log in, and ask."""
    with importing("mysql", context.stopwatch):
        from checks.protocols.mysql import MysqlSession  # noqa: PLC0415 - needs the extra

    wire = await open_database(spec, context)
    session = MysqlSession(spec, context, wire)
    try:
        entered = await session.log_in()
        if spec.query:
            await session.ask()
        wire.finish()
        if entered:
            await wire.take_leave(_QUIT, time_left(spec, context))
    finally:
        session.close()
        wire.abort()
    context.seen.complete = True
    return context.seen


MYSQL = Kind(spec=MysqlSpec, probe=probe, extra="mysql", modules=("aiomysql",))
