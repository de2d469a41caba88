"""By what a program shows that it may: the text of an API key, whose hash we keep."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction

from checks import clock
from monitoring.models import ApiKey
from monitoring.models.access import digest_of

logger = logging.getLogger(__name__)

_USED_EVERY = timedelta(minutes=1)


def key_of(text: str) -> ApiKey | None:
    """The key that a program shows; None where it is nobody's. Every text costs the same: a hash and one row by it.

    That it was used is noted at most once a minute.
    """
    if not text.isascii():
        text = ""
    key = ApiKey.objects.filter(digest=digest_of(text)).first()
    if key is not None:
        _note_use(key, clock.utcnow())
    return key


def _note_use(key: ApiKey, now: datetime) -> None:
    if key.last_used_at is not None and now - key.last_used_at < _USED_EVERY:
        return
    try:
        with transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    except DatabaseError:
        logger.warning("When the API key %s was used could not be noted.", key.name, extra={"action": "key_use"})
