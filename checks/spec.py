"""What a user configures: the one source of truth for every option, its limits and its sentence.

YAML, the admin's forms and the API all speak `MonitorSpec`; each kind adds its own options in `checks/probes/<kind>.py`.
`dump` and `checks.probes.parse_spec` are inverse. Secret options (`SecretMark`) are sealed in both stores and redacted
wherever they are shown (`checks.spec_secrets`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from checks import expect
from checks.status import Policy, quorum_of
from checks.units import format_duration, parse_duration

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
REDACTED = "••••••"
SLUG = r"^[a-z0-9]+(?:-[a-z0-9]+)*$"
TAG = r"^[a-z0-9][a-z0-9_.:/-]*$"
WEB_ADDRESS = r"^https?://[^\s]+$"
QUORUM = r"^(any|all|majority|[1-9][0-9]?)$"


def _seconds(value: object) -> float:
    # A model made in Python may pass seconds; a document or a form must write the unit.
    return value if type(value) is float else parse_duration(value)


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["60s", "5m", "800ms"]}),
]


class SecretMark:
    """Marks an option whose value is sealed in the stores and never shown."""


def _written(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


AsWritten = BeforeValidator(_written)
"""For a choice such as 4 or 1.1, which a document reads as a number."""


def _one_line(value: str) -> str:
    return _refuse(value, ("Cc", "Cs", "Zl", "Zp"))


def _text(value: str) -> str:
    return _refuse(value, ("Cc", "Cs"), but="\n\t")


def _refuse(value: str, categories: tuple[str, ...], but: str = "") -> str:
    bad = next((c for c in value if c not in but and unicodedata.category(c) in categories), None)
    if bad is None:
        return value
    at = value.index(bad) + 1
    raise ValueError(f"has the control character U+{ord(bad):04X} at position {at}; only text is allowed")


def _payload(value: str) -> str:
    bad = next((c for c in value if c == "\0" or unicodedata.category(c) == "Cs"), None)
    if bad is not None:
        raise ValueError(f"has U+{ord(bad):04X} at position {value.index(bad) + 1}, which no text can carry")
    return value


Line = Annotated[str, AfterValidator(_one_line)]
Text = Annotated[str, AfterValidator(_text)]
Payload = Annotated[str, StringConstraints(strip_whitespace=False), AfterValidator(_payload)]  # sent as it stands
Slug = Annotated[str, Field(pattern=SLUG, max_length=100)]
Tag = Annotated[str, Field(pattern=TAG, max_length=50)]
Location = Annotated[str, Field(pattern=SLUG, max_length=50)]
Quorum = Annotated[
    str,
    AsWritten,
    Field(pattern=QUORUM, max_length=8),
    PlainSerializer(lambda word: int(word) if word.isdecimal() else word, return_type=int | str),
]
Secret = Annotated[Line, Field(max_length=4096), SecretMark()]
WebAddress = Annotated[Line, Field(max_length=2000, pattern=WEB_ADDRESS)]


def slugify(name: str) -> str:
    """The slug that a name makes by default; empty where the name has no ASCII letter or digit."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:100].strip("-")


class MonitorSpec(BaseModel):
    """Options that every kind has."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,  # an error is logged, and the input may be a password
        defer_build=True,  # until a kind is first used: a process uses few of them, and starts sooner
    )

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]]
    subjects: ClassVar[Mapping[str, expect.Subject]] = {}
    example: ClassVar[str] = ""  # options in YAML, beside the name and kind, as the reference shows them

    kind: str
    """What is asked, and how: http, tcp, heartbeat."""
    name: Annotated[Line, Field(min_length=1, max_length=200)]
    """What people call it. Stands in alerts and on the dashboard."""
    slug: Slug = ""
    """Its identity in the file and in addresses. By default made from the name."""
    description: Annotated[Text, Field(max_length=2000)] = ""
    """What it is, for the person who is woken up. Travels into the alert."""
    runbook: WebAddress | Literal[""] = ""
    """Where it says what to do. Travels into the alert."""
    tags: tuple[Tag, ...] = ()
    """Words by which alert rules choose monitors."""

    @model_validator(mode="before")
    @classmethod
    def _default_slug(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not data.get("slug") and isinstance(data.get("name"), str):
            return {**data, "slug": slug} if (slug := slugify(data["name"])) else data
        return data

    @model_validator(mode="after")
    def _needs_slug(self) -> Self:
        if not self.slug:
            raise ValueError(f"no slug can be made from the name {self.name!r}; add a slug of a-z, 0-9 and -")
        return self

    def policy(self) -> Policy:
        """How its results make its status. What does not ask by itself is told once, and that decides."""
        return Policy(failures=1, successes=1)

    def places(self) -> tuple[str, ...]:
        """The locations that hold a target of it."""
        return ("local",)

    def watches(self) -> tuple[str, ...]:
        """The slugs of the monitors from which its status follows; none where it does not."""
        return ()


class ProbedSpec(MonitorSpec):
    """Options of the kinds that ask a target by themselves."""

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]] = "probed"
    default_expect: ClassVar[tuple[str, ...]] = ()
    default_degraded: ClassVar[tuple[str, ...]] = ()  # where a monitor has neither `expect` nor `degraded`
    target_option: ClassVar[str] = ""  # the option that says whom it asks
    known_with: ClassVar[Mapping[str, str]] = {}  # of subjects: the option without which nothing is known of them

    interval: Annotated[Duration, Field(ge=1.0, le=DAY)] = 60.0
    """How often it is probed: 1 s to 1 d."""
    timeout: Annotated[Duration, Field(ge=0.05, le=10 * MINUTE)] = 10.0
    """The deadline over the whole probe, resolution included: 50 ms to 10 min."""
    retry_interval: Annotated[Duration, Field(ge=1.0, le=DAY)] = 10.0
    """How soon it is probed again while a change is being confirmed: 1 s to 1 d, never later than the interval."""
    failures: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    """How many failures in a row make it down: 1 to 100."""
    successes: Annotated[int, Field(strict=True, ge=1, le=100)] = 2
    """How many successes in a row make it up again: 1 to 100."""
    expect: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=50)
    """What healthy means, one expectation a line. Not met: down."""
    degraded: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=50)
    """What good means, one expectation a line. Not met: degraded."""
    invert: bool = False
    """Up when the probe fails, down when it succeeds."""
    locations: tuple[Location, ...] = Field(default=("local",), min_length=1, max_length=50)
    """Where it is probed from: names that workers were started with."""
    quorum: Quorum = "any"
    """How many of the locations that vote must agree that it is down."""

    @field_validator("expect", "degraded")
    @classmethod
    def _expectations_are_readable(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        expect.parse_all(lines, cls.subjects)  # raises ExpectationErrors, a ValueError
        return lines

    @model_validator(mode="after")
    def _expects_nothing_that_is_never_known(self) -> Self:
        for line in self.expect + self.degraded:
            subject = expect.parse(line, self.subjects).subject.name
            option = self.known_with.get(subject)
            if option is not None and getattr(self, option) in ("", "none", False):
                raise ValueError(f"expect: nothing is known of {subject} without {option}")
        return self

    @model_validator(mode="after")
    def _locations_are_distinct(self) -> Self:
        if len(set(self.locations)) != len(self.locations):
            raise ValueError("locations: each location may stand once")
        if self.quorum.isdecimal() and int(self.quorum) > len(self.locations):
            raise ValueError(f"quorum: {self.quorum} of {len(self.locations)} locations can never agree")
        return self

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The expectations without which it is down."""
        return self.expect or self.default_expect

    @cached_property
    def desired(self) -> tuple[str, ...]:
        """The expectations without which it is degraded."""
        return self.degraded if self.expect or self.degraded else self.default_degraded

    @cached_property
    def speaks_of_time(self) -> bool:
        """Whether any of its expectations is about a duration, as each phase and the latency are."""
        lines = self.required + self.desired
        return any(expect.parse(line, self.subjects).subject.type == "duration" for line in lines)

    def policy(self) -> Policy:
        """How its results make its status."""
        return Policy(
            failures=self.failures,
            successes=self.successes,
            interval=self.interval,
            timeout=self.timeout,
            quorum=quorum_of(self.quorum, len(self.locations)),
        )

    def places(self) -> tuple[str, ...]:
        """The locations that hold a target of it."""
        return self.locations


def dump(spec: MonitorSpec) -> dict[str, Any]:
    """The options that differ from their defaults, as JSON, secrets in clear. `parse_spec(dump(spec)) == spec`."""
    data = spec.model_dump(mode="json", exclude_defaults=True)
    return {"kind": spec.kind, **data}


def is_multiline(info: FieldInfo) -> bool:
    """Whether the option's text may have line breaks."""
    return any(isinstance(mark, AfterValidator) and mark.func in (_text, _payload) for mark in info.metadata)


def is_verbatim(info: FieldInfo) -> bool:
    """Whether the option's text is used to the last byte, carriage returns and spaces at its ends included."""
    return any(isinstance(mark, AfterValidator) and mark.func is _payload for mark in info.metadata)
