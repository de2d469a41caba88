"""What a user configures: the one source of truth for every option, its limits and its sentence.

YAML, the admin's forms and the API all speak `MonitorSpec`; each kind adds its own options in `checks/probes/<kind>.py`.
`dump` and `checks.probes.parse_spec` are inverse. Secret options are sealed in both stores (`seal`, `unseal`) and
redacted wherever they are shown (`redact`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property, partial
from inspect import isclass
from itertools import zip_longest
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

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


@cache
def _secret_places(model: type[BaseModel]) -> tuple[tuple[str, bool, type[BaseModel] | None], ...]:
    """Where a model has secrets: the option, whether it has several by name, and the model it is made of, if any.

    Of an option made of models, those models have the secrets.
    """
    places: list[tuple[str, bool, type[BaseModel] | None]] = []
    for name, info in model.model_fields.items():
        # By its type and not by its value: one sealed text is a mapping too.
        several = get_origin(info.annotation) is dict
        inner = _model_inside(info.annotation)
        if any(isinstance(mark, SecretMark) for mark in info.metadata):
            places.append((name, several, None))
        elif inner is not None and _secret_places(inner):
            places.append((name, several, inner))
    return tuple(places)


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """The model that an option is made of: itself, or as the items of a list or a mapping."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_inside(part)) is not None), None)


def _map_secrets(model: type[BaseModel], data: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    out = dict(data)
    for name, several, inner in _secret_places(model):
        value = out.get(name)
        if not value:
            continue
        below = change if inner is None else partial(_map_below, inner, change=change)
        if several and isinstance(value, Mapping):
            out[name] = {key: below(part) for key, part in value.items()}
        elif isinstance(value, list):
            out[name] = [below(part) for part in value]
        else:
            out[name] = below(value)
    return out


def _map_below(model: type[BaseModel], data: Any, *, change: Callable[[Any], Any]) -> Any:
    return _map_secrets(model, data, change) if isinstance(data, Mapping) else data


def seal(model: type[BaseModel], data: Mapping[str, Any], encrypt: Callable[[str], str]) -> dict[str, Any]:
    """`data` with every secret option encrypted as {"sealed": ...}; what is sealed already stays."""
    return _map_secrets(model, data, lambda v: v if isinstance(v, Mapping) else {"sealed": encrypt(v)})


def unseal(model: type[BaseModel], data: Mapping[str, Any], decrypt: Callable[[str], str]) -> dict[str, Any]:
    """`data` with every sealed option in clear."""
    return _map_secrets(model, data, lambda v: decrypt(v["sealed"]) if isinstance(v, Mapping) else v)


def redact(model: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` as it may be shown: every secret option replaced by dots."""
    return _map_secrets(model, data, lambda _: REDACTED)


def keep_secrets(model: type[BaseModel], data: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """`data`, where dots stand for a secret, with what `before` has in that place; models in a list go by their name.

    Dots that stand for nothing stay; `stands_for_nothing` finds them.
    """
    out = dict(data)
    for name, several, inner in _secret_places(model):
        if name not in out:
            continue
        value, old = out[name], before.get(name)
        if several and isinstance(value, Mapping):
            olds = old if isinstance(old, Mapping) else {}
            out[name] = {key: _kept(inner, part, olds.get(key)) for key, part in value.items()}
        elif isinstance(value, list):
            out[name] = keep_rows(inner, value, old)
        else:
            out[name] = _kept(inner, value, old)
    return out


def _kept(model: type[BaseModel] | None, value: Any, before: Any) -> Any:
    if model is None:
        return before if value == REDACTED and before is not None else value
    if not isinstance(value, Mapping):
        return value
    return keep_secrets(model, value, before if isinstance(before, Mapping) else {})


def keep_rows(model: type[BaseModel] | None, rows: list[Any], before: Any) -> list[Any]:
    """`keep_secrets` for a list. One that was renamed is that in its place, where nobody else has the old name."""
    olds = before if isinstance(before, list) else []
    by_name = {_name_of(row): row for row in olds}
    taken = {_name_of(row) for row in rows} - {None}
    kept = []
    for row, same in zip_longest(rows, olds[: len(rows)]):
        in_place = None if _name_of(same) in taken else same
        kept.append(_kept(model, row, by_name.get(_name_of(row), in_place) if _name_of(row) else same))
    return kept


def _name_of(row: Any) -> Any:
    return row.get("name") if isinstance(row, Mapping) else None


def stands_for_nothing(model: type[BaseModel], data: Mapping[str, Any]) -> bool:
    """Whether dots stand where a secret should."""
    found = False

    def look(value: Any) -> Any:
        nonlocal found
        found = found or value == REDACTED
        return value

    _map_secrets(model, data, look)
    return found


def secret_options(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of the options that are sealed as a whole. Others may be made of models that have secrets."""
    return tuple(name for name, _, inner in _secret_places(model) if inner is None)


_TELLS_NOTHING = frozenset(
    {"accept", "accept-language", "accept-encoding", "cache-control", "content-type", "user-agent"}
)


def has_secrets(model: type[BaseModel]) -> bool:
    """Whether any of its options is a secret, or is made of models that have some."""
    return bool(_secret_places(model))


def secrets_in(spec: BaseModel) -> Iterator[tuple[BaseModel, str]]:
    """Every secret of a specification in clear, with the model that has it: the specification or one inside it."""
    for name, several, inner in _secret_places(type(spec)):
        value = getattr(spec, name)
        if several:  # "Accept: text/html" is kept with its like, but hiding it would spoil what is shown
            value = tuple(part for key, part in value.items() if key.lower() not in _TELLS_NOTHING)
        for part in value if isinstance(value, tuple) else (value,):
            if inner is None and part:
                yield spec, str(part)
            elif isinstance(part, BaseModel):
                yield from secrets_in(part)


def is_multiline(info: FieldInfo) -> bool:
    """Whether the option's text may have line breaks."""
    return any(isinstance(mark, AfterValidator) and mark.func in (_text, _payload) for mark in info.metadata)


def is_verbatim(info: FieldInfo) -> bool:
    """Whether the option's text is used to the last byte, carriage returns and spaces at its ends included."""
    return any(isinstance(mark, AfterValidator) and mark.func is _payload for mark in info.metadata)
