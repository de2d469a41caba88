"""`group`: what other monitors are together. Nothing is asked: its status follows from those of its members. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from checks.probe import Kind
from checks.result import Failure, Reason
from checks.spec import MonitorSpec, Slug
from checks.status import Member, Status

MOST_NAMED = 10  # members that a failure names

Rule = Literal["worst", "best", "at_least"]


class GroupSpec(MonitorSpec):
    """Options of a group of other monitors: `worst` is up while all of them are, `best` while one of them is."""

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]] = "derived"
    example: ClassVar[str] = """
        members: [web-1, web-2, web-3]
        rule: at_least
        at_least: 2
    """

    kind: Literal["group"] = "group"
    """What other monitors are together."""
    members: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=500)]
    """The slugs of the monitors it consists of. Groups may be among them."""
    rule: Rule = "worst"
    """As its worst member, as its best, or up while at_least so many serve."""
    at_least: Annotated[int, Field(strict=True, ge=1, le=500)] | None = None
    """How many members must serve, by the rule at_least: 1 to 500."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        twice = next((slug for slug in self.members if self.members.count(slug) > 1), None)
        if twice is not None:
            raise ValueError(f"members: {twice} stands twice")
        if (self.rule == "at_least") != (self.at_least is not None):
            found = (
                "rule: at_least needs a number: at_least: 2"
                if self.at_least is None
                else "at_least: needs rule: at_least"
            )
            raise ValueError(found)
        if self.at_least is not None and self.at_least > len(self.members):
            raise ValueError(f"at_least: {self.at_least} of {len(self.members)} members can never serve")
        return self

    def watches(self) -> tuple[str, ...]:
        """The slugs of the monitors from which its status follows."""
        return self.members


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """How many of the members that say something are what."""

    up: int
    degraded: int
    down: int

    def status(self, spec: GroupSpec) -> Status:
        """What they are together."""
        seen = self.up + self.degraded + self.down
        # Members that are paused or new lower the number, as silent locations lower a quorum.
        needed = {"worst": seen, "best": 1}.get(spec.rule) or min(spec.at_least or 1, seen)
        if self.up >= needed:
            return Status.UP
        return Status.DEGRADED if self.up + self.degraded >= needed else Status.DOWN


def derive(spec: GroupSpec, members: Sequence[Member]) -> tuple[Status, Failure | None]:
    """What the members are together, and why that is not up.

    Those that are paused, gone or without data are left out. One of which we know nothing makes the group unknown, unless it
    makes no difference: down is said only where it would be so whatever that member is.
    """
    statuses = [member.status for member in members]
    up, degraded, down, blind = (
        statuses.count(status) for status in (Status.UP, Status.DEGRADED, Status.DOWN, Status.UNKNOWN)
    )
    if not up + degraded + down + blind:
        paused = bool(statuses) and all(status is Status.PAUSED for status in statuses)
        return (Status.PAUSED if paused else Status.PENDING), None
    least = _Count(up=up, degraded=degraded, down=down + blind).status(spec)
    most = _Count(up=up + blind, degraded=degraded, down=down).status(spec)
    status = Status.UNKNOWN if least is Status.DOWN and most is not Status.DOWN else least
    return status, _failure(status, members)


def _failure(status: Status, members: Sequence[Member]) -> Failure | None:
    if status is Status.UP:
        return None
    bad = [member for member in members if member.status in (Status.DOWN, Status.DEGRADED, Status.UNKNOWN)]
    message = "; ".join(
        f"{len(some)} of {len(members)} members {'is' if len(some) == 1 else 'are'} {each.value}: {_named(some)}"
        for each in (Status.DOWN, Status.DEGRADED, Status.UNKNOWN)
        if (some := [member.name for member in bad if member.status is each])
    )
    return Failure(reason=Reason.MEMBERS, message=message)


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more


GROUP = Kind(spec=GroupSpec, derive=derive)
