"""What the public may see: an allow-list of types that have no field for more.

No address, host, error text, expectation or internal name has a place here; a component goes by the name that was
chosen for the page, an incident by the names of its components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from checks.status import Status


class Overall(StrEnum):
    """What the whole page says in one word."""

    OPERATIONAL = "operational"
    DEGRADED = "degraded"
    PARTIAL = "partial"  # some of what we see is down
    MAJOR = "major"  # all of what we see is down
    BLIND = "blind"  # we can't see: neither good nor bad news
    PENDING = "pending"  # nothing has been measured yet
    PAUSED = "paused"
    EMPTY = "empty"  # nothing is published


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicDay:
    """One day (UTC) of a component. `ratio` is the availability of the observed part, None where nothing was seen."""

    day: date
    ratio: float | None
    observed: float  # the share of the day, so far, that was observed
    down_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicComponent:
    """A monitor as the public knows it."""

    name: str
    description: str
    status: Status
    since: datetime
    days: tuple[PublicDay, ...]  # oldest first
    ratio: float | None  # over all the days
    observed: float  # the share of all the days that was observed


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicGroup:
    """A heading with its components."""

    name: str
    components: tuple[PublicComponent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicUpdate:
    """What a person wrote for the public about an incident."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicIncident:
    """An incident of published components."""

    uuid: UUID  # also its address
    components: tuple[str, ...]
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str  # recovered, or why watching ended; empty while it is open
    updates: tuple[PublicUpdate, ...]  # oldest first
    post_mortem_at: datetime | None  # when the post-mortem was published

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None while it is open."""
        return None if self.resolved_at is None else (self.resolved_at - self.opened_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicMaintenance:
    """Work on published components that was announced."""

    title: str
    text: str
    components: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPage:
    """All that a status page shows."""

    slug: str
    title: str
    description: str
    overall: Overall
    groups: tuple[PublicGroup, ...]
    open: tuple[PublicIncident, ...]
    recent: tuple[PublicIncident, ...]  # resolved ones, newest first
    post_mortems: tuple[PublicIncident, ...]  # with a published post-mortem, newest first
    maintenance: tuple[PublicMaintenance, ...] = ()  # that is on or comes soon, the next first
    as_of: datetime


_PAGE = TypeAdapter(PublicPage)


def to_payload(page: PublicPage) -> dict[str, Any]:
    """The page as JSON keeps it."""
    payload: dict[str, Any] = _PAGE.dump_python(page, mode="json")
    return payload


def from_payload(payload: Mapping[str, Any]) -> PublicPage:
    """The page that `to_payload` wrote. Raises pydantic's ValidationError for a payload of another version."""
    return _PAGE.validate_python(payload)
