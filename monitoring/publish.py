"""Monitors -> targets in the store: the one function that changes a monitor, and the repair of what it could not publish.

A change raises `Monitor.revision` by one in its own transaction; after the commit the monitor is published. Publishing
never fails the request: what the store could not take is logged, and `reconcile`, which the notifier calls every 30 s,
makes it good.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from django.conf import settings
from django.db import transaction

from checks import clock
from checks.environment import measurements_url, read_env
from checks.probes import KINDS, parse_spec, spec_class
from checks.secretbox import SecretBox, open_secretbox
from checks.spec import MonitorSpec, ProbedSpec, dump
from checks.spec_secrets import seal, unseal
from checks.status import Policy
from checks.store import publishing
from checks.store.engine import instance_uuid, open_engine, reading
from checks.store.publishing import PublishedMonitor
from checks.store.schema import monitor_state
from monitoring.models import KnownStore, Monitor
from monitoring.models.monitor import random_code

logger = logging.getLogger(__name__)

ROTATION = timedelta(days=1)  # in which a replaced ping URL is heard beside the new one

_lock = threading.Lock()
_engine: tuple[str, sa.Engine] | None = None
_box: tuple[tuple[str, str], SecretBox] | None = None


class NotPossible(ValueError):
    """This machine lacks what a new or changed monitor needs; the message says what."""


class StillHeard(ValueError):
    """A ping URL is not replaced again while the one before it is heard; the message says until when."""


class _Waiting(threading.local):
    """What this thread's transaction will publish when it commits: one batch, however many monitors it changed."""

    def __init__(self) -> None:
        self.changed: set[UUID] = set()
        self.deleted: dict[UUID, PublishedMonitor] = {}


_waiting = _Waiting()


def store_engine() -> sa.Engine:
    """This process's engine of the store. Another address in the environment opens another one."""
    global _engine  # noqa: PLW0603 - one engine a process is the point
    url = measurements_url()
    with _lock:
        if _engine is None or _engine[0] != url:
            if _engine is not None:
                _engine[1].dispose()
            _engine = (url, open_engine(url))
        return _engine[1]


def secretbox() -> SecretBox:
    """What seals and opens the secrets of this installation."""
    global _box  # noqa: PLW0603 - as above
    key = (str(settings.DATA_DIR), read_env("STILLUP_DATA_KEY"))
    with _lock:
        if _box is None or _box[0] != key:
            _box = (key, open_secretbox(settings.DATA_DIR))
        return _box[1]


def spec_of(monitor: Monitor) -> MonitorSpec:
    """What the monitor is configured to do, secrets in clear. Raises ValueError where the stored spec is not one."""
    return parse_spec(unseal(spec_class(monitor.kind), monitor.spec, secretbox().decrypt))


def change(
    monitor: Monitor | None = None,
    *,
    spec: MonitorSpec | None = None,
    paused: bool | None = None,
    owner: str | None = None,
    retired: bool | None = None,
) -> Monitor:
    """The monitor as changed (created, where `monitor` is None or was never saved), published once this commits.

    The only writer of `Monitor.revision`. What is None stays; a change of nothing is no change and no revision.
    Raises NotPossible where this machine lacks what a new specification needs.
    Other columns of the given object are not saved; it is brought up to date with the row.
    """
    now = clock.utcnow()
    with transaction.atomic():
        new = monitor is None or monitor.created_at is None
        monitor = monitor or Monitor()
        if new:
            monitor.revision, monitor.created_at = 0, now
        else:
            monitor.refresh_from_db(from_queryset=Monitor.objects.select_for_update())
        touched = _apply(monitor, spec=spec, paused=paused, owner=owner, retired=retired)
        if not touched:
            return monitor
        return _save(monitor, touched, now, new=new)


def _apply(
    monitor: Monitor, *, spec: MonitorSpec | None, paused: bool | None, owner: str | None, retired: bool | None
) -> list[str]:
    """Set what is another; the names of the columns that were."""
    touched: list[str] = []
    if spec is not None and not (monitor.kind and _is(monitor, spec)):
        if lacking := KINDS[spec.kind].missing(spec):
            raise NotPossible(f"{spec.kind} can't be probed here: {lacking}")
        monitor.spec = seal(type(spec), dump(spec), secretbox().encrypt)
        monitor.slug, monitor.name, monitor.kind = spec.slug, spec.name, spec.kind
        touched += ["spec", "slug", "name", "kind"]
    if paused is not None and paused != monitor.paused:
        monitor.paused = paused
        touched.append("paused")
    if owner is not None and owner != monitor.owner:
        monitor.owner = owner
        touched.append("owner")
    if retired is not None and retired != (monitor.retired_at is not None):
        monitor.retired_at = clock.utcnow() if retired else None
        touched.append("retired_at")
    return touched


def _is(monitor: Monitor, spec: MonitorSpec) -> bool:
    """Whether the row says so already. Sealed texts never compare equal, so the clear ones are compared."""
    try:
        return spec_of(monitor) == spec
    except Exception:  # noqa: BLE001 - a stored spec that can't be read is another one, whatever is wrong with it
        return False


def rotate(monitor: Monitor, *, force: bool = False) -> Monitor:
    """The monitor with another ping URL; the one that it had is heard for another day.

    Only one is: within that day it raises StillHeard, so that a second click ends nothing that jobs use; with `force`
    the one before ends at once.
    """
    with transaction.atomic():
        monitor.refresh_from_db(from_queryset=Monitor.objects.select_for_update())
        now, until = clock.utcnow(), monitor.old_ping_code_until
        if until is not None and until > now and not force:
            raise StillHeard(
                f"it was replaced less than a day ago: the address before it is heard until {until:%Y-%m-%d %H:%M:%S} UTC,"
                " and would end at once"
            )
        monitor.old_ping_code, monitor.old_ping_code_until = monitor.ping_code, now + ROTATION
        monitor.ping_code = random_code()
        return _save(monitor, ["ping_code", "old_ping_code", "old_ping_code_until"], now)


def _save(monitor: Monitor, touched: list[str], now: datetime, *, new: bool = False) -> Monitor:
    """Save these columns under the next revision, and publish once this commits."""
    monitor.revision += 1
    monitor.updated_at = now
    if new:
        monitor.save(force_insert=True)
    else:
        monitor.save(update_fields=[*touched, "revision", "updated_at"])
    _waiting.changed.add(monitor.uuid)
    transaction.on_commit(_publish_waiting)
    return monitor


def _old_codes(monitor: Monitor) -> tuple[tuple[UUID, datetime], ...]:
    code, until = monitor.old_ping_code, monitor.old_ping_code_until
    return ((code, until),) if code is not None and until is not None and until > clock.utcnow() else ()


def retire(monitor: Monitor) -> Monitor:
    """The monitor as having left the configuration: not probed, hidden, its history kept."""
    return change(monitor, retired=True)


def delete(monitor: Monitor) -> None:
    """Delete the monitor here and leave its tombstone in the store. Incidents stay, under its last name."""
    with transaction.atomic():
        monitor.refresh_from_db(from_queryset=Monitor.objects.select_for_update())
        _waiting.deleted[monitor.uuid] = _tombstone(
            monitor.uuid, monitor.slug, monitor.name, monitor.kind, revision=monitor.revision + 1
        )
        monitor.incidents.update(monitor_uuid=monitor.uuid, monitor_name=monitor.name)
        monitor.delete()
        transaction.on_commit(_publish_waiting)


def _tombstone(uuid: UUID, slug: str, name: str, kind: str, *, revision: int) -> PublishedMonitor:
    """What the store keeps of a deleted monitor."""
    return PublishedMonitor(
        uuid=uuid,
        slug=slug,
        name=name,
        kind=kind,
        source="probed",
        revision=revision,
        spec={},
        places=(),
        interval=60.0,
        retry_interval=60.0,
        policy=Policy(),
        paused=False,
        removed="deleted",
        ping_codes=(),
    )


def published(monitor: Monitor) -> PublishedMonitor:
    """The monitor as the store is told of it, secrets sealed. Raises ValueError where the stored spec is not one."""
    spec = spec_of(monitor)
    policy = spec.policy()
    return PublishedMonitor(
        uuid=monitor.uuid,
        slug=monitor.slug,
        name=monitor.name,
        kind=monitor.kind,
        source=spec.source,
        revision=monitor.revision,
        spec=monitor.spec,
        places=spec.places(),
        interval=policy.interval,
        retry_interval=spec.retry_interval if isinstance(spec, ProbedSpec) else policy.interval,
        policy=policy,
        paused=monitor.paused,
        removed="retired" if monitor.retired_at else None,
        ping_codes=(monitor.ping_code,) if spec.source == "pinged" else (),
        old_codes=_old_codes(monitor) if spec.source == "pinged" else (),
        members=spec.watches(),
    )


def _publish_waiting() -> None:
    """After the commit: publish what it changed. What goes wrong is logged, never raised; `reconcile` repairs it."""
    changed, deleted = _waiting.changed, _waiting.deleted
    _waiting.changed, _waiting.deleted = set(), {}
    if not changed and not deleted:
        return  # an earlier callback of the same commit took all
    try:
        _publish(changed, deleted)
    except Exception:
        logger.exception(
            "The store could not be told of %d changed monitors; it will be within 30 s.",
            len(changed) + len(deleted),
            extra={"action": "publish_failed"},
        )


def _publish(changed: Collection[UUID], deleted: Mapping[UUID, PublishedMonitor]) -> int:
    """Write the present rows of these monitors to the store, in one transaction; how many it did not know yet."""
    rows = Monitor.objects.in_bulk([*changed, *deleted])
    batch = [monitor for uuid in changed if uuid in rows and (monitor := _readable(rows[uuid])) is not None]
    # A deletion may have been rolled back after it was noted.
    batch += [tombstone for uuid, tombstone in deleted.items() if uuid not in rows]
    if not batch:
        return 0
    engine = store_engine()
    try:
        with engine.begin() as conn:
            count = publishing.publish(conn, batch, clock.utcnow())
    except (sa.exc.DataError, sa.exc.IntegrityError):
        count = _publish_singly(engine, batch)  # one row that the store refuses must not hold up the others
    logger.debug("Published %d monitors.", count, extra={"action": "published", "count": count})
    return count


def _publish_singly(engine: sa.Engine, batch: Iterable[PublishedMonitor]) -> int:
    count = 0
    for monitor in batch:
        try:
            with engine.begin() as conn:
                count += publishing.publish(conn, [monitor], clock.utcnow())
        except (sa.exc.DataError, sa.exc.IntegrityError):
            extra = {"action": "publish_failed", "monitor": monitor.slug}
            logger.exception("The store refuses monitor %s.", monitor.slug, extra=extra)
    return count


def _readable(monitor: Monitor) -> PublishedMonitor | None:
    """The monitor for the store; None for one whose row can't be read, which must not hold up the others."""
    try:
        return published(monitor)
    except Exception:
        logger.exception(
            "Monitor %s can't be published: its stored options can't be read.",
            monitor.slug,
            extra={"action": "publish_failed", "monitor": monitor.slug},
        )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What a reconcile found and repaired."""

    published: int  # monitors that the store did not know, or knew an older revision of
    raised: int  # monitors of which the store knew a newer revision: a restored configuration
    deleted: int  # monitors that are only in the store
    new_store: bool  # this store had never been seen, and another one had


def reconcile() -> Reconciled:
    """Compare the revisions in both stores and repair the difference. Raises what the databases raise."""
    engine = store_engine()
    with reading(engine) as conn:
        store = instance_uuid(conn)
        theirs = publishing.revisions(conn)
    # Read after the store: what is there and not here was deleted, not created in between.
    ours = dict(Monitor.objects.values_list("uuid", "revision"))
    gone = _only_there(engine, theirs.keys() - ours.keys())
    new_store = _remember(store)
    ahead = {uuid: theirs[uuid] for uuid in ours.keys() & theirs.keys() if theirs[uuid] > ours[uuid]}
    for uuid, revision in ahead.items():
        Monitor.objects.filter(pk=uuid, revision__lt=revision).update(revision=revision + 1)
    changed = {uuid for uuid, revision in ours.items() if theirs.get(uuid, 0) < revision} | ahead.keys()
    count = _publish(changed, gone)
    if ahead or gone:
        logger.warning(
            "The store was ahead: %d monitors were raised above its revision, %d unknown here were removed from it.",
            len(ahead),
            len(gone),
            extra={"action": "reconciled", "raised": len(ahead), "deleted": len(gone)},
        )
    return Reconciled(published=count, raised=len(ahead), deleted=len(gone), new_store=new_store)


def _only_there(engine: sa.Engine, uuids: AbstractSet[UUID]) -> dict[UUID, PublishedMonitor]:
    """Tombstones for the monitors that the store has and Django has not, save those that have one."""
    if not uuids:
        return {}
    c = monitor_state.c
    living = sa.select(c.monitor, c.slug, c.name, c.kind, c.revision).where(
        sa.or_(c.removed.is_(None), c.removed != "deleted")
    )
    with reading(engine) as conn:
        rows = conn.execute(living).all()
    return {
        row.monitor: _tombstone(row.monitor, row.slug, row.name, row.kind, revision=row.revision + 1)
        for row in rows
        if row.monitor in uuids
    }


def _remember(store: UUID) -> bool:
    """Whether this store is another one than any known. Its monitors begin from `pending`; all are published to it."""
    known, now = set(KnownStore.objects.values_list("uuid", flat=True)), clock.utcnow()
    if store in known:
        return False
    KnownStore.objects.get_or_create(uuid=store, defaults={"seen_at": now})
    if not known:
        logger.info("The store %s is in use.", store, extra={"action": "store_known", "store": str(store)})
        return False
    logger.warning(
        "The store %s is a new one: every monitor begins from pending and is published again, without messages.",
        store,
        extra={"action": "store_changed", "store": str(store)},
    )
    return True
