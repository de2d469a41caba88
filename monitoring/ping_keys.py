"""Keys by which jobs ping monitors by their slugs: made here, told to the store. And the monitor that a ping makes."""

from __future__ import annotations

import asyncio
import logging

import sqlalchemy as sa
from django.conf import settings
from django.db import IntegrityError, close_old_connections, transaction

from checks import clock
from checks.probes import KINDS, parse_spec
from checks.store.ping_codes import PublishedKey, publish_keys
from monitoring import publish
from monitoring.models import Monitor, PingKey
from monitoring.models.access import digest_of, random_key

logger = logging.getLogger(__name__)


def create(name: str, *, creates: bool = False) -> tuple[PingKey, str]:
    """A new key, and its text, which is shown this once. Raises IntegrityError where the name is taken."""
    text = random_key()
    with transaction.atomic():
        key = PingKey.objects.create(name=name, digest=digest_of(text), creates=creates, created_at=clock.utcnow())
        transaction.on_commit(tell_store)
    return key, text


def tell_store() -> None:
    """Tell the store of the keys that there are. What it can't take is logged; it is told again every 30 s."""
    try:
        publish_all()
    except (sa.exc.SQLAlchemyError, OSError):
        logger.exception("The store could not be told of the ping keys.", extra={"action": "publish_failed"})


def publish_all() -> None:
    """Have the store know exactly these keys. Raises what the databases raise."""
    keys = [
        PublishedKey(digest=bytes.fromhex(key.digest), name=key.name, creates=key.creates)
        for key in PingKey.objects.all()
    ]
    with publish.store_engine().begin() as conn:
        publish_keys(conn, keys)


async def make(slug: str) -> bool:
    """Make the heartbeat of a slug, as this installation makes them by default. One that is there stays as it is.

    False: the slug is that of a monitor of another kind.
    """
    return await asyncio.to_thread(_make, slug)


def _make(slug: str) -> bool:
    close_old_connections()
    try:
        spec = parse_spec({"kind": "heartbeat", "name": slug, "slug": slug, **settings.NEW_HEARTBEAT})
        known = Monitor.objects.filter(slug=slug).first()
        if known is None:
            publish.change(spec=spec)
            logger.info("A ping made the monitor %s.", slug, extra={"action": "monitor_made", "monitor": slug})
        elif KINDS[known.kind].spec.source != "pinged":
            return False
        elif known.retired_at is not None:
            publish.change(known, retired=False)
        else:
            publish.reconcile()  # another ping made it a moment ago, and the store may not have been told
    except IntegrityError:
        publish.reconcile()  # another ping was faster
    finally:
        close_old_connections()
    return True
