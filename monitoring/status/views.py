"""The public's pages: no cookie is read, no store is asked, and they stay when the database is gone.

What a page shows is the snapshot that the notifier keeps. Each process remembers the last good answer of each address
and gives it again, marked as such, where the database can't be read.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from uuid import UUID

from django.db import Error as DatabaseProblem
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.safestring import mark_safe
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from checks import clock
from checks.store.engine import StoreProblem
from monitoring.models import PageSnapshot, StatusPage
from monitoring.status import incidents, snapshot
from monitoring.status.public import Overall, PublicPage, from_payload

logger = logging.getLogger(__name__)

OLD = timedelta(seconds=60)  # a snapshot older than this is shown with a note: the notifier is not keeping it
MOST_REMEMBERED = 200  # addresses
NOTHING = "Status"  # the title where no page exists yet


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page and the answer that was made of it."""

    page: PublicPage
    stale: bool
    body: bytes
    etag: str


class Remembered:
    """The last good answer of each address, in this process; the least recently asked is forgotten first."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, Rendered] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Rendered | None:
        """The answer kept under `key`."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key)

    def keep(self, key: str, answer: Rendered) -> Rendered:
        """Keep and return `answer`."""
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > MOST_REMEMBERED:
                self._answers.popitem(last=False)
        return answer

    def forget(self, key: str) -> None:
        """What is not published any more is not remembered either."""
        with self._lock:
            self._answers.pop(key, None)


_remembered = Remembered()


@require_safe
@gzip_page
def page(request: HttpRequest, slug: str | None = None) -> HttpResponseBase:
    """A status page; the default one without a slug."""
    key, now = slug or "", clock.utcnow()
    try:
        shown = _current(slug, now)
    except Http404:
        _remembered.forget(key)
        raise
    except (DatabaseProblem, SQLAlchemyError, StoreProblem) as exc:
        logger.warning("a status page is shown from memory: %s", exc, extra={"action": "page_from_memory"})
        known = _remembered.get(key)
        if known is None:
            return _unavailable()
        return _answer(request, _rendered(key, known.page, stale=True))
    return _answer(request, _rendered(key, shown, stale=now - shown.as_of > OLD))


def _current(slug: str | None, now: datetime) -> PublicPage:
    """The kept snapshot; a page that has none yet, or one of another version, is built now."""
    pages = StatusPage.objects.select_related("snapshot").defer("snapshot__payload")
    found = pages.first() if slug is None else pages.filter(slug=slug).first()
    if found is None:
        if slug is not None:
            raise Http404
        return _nothing(now)
    known = _remembered.get(slug or "")
    try:
        if known is not None and (known.page.slug, known.page.as_of) == (found.slug, found.snapshot.rendered_at):
            return known.page  # thousands of days need not be read again
        return from_payload(found.snapshot.payload)
    except (PageSnapshot.DoesNotExist, ValidationError):
        return snapshot.render_one(found, now)


def _nothing(now: datetime) -> PublicPage:
    return PublicPage(
        slug="",
        title=NOTHING,
        description="",
        overall=Overall.EMPTY,
        groups=(),
        open=(),
        recent=(),
        post_mortems=(),
        as_of=now,
    )


def _rendered(key: str, shown: PublicPage, *, stale: bool) -> Rendered:
    """The answer for a page; made once a snapshot, not once a request."""
    known = _remembered.get(key)
    if known is not None and known.page is shown and known.stale is stale:
        return known
    body = render_to_string("status/page.html", {"page": shown, "stale": stale}).encode()
    return _remembered.keep(key, Rendered(shown, stale, body, _etag(body)))


def _etag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def _answer(request: HttpRequest, rendered: Rendered) -> HttpResponseBase:
    response = HttpResponse(rendered.body)
    response["ETag"] = rendered.etag
    patch_cache_control(response, public=True, max_age=15)
    return get_conditional_response(request, etag=rendered.etag, response=response) or response


def _unavailable() -> HttpResponse:
    response = HttpResponse(render_to_string("status/unavailable.html"), status=503)
    response["Retry-After"] = "15"
    response["Cache-Control"] = "no-store"
    return response


@require_safe
@gzip_page
def incident(request: HttpRequest, uuid: UUID) -> HttpResponseBase:
    """The public page of an incident. One that is unknown and one that is not published are the same 404."""
    now = clock.utcnow()
    try:
        found = incidents.find(uuid, now)
    except DatabaseProblem as exc:
        logger.warning("an incident's page can't be shown: %s", exc, extra={"action": "incident_unavailable"})
        return _unavailable()
    if found is None:
        raise Http404
    shown, html = found
    post_mortem = mark_safe(html)  # noqa: S308 - cleaned by monitoring.markdown when it was saved
    body = render_to_string(
        "status/incident.html", {"incident": shown, "post_mortem": post_mortem, "now": now}
    ).encode()
    response = HttpResponse(body)
    etag = _etag(body)
    response["ETag"] = etag
    patch_cache_control(response, public=True, max_age=15)
    return get_conditional_response(request, etag=etag, response=response) or response
