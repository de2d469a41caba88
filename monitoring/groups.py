"""Groups of monitors: what their members may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checks.probes import KINDS
from monitoring.models import Monitor


def circle(slug: str, members: Mapping[str, Sequence[str]]) -> list[str]:
    """The shortest way from a group back to itself, `[a, b, a]`, by the members of all groups; empty: there is none."""
    ways = [[slug]]
    seen = set()
    for way in ways:  # grows as it goes
        for member in members.get(way[-1], ()):
            if member == slug:
                return [*way, member]
            if member in members and member not in seen:
                seen.add(member)
                ways.append([*way, member])
    return []


def spoken(way: Sequence[str]) -> str:
    """A circle for people: `a group can't contain itself: web → shop → web`."""
    return f"a group can't contain itself: {' → '.join(way)}"


def members_of_groups() -> dict[str, list[str]]:
    """The members of every group that is configured, by slugs."""
    kinds = [name for name, kind in KINDS.items() if kind.derive is not None]
    rows = Monitor.objects.filter(kind__in=kinds, retired_at=None).values_list("slug", "spec")
    return {slug: [str(member) for member in spec.get("members") or ()] for slug, spec in rows}


def problem_of(slug: str, members: Sequence[str], before: str) -> str:
    """What is wrong with the members of a group that was called `before`; empty where nothing is."""
    known = set(Monitor.objects.filter(retired_at=None).values_list("slug", flat=True)) | {slug}
    unknown = next((member for member in members if member not in known), None)
    if unknown is not None:
        return f"there is no monitor with the slug {unknown}"
    groups = {group: each for group, each in members_of_groups().items() if group != before}
    way = circle(slug, {**groups, slug: members})
    return spoken(way) if way else ""


def groups_with(slug: str) -> list[str]:
    """The slugs of the groups that name this monitor as a member."""
    return sorted(group for group, members in members_of_groups().items() if slug in members)
