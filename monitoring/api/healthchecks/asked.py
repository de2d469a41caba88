"""What a program asks a check to be: the fields of a JSON document, read, and the options that they make. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import ValidationError

from checks.options import PATTERNS
from checks.schedule import Schedule
from checks.spec import DAY

UNIQUE = ("name", "slug", "tags", "timeout", "grace")
LONGEST = int(366 * DAY)  # seconds, of a period and of a grace
_SHOWN = 60  # characters of what was found
_CRON_FIELDS = (5, 6)
_FILTERS = ("filter_subject", "filter_body", "filter_http_body")


class Invalid(ValueError):
    """What was asked is not possible: each problem names the field, what was found and what is allowed."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The fields of a check that a request names; None for those that it does not."""

    name: str | None = None
    slug: str | None = None
    tags: str | None = None
    desc: str | None = None
    timeout: int | None = None
    grace: int | None = None
    schedule: str | None = None
    tz: str | None = None
    manual_resume: bool | None = None
    methods: str | None = None
    channels: str | None = None
    unique: tuple[str, ...] | None = None
    start_kw: str | None = None
    success_kw: str | None = None
    failure_kw: str | None = None
    subject: str | None = None  # older words for the keywords of success and failure
    subject_fail: str | None = None
    filter_subject: bool | None = None
    filter_body: bool | None = None
    filter_http_body: bool | None = None
    filter_default_fail: bool | None = None

    @property
    def tag_list(self) -> list[str] | None:
        """The tags one by one."""
        return None if self.tags is None else list(dict.fromkeys(self.tags.split()))

    @property
    def own_slug(self) -> str:
        """The slug that it is to have; empty where one is to be made."""
        return (self.slug or "").strip()


def read(document: Mapping[str, Any]) -> Asked:
    """What a document asks. Names that no field has are passed over, as there. Raises Invalid with every problem."""
    found: dict[str, Any] = {}
    problems = []
    for field in fields(Asked):
        if field.name in document:
            value, allowed = document[field.name], _ALLOWED.get(field.name, _TEXT)
            problem = allowed(value)
            if problem:
                problems.append(f"{field.name} is {shown(value)}; allowed: {problem}")
            else:
                found[field.name] = tuple(value) if isinstance(value, list) else value
    if problems:
        raise Invalid(*problems)
    return Asked(**found)


def shown(value: Any) -> str:
    """What was found, as JSON, and not longer than a person reads."""
    if isinstance(value, dict | list):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# Each says what is allowed where a value is not, and nothing where it is.


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return "text"
    bad = next((c for c in value if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    return "" if bad is None else f"text without U+{ord(bad):04X}"


def _words(value: Any) -> str:
    return _text(value) or ("" if value.strip() else "text that is not empty")


def _seconds(value: Any) -> str:
    # JSON's true is a number in Python.
    is_allowed = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LONGEST
    return "" if is_allowed else f"a whole number of seconds, 1 to {LONGEST}"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _no_flag(value: Any) -> str:
    return "" if value is False else "false: a ping without a keyword reports what its address says"


def _methods(value: Any) -> str:
    return "" if value in ("", "POST") else '"" and "POST"'


def _unique(value: Any) -> str:
    is_allowed = isinstance(value, list) and all(isinstance(each, str) and each in UNIQUE for each in value)
    return "" if is_allowed else f"an array of {', '.join(UNIQUE)}"


def _zone(value: Any) -> str:
    if problem := _text(value):
        return problem
    try:
        Schedule.parse({"cron": "0 0 * * *", "timezone": value})
    except ValueError as exc:
        return f"a time zone ({exc})"
    return ""


_Allowed = Callable[[Any], str]
_TEXT: _Allowed = _text
_ALLOWED: dict[str, _Allowed] = {
    "name": _words,
    "timeout": _seconds,
    "grace": _seconds,
    "schedule": _words,
    "tz": _zone,
    "manual_resume": _flag,
    "methods": _methods,
    "unique": _unique,
    **dict.fromkeys(_FILTERS, _flag),
    "filter_default_fail": _no_flag,
}


def options(asked: Asked, before: Mapping[str, Any], slug: str) -> dict[str, Any]:
    """The options of a monitor that had those of `before`, changed as asked. Raises Invalid."""
    changed: dict[str, Any] = {
        "name": asked.name,
        "slug": slug,
        "tags": asked.tag_list,
        "description": asked.desc,
        "grace": None if asked.grace is None else float(asked.grace),
        "schedule": _schedule(asked, before.get("schedule", {})),
        "post_only": None if asked.methods is None else asked.methods == "POST",
        "start_keywords": _keywords(asked.start_kw),
        "success_keywords": _keywords(asked.subject if asked.success_kw is None else asked.success_kw),
        "failure_keywords": _keywords(asked.subject_fail if asked.failure_kw is None else asked.failure_kw),
    }
    data = {**before, **{name: value for name, value in changed.items() if value is not None}}
    _check_filters(asked, data)
    return data


def _keywords(given: str | None) -> list[str] | None:
    return None if given is None else [word.strip() for word in given.split(",") if word.strip()]


def _schedule(asked: Asked, before: Mapping[str, Any]) -> dict[str, Any] | None:
    """A schedule goes before a timeout; a time zone alone is that of the schedule which is there."""
    zone = before.get("timezone", "UTC") if asked.tz is None else asked.tz
    if asked.schedule is not None:
        lines = [line.strip() for line in asked.schedule.splitlines() if line.strip()]
        return {"cron" if all(map(_is_cron, lines)) else "oncalendar": lines, "timezone": zone}
    if asked.timeout is not None:
        return {"every": float(asked.timeout)}
    return None if asked.tz is None or "every" in before else {**before, "timezone": zone}


def _is_cron(line: str) -> bool:
    return len(line.split()) in _CRON_FIELDS or line.startswith("@")


def _check_filters(asked: Asked, data: Mapping[str, Any]) -> None:
    """Keywords that are not to be looked for can't be kept: here they always are."""
    flags = [flag for flag in (getattr(asked, name) for name in _FILTERS) if flag is not None]
    keywords = any(data.get(f"{what}_keywords") for what in ("start", "success", "failure"))
    if flags and not any(flags) and keywords:
        names = ", ".join(name for name in _FILTERS if getattr(asked, name) is not None)
        raise Invalid(
            f"{names}: false, and there are keywords; allowed: no keywords, or true, as here they are always"
            " looked for, in subjects and bodies alike"
        )


# What the fields are called that make our options.
_FIELDS = {
    "description": "desc",
    "schedule": "schedule",
    "post_only": "methods",
    "start_keywords": "start_kw",
    "success_keywords": "success_kw",
    "failure_keywords": "failure_kw",
}


def problems_of(exc: ValidationError) -> list[str]:
    """What our specification finds wrong, in the words of the fields."""
    return [_problem_of(error) for error in exc.errors(include_url=False)]


def _problem_of(error: Mapping[str, Any]) -> str:
    place, message = error["loc"], str(error["msg"]).removeprefix("Value error, ")
    option = str(place[0]) if place else message.partition(":")[0]
    field = _FIELDS.get(option, option)
    context = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch":
            allowed = PATTERNS.get(context["pattern"], context["pattern"])
        case "string_too_long" | "too_long":
            unit = "characters" if isinstance(error["input"], str) else "of them"
            allowed = f"at most {context['max_length']} {unit}"
        case "value_error":
            return message if not place else f"{field}: {message}"
        case _:
            allowed = message
    return f"{field} is {shown(error['input'])}; allowed: {allowed}"
