"""The door of what programs read: their API key, and each refusal as a sentence in JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe
from sqlalchemy.exc import SQLAlchemyError

from checks.store.engine import StoreProblem, our_trouble
from monitoring.api.keys import key_of

logger = logging.getLogger(__name__)

Document = dict[str, Any]
View = Callable[..., HttpResponseBase]


class Refused(Exception):
    """A request that is not answered as asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def guarded(view: View) -> View:
    """The view for GET and HEAD; what it can't answer is a sentence in JSON."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        try:
            refuse_nul(request)
            return view(request, **parts)
        except Refused as exc:
            return refusal(exc.status, str(exc))
        except (OperationalError, SQLAlchemyError, StoreProblem) as exc:
            logger.warning("A call could not be answered: %s", our_trouble(exc) or exc, extra={"action": "api_failed"})
            return refusal(503, "the databases can't be used at the moment; try again")

    return answer


def refuse_nul(request: HttpRequest) -> None:
    """Raise Refused where a query holds U+0000: no text of PostgreSQL does, which would fail at it as at a fault of ours."""
    for name, values in request.GET.lists():
        if any("\0" in text for text in (name, *values)):
            raise Refused(400, f"{name[:40]!r} holds the character U+0000; allowed: text without it")


def with_key(view: View) -> View:
    """The view for programs: guarded, and for everybody with an API key."""

    @guarded
    @wraps(view)
    def answer(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        _check_key(request)
        return view(request, **parts)

    return answer


def reading(view: Callable[..., Document]) -> View:
    """The view for programs whose answer is a document."""

    @with_key
    @wraps(view)
    def answer(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        return JsonResponse(view(request, **parts))

    return answer


def _check_key(request: HttpRequest) -> None:
    """Raise Refused where the request shows no API key of ours."""
    text = request.headers.get("X-Api-Key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not text.strip():
        raise Refused(401, "an API key is needed, in the header X-Api-Key or as Authorization: Bearer")
    if key_of(text.strip()) is None:
        raise Refused(401, "wrong API key")


def refusal(status: int, sentence: str) -> HttpResponse:
    """A sentence in the place of a document."""
    answer = JsonResponse({"error": sentence}, status=status)
    if status == 503:
        answer["Retry-After"] = "10"
    # The sentence is the answer: Django would log each as a trouble of its own.
    answer._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    return answer
