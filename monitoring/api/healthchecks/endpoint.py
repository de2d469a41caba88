"""The door of every address: methods, CORS, the document of a POST, the key, and each refusal as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from sqlalchemy.exc import SQLAlchemyError

from checks.store.engine import StoreProblem, our_trouble
from monitoring.api.healthchecks.asked import Invalid
from monitoring.api.keys import key_of
from monitoring.models import ApiKey, Monitor

logger = logging.getLogger(__name__)

MAX_BODY = 1 << 16  # bytes of a document


class Needs(Enum):
    """What a key must allow."""

    NOTHING = "nothing"  # none is asked for
    READ = "read"
    WRITE = "write"


class Refused(Exception):
    """A request that is not answered as asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Call:
    """A request of somebody who may make it."""

    request: HttpRequest
    version: int
    document: Mapping[str, Any]
    reads_only: bool  # what the key shows must not allow to ping or change anything

    @property
    def method(self) -> str:
        """GET, POST or DELETE."""
        return str(self.request.method)


View = Callable[..., HttpResponse]


def endpoint(**needs: Needs) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """The view of an address: by method, what a key must allow. A view gets a Call, and the parts of its address."""
    allowed = ", ".join([*needs, "OPTIONS"])

    def wrap(view: View) -> Callable[..., HttpResponseBase]:
        @csrf_exempt  # a key is no cookie: no browser sends it unasked
        @wraps(view)
        def answer(request: HttpRequest, version: int, **parts: Any) -> HttpResponse:
            if request.method == "OPTIONS":
                response = HttpResponse(status=204)
            elif request.method not in needs:
                response = error(405, f"{request.method} is not possible here; allowed: {allowed}")
                response["Allow"] = allowed
            else:
                response = _answer(view, request, version, needs[request.method], parts)
            response["Access-Control-Allow-Origin"] = "*"
            response["Access-Control-Allow-Headers"] = "X-Api-Key"
            response["Access-Control-Allow-Methods"] = allowed
            response["Access-Control-Max-Age"] = "600"
            return response

        return answer

    return wrap


def error(status: int, sentence: str) -> HttpResponse:
    """A refusal in healthchecks' form."""
    answer = JsonResponse({"error": sentence}, status=status)
    # The sentence is the answer: Django would log each as a trouble of its own.
    answer._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    return answer


def _answer(view: View, request: HttpRequest, version: int, needs: Needs, parts: Mapping[str, Any]) -> HttpResponse:
    try:
        document, problem = _read(request)
        reads_only = needs is not Needs.NOTHING and _reads_only(request, document, needs)
        if problem is not None:  # which is told to nobody without a key
            raise problem
        return view(Call(request, version, document, reads_only), **parts)
    except Refused as exc:
        return error(exc.status, str(exc))
    except Invalid as exc:
        return error(400, f"json validation error: {exc}")
    except Monitor.DoesNotExist:  # somebody else deleted it just now
        return error(404, "there is no such check")
    except (OperationalError, SQLAlchemyError, StoreProblem) as exc:
        logger.warning("A call could not be answered: %s", our_trouble(exc) or exc, extra={"action": "api_failed"})
        answer = error(503, "the databases can't be used at the moment; try again")
        answer["Retry-After"] = "10"
        return answer


def _read(request: HttpRequest) -> tuple[Mapping[str, Any], Refused | Invalid | None]:
    """The document of a POST; an empty one, and why, where it has none that can be read."""
    try:
        return _document(request), None
    except (Refused, Invalid) as exc:
        return {}, exc


def _document(request: HttpRequest) -> Mapping[str, Any]:
    """The JSON document of a POST; an empty one where there is none."""
    if request.method != "POST" or not request.body:
        return {}
    if len(request.body) > MAX_BODY:
        raise Refused(413, f"the body has {len(request.body)} bytes; at most {MAX_BODY} are read")
    try:
        document = json.loads(request.body.decode())
    except (ValueError, RecursionError):
        raise Refused(400, "could not parse request body: it is no JSON document in UTF-8") from None
    if not isinstance(document, dict):
        raise Invalid("the body is not an object; allowed: an object of fields")
    return document


def _reads_only(request: HttpRequest, document: Mapping[str, Any], needs: Needs) -> bool:
    """Whether the key of this request only reads. Raises Refused where it has none that allows what it needs."""
    text = request.headers.get("X-Api-Key", document.get("api_key", ""))
    if text == "":
        raise Refused(401, "missing api key: send it as X-Api-Key, or with a POST as api_key in its document")
    key = key_of(str(text))
    if key is None:
        raise Refused(401, "wrong api key")
    if needs is Needs.WRITE and key.role != ApiKey.Role.WRITE:
        raise Refused(401, "wrong api key: this one only reads")
    return key.role != ApiKey.Role.WRITE
