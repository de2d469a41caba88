"""Step 5 of the path of a result: transition -> incident and notifications, in one transaction of ours.

The door between the stores: no transaction is ever open on both. A notifier takes *monitors* that have transitions
nobody has consumed, and of each the lowest. Everything that follows is one Django transaction whose first row says that
this transition has been consumed; it commits, and only then the store is told. A crash anywhere repeats a step that
then does nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from django import db
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from checks import clock
from checks.store import outbox
from checks.store.engine import StoreProblem, instance_uuid, reading
from checks.store.outbox import StoredTransition
from monitoring.models import ConsumedTransition
from monitoring.notifier import incidents, system

logger = logging.getLogger(__name__)

AT_ONCE = 20  # monitors of one claim
TRIES = 3  # of a transition that raises, before it takes the minimal path

# Trouble of a database is nobody's poison: it is tried again until it passes.
# An InternalError is what a server says that only reads for now: a standby before it takes over.
OUTAGES = (db.OperationalError, db.InterfaceError, db.InternalError, sa.exc.DBAPIError, StoreProblem)


class OutOfOrder(Exception):
    """A transition that does not follow the last one consumed here."""


def consume(transition_: StoredTransition, store: UUID, now: datetime, *, after_gap: bool = False) -> bool:
    """Let a transition have its effect, once; False where it had it before.

    Raises OutOfOrder where it does not follow the last one that was consumed. `after_gap` accepts one that skips some,
    or whose number was consumed before: one of the two stores was restored from an older copy.
    """
    try:
        with transaction.atomic():
            last = _note(transition_, store, after_gap=after_gap)
            if transition_.seq != last + 1 and not after_gap:
                raise OutOfOrder(f"{transition_.slug} #{transition_.seq} does not follow #{last}")
            incidents.take_effect(transition_, store, now)
            system.resolve_incident(f"{system.DISPATCH}{transition_.monitor}", now)
    except IntegrityError:
        if ConsumedTransition.objects.filter(pk=transition_.uuid).exists():
            return False
        if _consumed(store, transition_.monitor).filter(seq=transition_.seq).exists():
            raise OutOfOrder(f"{transition_.slug} #{transition_.seq} was consumed as another one") from None
        raise
    return True


def consume_minimally(transition_: StoredTransition, store: UUID, now: datetime, error: Exception) -> None:
    """What is left for a transition that raises: the incident opens or ends; no rules, no templates; we say so."""
    try:
        with transaction.atomic():
            _note(transition_, store, after_gap=True)
            incidents.take_minimal_effect(transition_, now)
            what = f"{type(error).__name__} while {transition_.slug} became {transition_.to_status.value}"
            system.open_incident(
                f"{system.DISPATCH}{transition_.monitor}",
                f"A change of status was recorded, and nobody could be told of it: {what}",
                now,
            )
    except IntegrityError:
        if not ConsumedTransition.objects.filter(pk=transition_.uuid).exists():
            raise


def _note(transition_: StoredTransition, store: UUID, *, after_gap: bool) -> int:
    """Write down that a transition is consumed; the number of the last one before it. Raises IntegrityError.

    `after_gap` forgets those whose numbers come again. Where this one was consumed all the same, the error undoes that.
    """
    rows = _consumed(store, transition_.monitor)
    if after_gap:
        rows.filter(seq__gte=transition_.seq).exclude(pk=transition_.uuid).delete()
    last = rows.order_by("-seq").values_list("seq", flat=True).first() or 0
    ConsumedTransition.objects.create(
        transition=transition_.uuid, store=store, monitor=transition_.monitor, seq=transition_.seq
    )
    return last


def _consumed(store: UUID, monitor: UUID) -> QuerySet[ConsumedTransition]:
    return ConsumedTransition.objects.filter(store=store, monitor=monitor)


class Dispatcher:
    """Consumes the store's transitions, as one of any number of notifiers."""

    def __init__(self, engine: sa.Engine, name: str, lease: timedelta, *, queued: Callable[[], object]) -> None:
        self._engine = engine
        self._name = name
        self._lease = lease
        self._queued = queued  # called when there may be messages to deliver
        self._failures: Counter[UUID] = Counter()

    def run(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        """Consume what there is to consume; how many transitions. Raises what the databases raise.

        `may_go_on` is asked before each monitor: many transitions of a database far away take their time.
        """
        count = 0
        with reading(self._engine) as conn:
            if not outbox.any_waiting(conn):
                return 0
        while may_go_on():
            with self._engine.begin() as conn:
                store = instance_uuid(conn)
                monitors = outbox.claim_monitors(
                    conn, notifier=self._name, now=clock.utcnow(), lease=self._lease, limit=AT_ONCE
                )
            if not monitors:
                break
            before, problem = count, None
            try:
                for monitor in monitors:
                    if not may_go_on():
                        break
                    try:
                        count += self._drain(store, monitor)
                    except OUTAGES:
                        raise
                    except Exception as exc:  # noqa: BLE001 - raised once the others had their turn
                        problem = problem or exc
            finally:
                with self._engine.begin() as conn:
                    outbox.release_monitors(conn, self._name, monitors)
            if problem is not None:
                raise problem
            if count == before:
                break  # all of them raised; the next tick tries again
        return count

    def _drain(self, store: UUID, monitor: UUID) -> int:
        """Consume the transitions of one monitor, in order, until none is left or one raises."""
        count = 0
        while True:
            with reading(self._engine) as conn:
                found = outbox.next_transition(conn, monitor)
            if found is None or not self._consume(store, found):
                return count
            with self._engine.begin() as conn:
                outbox.mark_consumed(conn, found, clock.utcnow())
            self._failures.pop(found.uuid, None)
            count += 1

    def _consume(self, store: UUID, found: StoredTransition) -> bool:
        """Whether the transition is consumed. One that raises is tried again, and then takes the minimal path."""
        extra = {"action": "transition", "monitor": found.slug, "seq": found.seq, "to": found.to_status.value}
        try:
            new = self._consume_in_order(store, found)
        except OUTAGES:
            raise
        except Exception as exc:
            self._failures[found.uuid] += 1
            logger.exception(
                "Transition %d of %s raised, for the %d. time.",
                found.seq,
                found.slug,
                self._failures[found.uuid],
                extra=extra,
            )
            if self._failures[found.uuid] < TRIES:
                return False
            consume_minimally(found, store, clock.utcnow(), exc)
            new = True
        if new:
            logger.info(
                "%s went from %s to %s.", found.name, found.from_status.value, found.to_status.value, extra=extra
            )
            self._queued()
        return True

    def _consume_in_order(self, store: UUID, found: StoredTransition) -> bool:
        try:
            return consume(found, store, clock.utcnow())
        except OutOfOrder as exc:
            # It is the lowest that the store has not seen consumed. What came before was, and not by this
            # configuration; or another one was under its number, and the store knows nothing of that.
            logger.warning(
                "%s: the configuration is older than the store, or the store than the configuration.",
                exc,
                extra={"action": "transition_gap"},
            )
            return consume(found, store, clock.utcnow(), after_gap=True)
