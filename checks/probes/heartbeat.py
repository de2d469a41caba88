"""`heartbeat`: a job that reports to us. Nothing is asked; silence past the deadline, or a reported failure, is down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from checks import expect
from checks.expect import Subject
from checks.probe import Kind
from checks.schedule import Schedule
from checks.spec import DAY, Duration, Line, MonitorSpec
from checks.status import Policy


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_written(expressions: tuple[str, ...]) -> Any:
    return expressions[0] if len(expressions) == 1 else list(expressions)


Expressions = Annotated[
    tuple[Annotated[Line, Field(min_length=1, max_length=200)], ...],
    BeforeValidator(_as_list),
    PlainSerializer(_as_written, return_type=Any),
    Field(min_length=1, max_length=20),
]


class ScheduleOptions(BaseModel):
    """When the job is expected: one of `every`, `cron` and `oncalendar`."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    every: Annotated[Duration, Field(ge=1.0, le=366 * DAY)] | None = None
    """At least so often, counted from its last ping: 1 s to 366 d."""
    cron: Expressions | None = None
    """The cron expression that starts the job, as in 0 3 * * *, or a list of them. A sixth field, first, is the second."""
    oncalendar: Expressions | None = None
    """The systemd timer that starts the job, as in Mon..Fri 03:00, or a list of them."""
    timezone: Annotated[Line, Field(max_length=64)] = "UTC"
    """The zone in which cron or oncalendar is read, as in Europe/Riga."""

    @model_validator(mode="after")
    def _is_one_schedule(self) -> Self:
        given = [name for name in ("every", "cron", "oncalendar") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"needs exactly one of every, cron and oncalendar; found {found}")
        Schedule.parse(self.as_dict())  # raises ValueError
        return self

    def as_dict(self) -> dict[str, Any]:
        """The options that are set, in the form that `Schedule.parse` reads."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Subjects(Mapping[str, Subject]):
    """What an expectation can say about a run: its facts, and any number that its ping brought, by its name."""

    def __init__(self, *known: Subject) -> None:
        self._known = {subject.name: subject for subject in known}

    def __getitem__(self, name: str) -> Subject:
        return self._known.get(name) or Subject(name, "number", "A number that the ping brought.", history=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class HeartbeatSpec(MonitorSpec):
    """Options of a job that reports to us."""

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]] = "pinged"
    subjects: ClassVar[Mapping[str, Subject]] = Subjects(
        Subject("duration", "duration", "How long the run took, where its start was reported.", history=True),
        Subject("exit_code", "number", "The exit code that was reported; 0 for a success."),
        Subject("body", "bytes", "The body of the ping, its first 10,000 bytes."),
        Subject("json", "json", "A value in the body, chosen by a JSONPath.", argument="jsonpath"),
        Subject("size", "size", "The size of the body."),
    )
    example: ClassVar[str] = """
        schedule: {cron: "0 3 * * *", timezone: Europe/Riga}
        grace: 1h
        max_run: 2h
        expect: ["rows > 50% of median(7)"]
    """

    kind: Literal["heartbeat"] = "heartbeat"
    """A job that reports to us."""
    schedule: ScheduleOptions
    """When the job is expected: every, cron or oncalendar, with a timezone."""
    grace: Annotated[Duration, Field(ge=1.0, le=366 * DAY)] = 300.0
    """How late a ping may be before it counts as missed: 1 s to 366 d. Within it the monitor is degraded."""
    max_run: Annotated[Duration, Field(ge=1.0, le=366 * DAY)] | None = None
    """How long a run may take whose start was reported: 1 s to 366 d. By default the grace alone decides."""
    min_run: Annotated[Duration, Field(ge=0.001, le=366 * DAY)] | None = None
    """How long a run takes at least: 1 ms to 366 d. One that ends sooner is down: too fast is broken."""
    stuck_after: Annotated[int, Field(strict=True, ge=2, le=1000)] | None = None
    """Down after so many pings in a row whose number `progress` is the same: 2 to 1000."""
    start_keywords: tuple[Annotated[Line, Field(min_length=1, max_length=200)], ...] = Field(default=(), max_length=20)
    """A ping whose body, or mail's subject, holds one of these reports a start."""
    success_keywords: tuple[Annotated[Line, Field(min_length=1, max_length=200)], ...] = Field(
        default=(), max_length=20
    )
    """A ping whose body, or mail's subject, holds one of these reports a success."""
    failure_keywords: tuple[Annotated[Line, Field(min_length=1, max_length=200)], ...] = Field(
        default=(), max_length=20
    )
    """A ping whose body, or mail's subject, holds one of these reports a failure. Looked for first."""
    post_only: bool = False
    """Take pings by POST only: previews of links that chat programs fetch are none then."""
    expect: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=50)
    """What a good run reports, one expectation a line, as in rows > 50% of median(7). Not met: down."""
    degraded: tuple[Annotated[str, Field(max_length=2000)], ...] = Field(default=(), max_length=50)
    """As expect; not met: degraded."""

    @field_validator("expect", "degraded")
    @classmethod
    def _expectations_are_readable(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        expect.parse_all(lines, cls.subjects)  # raises ExpectationErrors, a ValueError
        return lines

    @model_validator(mode="after")
    def _a_run_can_be_right(self) -> Self:
        if self.min_run is not None and self.max_run is not None and self.min_run >= self.max_run:
            raise ValueError("min_run: no run can be right; it must be shorter than max_run")
        return self

    def policy(self) -> Policy:
        """One ping, or one missed, decides."""
        return self._decided_by

    @cached_property
    def _decided_by(self) -> Policy:  # asked for at every ping
        return Policy(failures=1, successes=1, interval=self.schedule.every or DAY, quorum=1)

    @cached_property
    def waited(self) -> timedelta:
        """The grace, ready to be added."""
        return timedelta(seconds=self.grace)

    @cached_property
    def expected(self) -> Schedule:
        """The schedule, ready to be asked."""
        return Schedule.parse(self.schedule.as_dict())

    @cached_property
    def histories(self) -> tuple[tuple[str, int], ...]:
        """The numbers, and how many earlier values of each, that its expectations compare with."""
        parsed = expect.parse_all(self.expect + self.degraded, self.subjects)
        return tuple({(line.baseline.subject, line.baseline.count) for line in parsed if line.baseline is not None})


HEARTBEAT = Kind(spec=HeartbeatSpec)
