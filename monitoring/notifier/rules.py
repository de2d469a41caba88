"""Which alert rules speak of a monitor. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

KEYS = ("tags", "monitors", "kinds")


class RuleProblem(ValueError):
    """A rule's `match` is not one. Configuration and admin refuse it; a row written by other means may still have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """What a rule looks at in a monitor."""

    slug: str
    kind: str
    tags: Collection[str] = ()


def matches(match: Mapping[str, Any], monitor: Matched) -> bool:
    """Whether every list that is given holds the monitor (tags: any of them). No list at all matches every monitor.

    Raises RuleProblem where `match` has another form.
    """
    if not isinstance(match, Mapping) or not all(
        key in KEYS and isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
        for key, value in match.items()
    ):
        raise RuleProblem(f"its match is {match!r}; allowed: lists of {', '.join(KEYS)}")
    tags, monitors, kinds = (match.get(key) for key in KEYS)
    if tags and not set(tags) & set(monitor.tags):
        return False
    if monitors and monitor.slug not in monitors:
        return False
    return not kinds or monitor.kind in kinds


def matches_all(match: Mapping[str, Any]) -> bool:
    """Whether the rule speaks of every monitor, whatever it is."""
    return isinstance(match, Mapping) and not any(match.values())
