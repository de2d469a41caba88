"""Groups: whose status follows from whose, and what it is now. Nothing is written here.

A group names its members by their slugs, as the configuration does. Whoever changes a member's status holds its row and
those of the groups above it (`checks.store.states.lock_monitors`), and brings these into line in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from checks.probes import KINDS, parse_spec
from checks.result import Failure
from checks.status import Member, Status
from checks.store.schema import group_member, monitor_state, target
from checks.store.states import CHUNK, groups_above, lock_monitors

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a group is now by its members. `row` is its row of `monitor_state`, locked."""

    row: sa.Row[Any]
    status: Status
    failure: Failure | None
    members: Sequence[Member]


def derive(conn: sa.Connection, slugs: Collection[str]) -> Iterator[Derived]:
    """What the groups are that these slugs are members of, or are themselves; members before the groups they are in."""
    concerned = {*groups_above(conn, slugs=slugs), *_groups_called(conn, slugs)}
    if not concerned:
        return
    rows = {uuid: row for uuid, row in lock_monitors(conn, concerned).items() if not row.paused and row.removed is None}
    members = _members_of(conn, rows)
    specs = _specs_of(conn, rows)
    known = _standing(conn, {slug for each in members.values() for slug in each})
    for uuid in _members_first(rows, members):
        row, spec = rows[uuid], specs.get(uuid)
        kind = KINDS.get(row.kind)
        if spec is None or kind is None or kind.derive is None:
            continue
        found = [known[slug] for slug in members.get(uuid, ()) if slug in known]
        status, failure = kind.derive(spec, found)
        known[row.slug] = Member(slug=row.slug, name=row.name, status=status)
        yield Derived(row=row, status=status, failure=failure, members=found)


def members_of(conn: sa.Connection, group: UUID) -> list[Member]:
    """The members of a group that the store knows, by name."""
    slugs = _members_of(conn, [group]).get(group, ())
    return sorted(_standing(conn, slugs).values(), key=lambda member: member.name)


def write_members(conn: sa.Connection, groups: Mapping[UUID, Sequence[str]]) -> None:
    """The members of these monitors are those; none for what is no group."""
    ordered = sorted(groups)
    for begin in range(0, len(ordered), CHUNK):
        some = ordered[begin : begin + CHUNK]
        conn.execute(group_member.delete().where(group_member.c.monitor.in_(some)))
    values = [{"monitor": uuid, "member": slug} for uuid in ordered for slug in groups[uuid]]
    if values:
        conn.execute(group_member.insert(), values)


def uuids_of(conn: sa.Connection, slugs: Collection[str]) -> set[UUID]:
    """The monitors that have these slugs now."""
    c, ordered = monitor_state.c, sorted(set(slugs))
    found: set[UUID] = set()
    for begin in range(0, len(ordered), CHUNK):
        query = sa.select(c.monitor).where(c.slug.in_(ordered[begin : begin + CHUNK]), c.removed.is_(None))
        found.update(conn.execute(query).scalars())
    return found


def _groups_called(conn: sa.Connection, slugs: Collection[str]) -> Iterator[UUID]:
    """The groups among the monitors of these slugs."""
    c, ordered = monitor_state.c, sorted(set(slugs))
    for begin in range(0, len(ordered), CHUNK):
        groups = sa.select(target.c.monitor).where(target.c.source == "derived", target.c.monitor == c.monitor)
        query = sa.select(c.monitor).where(c.slug.in_(ordered[begin : begin + CHUNK]), c.removed.is_(None))
        yield from conn.execute(query.where(groups.exists())).scalars()


def _members_of(conn: sa.Connection, groups: Collection[UUID]) -> dict[UUID, list[str]]:
    c, ordered = group_member.c, sorted(groups)
    found: dict[UUID, list[str]] = {}
    for begin in range(0, len(ordered), CHUNK):
        query = sa.select(c.monitor, c.member).where(c.monitor.in_(ordered[begin : begin + CHUNK]))
        for row in conn.execute(query.order_by(c.monitor, c.member)):
            found.setdefault(row.monitor, []).append(row.member)
    return found


def _specs_of(conn: sa.Connection, groups: Collection[UUID]) -> dict[UUID, Any]:
    c, ordered, found = target.c, sorted(groups), {}
    for begin in range(0, len(ordered), CHUNK):
        query = sa.select(c.monitor, c.spec).where(c.monitor.in_(ordered[begin : begin + CHUNK]))
        for row in conn.execute(query):
            try:
                found[row.monitor] = parse_spec(row.spec)
            except ValueError:
                # One group that can't be read must not stop the results of its members.
                logger.exception("the specification of a group can't be read", extra={"action": "spec_unreadable"})
    return found


def _standing(conn: sa.Connection, slugs: Collection[str]) -> dict[str, Member]:
    c, ordered, found = monitor_state.c, sorted(slugs), {}
    for begin in range(0, len(ordered), CHUNK):
        query = sa.select(c.slug, c.name, c.status).where(c.removed.is_(None))
        for row in conn.execute(query.where(c.slug.in_(ordered[begin : begin + CHUNK]))):
            found[row.slug] = Member(slug=row.slug, name=row.name, status=Status(row.status))
    return found


def _members_first(rows: Mapping[UUID, sa.Row[Any]], members: Mapping[UUID, Sequence[str]]) -> list[UUID]:
    """The groups in an order in which each comes after those that are its members. A circle is cut somewhere."""
    by_slug = {row.slug: uuid for uuid, row in rows.items()}
    ordered: dict[UUID, None] = {}
    waiting = [(uuid, False) for uuid in sorted(rows, reverse=True)]
    begun: set[UUID] = set()
    while waiting:
        uuid, is_done = waiting.pop()
        if is_done:
            ordered[uuid] = None
        elif uuid not in begun:
            begun.add(uuid)
            waiting.append((uuid, True))
            waiting += [(by_slug[slug], False) for slug in members.get(uuid, ()) if slug in by_slug]
    return list(ordered)
