"""What the database holds, in the form in which a file says it: for the plan, for drift and for export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac
from pydantic import BaseModel

from checks.spec import MonitorSpec, dump
from monitoring.channels import url_of
from monitoring.config.document import Configuration, Foreign
from monitoring.config.sections import (
    ChannelItem,
    ComponentItem,
    GroupItem,
    MatchItem,
    ObjectiveItem,
    PageItem,
    RuleItem,
)
from monitoring.models import AlertRule, Channel, Monitor, Objective, Owner, StatusPage
from monitoring.publish import spec_of

# The sections of a file in the order in which they refer to each other, with what one entry of each is called.
WHAT = {
    "channels": "channel",
    "monitors": "monitor",
    "alert_rules": "alert rule",
    "objectives": "objective",
    "status_pages": "status page",
}

Row = Monitor | Channel | AlertRule | Objective | StatusPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """One object of the database. `item` is None where its row can't be read."""

    row: Row
    item: BaseModel | None
    owned_by_file: bool
    retired: bool = False


def key_of(item: BaseModel) -> str:
    """What identifies an entry in its section: a slug or a name."""
    return str(item.slug if isinstance(item, MonitorSpec | PageItem) else item.name)  # type: ignore[attr-defined]


def wanted(configuration: Configuration) -> dict[str, dict[str, BaseModel]]:
    """What a file says, by section and key."""
    sections: dict[str, tuple[BaseModel, ...]] = {
        "channels": configuration.channels,
        "monitors": configuration.monitors,
        "alert_rules": configuration.rules,
        "objectives": configuration.objectives,
        "status_pages": configuration.pages,
    }
    return {section: {key_of(item): item for item in items} for section, items in sections.items()}


def present() -> dict[str, dict[str, Present]]:
    """What the database holds, by section and key."""
    rules = AlertRule.objects.prefetch_related("alertrulechannel_set__channel")
    objectives = Objective.objects.select_related("monitor")
    pages = StatusPage.objects.prefetch_related("groups__components__monitor")
    return {
        "channels": {row.name: _present(row, _channel(row)) for row in Channel.objects.all()},
        "monitors": {row.slug: _present(row, _monitor(row)) for row in Monitor.objects.all()},
        "alert_rules": {row.name: _present(row, _rule(row)) for row in rules},
        "objectives": {row.name: _present(row, _objective(row)) for row in objectives},
        "status_pages": {row.slug: _present(row, _page(row)) for row in pages},
    }


def foreign(now: Mapping[str, Mapping[str, Present]]) -> Foreign:
    """What the admin owns of it."""
    theirs = {
        section: {key: kept for key, kept in rows.items() if not kept.owned_by_file} for section, rows in now.items()
    }
    pages = theirs["status_pages"].items()
    living = ((slug, kept.item) for slug, kept in now["monitors"].items() if not kept.retired)
    return Foreign(
        monitors=frozenset(theirs["monitors"]),
        channels=frozenset(theirs["channels"]),
        rules=frozenset(theirs["alert_rules"]),
        objectives=frozenset(theirs["objectives"]),
        pages=frozenset(theirs["status_pages"]),
        standing={slug: item for slug, item in living if isinstance(item, MonitorSpec)},
        default_page=next((slug for slug, kept in pages if isinstance(kept.row, StatusPage) and kept.row.default), ""),
    )


def as_data(item: BaseModel) -> dict[str, Any]:
    """An entry as JSON, as short as a file may say it; secrets in clear."""
    if isinstance(item, MonitorSpec):
        return dump(item)
    return item.model_dump(mode="json", exclude_defaults=True)


def digest(item: BaseModel) -> str:
    """A fingerprint of an entry, which tells nothing of its secrets."""
    return salted_hmac("configuration", json.dumps(as_data(item), sort_keys=True), algorithm="sha256").hexdigest()


def _present(row: Row, item: BaseModel | None) -> Present:
    retired = isinstance(row, Monitor) and row.retired_at is not None
    return Present(row=row, item=item, owned_by_file=row.owner == Owner.FILE, retired=retired)


def _monitor(row: Monitor) -> BaseModel | None:
    try:
        return spec_of(row)
    except Exception:  # noqa: BLE001 - whatever is wrong with a row, the file may say it anew
        return None


def _channel(row: Channel) -> BaseModel | None:
    try:
        url = url_of(row)
    except Exception:  # noqa: BLE001 - as above: sealed with a lost key, for one
        return None
    # Not validated: it was when it was saved, and Apprise takes its time.
    return ChannelItem.model_construct(name=row.name, url=url, fallback=row.fallback)


def _rule(row: AlertRule) -> BaseModel | None:
    links = sorted(row.alertrulechannel_set.all(), key=lambda link: (link.position, link.pk))
    try:
        return RuleItem(
            name=row.name,
            when=row.when,
            match=MatchItem.model_validate(row.match),
            notify=tuple(link.channel.name for link in links),
            remind=row.remind_seconds,
        )
    except ValueError:
        return None


def _objective(row: Objective) -> BaseModel | None:
    try:
        return ObjectiveItem(
            name=row.name,
            monitor=row.monitor.slug,
            target=row.target,
            window=row.window_seconds,
            minutes=row.minutes,
            timezone=row.timezone,
        )
    except ValueError:
        return None


def _page(row: StatusPage) -> BaseModel | None:
    try:
        return PageItem(
            slug=row.slug,
            title=row.title,
            description=row.description,
            default=row.default,
            groups=tuple(
                GroupItem(
                    name=group.name,
                    components=tuple(
                        ComponentItem(monitor=c.monitor.slug, name=c.name, description=c.description)
                        for c in group.components.all()
                    ),
                )
                for group in row.groups.all()
            ),
        )
    except ValueError:
        return None
