"""`heartbeat`: a job that reports to us. Nothing is asked; silence past the deadline, or a reported failure, is down."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from checks.probe import Kind
from checks.schedule import Schedule
from checks.spec import DAY, Duration, Line, MonitorSpec
from checks.status import Policy


class ScheduleOptions(BaseModel):
    """When the job is expected: one of `every`, `cron` and `oncalendar`."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True)

    every: Annotated[Duration, Field(ge=1.0, le=366 * DAY)] | None = None
    """At least so often, counted from its last ping: 1 s to 366 d."""
    cron: Annotated[Line, Field(max_length=200)] | None = None
    """The cron expression that starts the job, as in 0 3 * * *."""
    oncalendar: Annotated[Line, Field(max_length=200)] | None = None
    """The systemd timer that starts the job, as in Mon..Fri 03:00."""
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


class HeartbeatSpec(MonitorSpec):
    """Options of a job that reports to us."""

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]] = "pinged"
    example: ClassVar[str] = """
        schedule: {cron: "0 3 * * *", timezone: Europe/Riga}
        grace: 1h
        max_run: 2h
    """

    kind: Literal["heartbeat"] = "heartbeat"
    """A job that reports to us."""
    schedule: ScheduleOptions
    """When the job is expected: every, cron or oncalendar, with a timezone."""
    grace: Annotated[Duration, Field(ge=1.0, le=366 * DAY)] = 300.0
    """How late a ping may be before it counts as missed: 1 s to 366 d."""
    max_run: Annotated[Duration, Field(ge=1.0, le=366 * DAY)] | None = None
    """How long the job may run once it reported its start: 1 s to 366 d. By default the grace alone decides."""

    def policy(self) -> Policy:
        """One ping, or one missed, decides."""
        return Policy(failures=1, successes=1, interval=self.schedule.every or DAY, quorum=1)

    def expected(self) -> Schedule:
        """The schedule, ready to be asked."""
        return Schedule.parse(self.schedule.as_dict())


HEARTBEAT = Kind(spec=HeartbeatSpec)
