"""`http`: asks a web address and judges the answer. Step 1 of the path of a result: socket -> Result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from checks.address import parse_url
from checks.expect import Subject
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.result import Observation
from checks.spec import Payload
from checks.web import ANSWER, Request, facts
from checks.web_options import Form, Headers, JsonText, Method, WebUrl
from checks.web_spec import WebSpec


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
    body: Annotated[Payload, Field(max_length=65536)] = ""
    """The body of the request, sent as it stands: at most 64 KiB."""
    json_body: JsonText = ""
    """The body of the request in JSON, at most 64 KiB: a mapping, a list, or text. Sent as application/json."""
    form: Form = {}
    """The body of the request as a form, by the names of its fields. Kept like passwords."""

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        if len({name.lower() for name in self.headers}) < len(self.headers):
            raise ValueError("headers: each header may stand once, whatever its case")
        given = [name for name in ("body", "json_body", "form") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are ways to write the body; keep one")
        if given and self.method in ("GET", "HEAD"):
            raise ValueError(f"{given[0]}: {self.method} sends none; use another method, such as POST")
        return self

    def ways_to_authenticate(self) -> list[str]:
        """The options that say who we are."""
        own = ["the header Authorization"] if any(name.lower() == "authorization" for name in self.headers) else []
        return super().ways_to_authenticate() + own

    @cached_property
    def first_request(self) -> Request:
        """The request that a probe begins with."""
        body, content_type = self.body, ""
        if self.json_body:
            body, content_type = self.json_body, "application/json"
        elif self.form:
            body, content_type = urlencode(self.form), "application/x-www-form-urlencoded"
        headers = {"content-type": content_type} if content_type else {}
        headers |= {name.lower(): value for name, value in self.headers.items()}
        return self.write(parse_url(self.url), self.method, headers, body.encode())


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
