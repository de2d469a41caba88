"""`http`: asks a web address and judges the answer. Step 1 of the path of a result: socket -> Result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from checks.address import parse_url
from checks.expect import Subject
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.result import Observation
from checks.web import ANSWER, Request, facts
from checks.web.options import Body, Form, Headers, JsonBody, Method, WebUrl, check_written, written
from checks.web.spec import WebSpec


class HttpSpec(WebSpec):
    """Options of a monitor that asks a web address."""

    default_expect: ClassVar[tuple[str, ...]] = ("status in 200-299",)
    target_option: ClassVar[str] = "url"
    example: ClassVar[str] = """
        url: https://shop.example.org/health
        expect:
          - status in 200-299
          - json $.database == "ok"
          - certificate > 14d
        degraded:
          - latency < 800ms
    """
    subjects: ClassVar[Mapping[str, Subject]] = {**ANSWER, **TIMINGS}

    kind: Literal["http"] = "http"
    """Asks a web address."""
    url: WebUrl
    """The address that is asked, http or https, without user name and password."""
    method: Method = "GET"
    """The request method: GET, POST, or any other word that the target knows."""
    headers: Headers = {}
    """Headers of the request, by name. Kept like passwords, and not sent along a redirect to another host."""
    body: Body = ""
    """The body of the request, sent as it stands: at most 64 KiB. Kept like passwords: who signs in sends one."""
    json_body: JsonBody = ""
    """The body of the request in JSON, at most 64 KiB: a mapping, a list, or text. Sent as application/json, kept like passwords."""
    form: Form = {}
    """The body of the request as a form, by the names of its fields. Kept like passwords."""

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        check_written(self)
        return self

    def ways_to_authenticate(self) -> list[str]:
        """The options that say who we are."""
        own = ["the header Authorization"] if any(name.lower() == "authorization" for name in self.headers) else []
        return super().ways_to_authenticate() + own

    @cached_property
    def first_request(self) -> Request:
        """The request that a probe begins with."""
        headers, body = written(self)
        return self.write(parse_url(self.url), self.method, headers, body)


async def probe(spec: HttpSpec, context: ProbeContext) -> Observation:
    """Ask, follow redirects, and report the last answer."""
    seen = context.seen
    answer = await spec.ask(context, spec.first_request)
    seen.facts |= facts(answer)
    if answer.notes:
        seen.evidence["notes"] = answer.notes
    seen.complete = True
    context.stopwatch.phase = "other"
    return seen


HTTP = Kind(spec=HttpSpec, probe=probe)
