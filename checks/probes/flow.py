"""`flow`: several web addresses one after the other, as a person goes through them: what one answer says, the next asks.

One deadline, one timeline: the phases add up over the steps. What is captured on the way is hidden like a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from checks import expect
from checks.address import Url, join_url, parse_url
from checks.expect import Subject
from checks.expect.cookies import Cookies
from checks.nearest import did_you_mean
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure
from checks.result import Failure, Observation, Reason
from checks.spec import Line
from checks.units import spoken_duration
from checks.web import ANSWER, Answer, Request, facts, fetch
from checks.web.captures import NotCaptured, check_placeholders, filled, forms, parse_capture, placeholders
from checks.web.options import Body, Form, Headers, JsonBody, Method, check_written, written
from checks.web.spec import WebSpec

MAX_STEPS = 30
_HIDDEN_FROM = 8  # characters of a cookie that is hidden wherever it appears; shorter ones are words such as "dark"
_SUBJECTS: Mapping[str, Subject] = {**ANSWER, **TIMINGS}
_HEALTHY = ("status in 200-299",)


def _is_capture(line: str) -> str:
    parse_capture(line)
    return line


def _is_template(text: str) -> str:
    check_placeholders(text)
    if not text.startswith("{{"):
        parse_url(filled(text, dict.fromkeys(placeholders(text), "x"), "url"))
    return text


VariableName = Annotated[str, Field(max_length=50, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Step(BaseModel):
    """One request of a flow. What an earlier step captured stands in its address, headers and body as {{name}}."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
    )

    name: Annotated[Line, Field(min_length=1, max_length=100)]
    """What people call it. Stands in the alert where it fails."""
    url: Annotated[Line, Field(min_length=1, max_length=2000), AfterValidator(_is_template)]
    """The address that is asked. One that begins with {{name}} is what was captured, relative to the step before."""
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
    follow_redirects: bool = True
    """Ask again where a redirect points to, where the flow does so."""
    capture: dict[VariableName, Annotated[Line, Field(max_length=1000), AfterValidator(_is_capture)]] = Field(
        default={}, max_length=20
    )
    """What later steps need of the answer, by a name of your own: json $.token, header Location, cookie sid, body "id=([0-9]+)", html //a/@href."""
    expect: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=20)
    """What a healthy answer of this step is, one expectation a line. By default status in 200-299. Not met: down."""

    @field_validator("expect")
    @classmethod
    def _expectations_are_readable(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        expect.parse_all(lines, _SUBJECTS)
        return lines

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        check_written(self)
        return self

    def needs(self) -> Iterator[tuple[str, str]]:
        """The options that have placeholders, and the names in them."""
        texts = {
            "url": [self.url],
            "headers": [*self.headers.values()],
            "body": [self.body],
            "json_body": [self.json_body],
            "form": [*self.form, *self.form.values()],
        }
        return ((option, name) for option, parts in texts.items() for part in parts for name in placeholders(part))

    def address(self, captured: Mapping[str, str], before: Url | None) -> Url:
        """Where this step goes. Raises ValueError where what was captured makes no address of it."""
        if not self.url.startswith("{{"):
            return parse_url(filled(self.url, captured, "url"))
        return _joined(before, _filled_address(self.url, captured))

    def content(self, captured: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """The headers, their names in lower case, and the body."""
        return written(self, lambda text, place: filled(text, captured, place))


def _filled_address(text: str, captured: Mapping[str, str]) -> str:
    """The first placeholder is an address as it stands, the others are put into it."""
    end = text.index("}}") + 2
    return filled(text[:end], captured, "address") + filled(text[end:], captured, "url")


def _joined(before: Url | None, address: str) -> Url:
    return parse_url(address) if before is None else join_url(before, address)


class FlowSpec(WebSpec):
    """Options of a monitor that goes through several web addresses. Who we are is said to the first step's host only."""

    example: ClassVar[str] = """
        steps:
          - name: Sign in
            url: https://shop.example.org/api/session
            method: POST
            json_body: {user: monitor, password: "${SHOP_PASSWORD}"}
            capture: {token: json $.token}
          - name: Open the cart
            url: https://shop.example.org/api/cart
            headers: {Authorization: "Bearer {{token}}"}
            expect: [status == 200, json $.items exists]
        expect:
          - latency < 5s
        """
    subjects: ClassVar[Mapping[str, Subject]] = _SUBJECTS

    kind: Literal["flow"] = "flow"
    """Asks several web addresses in order, each with what the ones before it said."""
    steps: tuple[Step, ...] = Field(min_length=1, max_length=MAX_STEPS)
    """The requests, in their order. The first that is not as expected ends the flow. Cookies are kept from step to step."""

    @model_validator(mode="after")
    def _steps_go_together(self) -> Self:
        known: list[str] = []
        names: set[str] = set()
        for number, step in enumerate(self.steps, 1):
            if step.name in names:
                raise ValueError(f"steps: two of them are called {step.name!r}")
            names.add(step.name)
            for option, name in step.needs():
                if name not in known:
                    hint = did_you_mean(name, known) or "; a step before it has to capture it"
                    raise ValueError(f"steps: step {number}, {option}: nothing is captured as {name!r}{hint}")
            known += [name for name in step.capture if name not in known]
        return self


@dataclass(slots=True, kw_only=True)
class Journey:
    """How far a flow has come."""

    spec: FlowSpec
    context: ProbeContext
    cookies: Cookies = field(default_factory=Cookies)
    captured: dict[str, str] = field(default_factory=dict)
    home: tuple[str, str, int] | None = None  # the origin that is told who we are
    before: Url | None = None  # where the last answer came from

    async def take(self, step: Step) -> tuple[Answer, dict[str, Any]]:
        """One step: its answer and what expectations know of it. Raises ProbeFailure, and OSError where it broke."""
        watch, seen = self.context.stopwatch, self.context.seen
        began, before = watch.last_ns, watch.phases.as_dict()
        seen.facts.pop("certificate", None)
        answer = await self._ask(step)
        self.before = answer.url
        found = {**facts(answer), "latency": (watch.last_ns - began) / 1e9}
        if "certificate" in seen.facts:
            found["certificate"] = seen.facts["certificate"]
        for phase, total in watch.phases.as_dict().items():
            if total > before.get(phase, 0):
                found[phase] = (total - before.get(phase, 0)) / 1e9
        seen.secrets += [value for value in self.cookies.values() if len(value) >= _HIDDEN_FROM]
        return answer, found

    def capture(self, step: Step, answer: Answer) -> None:
        """Keep what later steps need. Raises ProbeFailure where it is not there."""
        for name, line in step.capture.items():
            try:
                value = parse_capture(line).of(answer)
            except NotCaptured as exc:
                raise _failure(f"expected {line} to capture as {name}, got {exc}") from exc
            self.captured[name] = value
            self.context.seen.secrets += forms(value)

    async def _ask(self, step: Step) -> Answer:
        spec = self.spec
        try:
            url = step.address(self.captured, self.before)
        except ValueError as exc:
            raise _failure(f"its address is none: {exc}") from exc
        self.home = self.home or url.origin
        at_home = url.origin == self.home
        headers, body = step.content(self.captured)
        tls = spec.secured if at_home else replace(spec.secured, server_name="", certificate="", key="")
        if at_home:
            request = spec.write(url, step.method, headers, body)
        else:
            request = Request(url=url, method=step.method, headers=headers, body=body)
        return await fetch(
            self.context,
            request,
            tls=tls,
            route=spec.route,
            follow=spec.max_redirects if spec.follow_redirects and step.follow_redirects else 0,
            downgrade=spec.follow_to_http,
            authentication=spec.authentication if at_home else None,
            cookies=self.cookies,
        )


def _failure(message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.EXPECTATION, message=message))


async def probe(spec: FlowSpec, context: ProbeContext) -> Observation:
    """Go through the steps until one is not as expected."""
    seen, watch = context.seen, context.stopwatch
    journey = Journey(spec=spec, context=context)
    taken: list[dict[str, Any]] = []
    seen.evidence["steps"] = taken
    least: float | None = None  # the certificate that expires first
    found: dict[str, Any] = {}
    for step in spec.steps:
        seen.doing = f'step "{step.name}"'
        shown = {"name": step.name, "asked": f"{step.method} {step.url}"}
        taken.append(shown)
        answer, found = await journey.take(step)
        shown |= {"status": str(answer.status), "took": spoken_duration(found["latency"])}
        if answer.trail:
            shown["redirects"] = str(len(answer.trail))
        seen.failure = expect.first_unmet(step.expect or _HEALTHY, _SUBJECTS, found)
        if seen.failure is not None:
            break
        journey.capture(step, answer)
        seen.evidence.pop("redirects", None)
        if "certificate" in found:
            least = found["certificate"] if least is None else min(least, found["certificate"])
    else:
        seen.doing = ""
    seen.facts |= {name: value for name, value in found.items() if name not in TIMINGS}
    if least is not None:
        seen.facts["certificate"] = least
    seen.complete = True
    watch.phase = "other"
    return seen


FLOW = Kind(spec=FlowSpec, probe=probe)
