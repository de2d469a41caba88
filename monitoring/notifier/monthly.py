"""A report of a month as a message to a channel: the figures in words, and the way to the page."""

from __future__ import annotations

import hashlib
from datetime import date, tzinfo
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.urls import reverse

from checks import clock
from monitoring import words
from monitoring.models import Channel, Notification
from monitoring.objectives.windows import zone_name
from monitoring.reports import Line, Report

MOST_LINES = 100  # of a message; the page has all


def queue(channel: Channel, found: Report, first: date, zone: tzinfo, *, slugs: list[str], tags: list[str]) -> int:
    """Queue the report to each recipient of a channel who was not sent it yet; how many these are."""
    query = urlencode({"month": f"{first:%Y-%m}", "zone": zone_name(zone), "monitor": slugs, "tag": tags}, doseq=True)
    now, about = clock.utcnow(), hashlib.sha256(query.encode()).hexdigest()[:16]
    keys = [f"report:{first:%Y-%m}:{about}:{channel.pk}:{recipient}" for recipient in range(channel.recipients)]
    with transaction.atomic():
        known = set(Notification.objects.filter(key__in=keys).values_list("key", flat=True))
        rows = [
            Notification(
                key=key,
                channel=channel,
                channel_name=channel.name,
                recipient=recipient,
                event=Notification.Event.REPORT,
                facts=facts_of(found, first, query),
                next_attempt_at=now,
                created_at=now,
            )
            for recipient, key in enumerate(keys)
            if key not in known
        ]
        Notification.objects.bulk_create(rows, ignore_conflicts=True)  # somebody else may queue them at this instant
    return len(rows)


def facts_of(found: Report, first: date, query: str) -> dict[str, Any]:
    """The facts of such a message."""
    outages = sum(line.outages for line in found.lines)
    monitors = f"{len(found.lines)} monitor{'s' * (len(found.lines) != 1)}"
    summary = f"{monitors}, {f'{outages} outage' + 's' * (outages != 1) if outages else 'no outage'}."
    lines = [sentence(line) for line in found.lines[:MOST_LINES]]
    more = len(found.lines) - len(lines)
    return {
        "name": f"Availability, {first:%B %Y}",
        "summary": summary,
        "description": "\n".join([*lines, *([f"And {more} more."] if more else [])]),
        "path": f"{reverse('report')}?{query}",
    }


def sentence(line: Line) -> str:
    """`Shop: 99.83 % available, 2 outages, 1 h 12 min down; 99.90 % without maintenance; 99.98 % observed`."""
    found = line.found
    parts = [f"{line.name}: {words.percent(found.ratio)} available"]
    if line.outages:
        parts[0] += f", {line.outages} outage{'s' * (line.outages != 1)}, {words.spoken(found.down)} down"
    if found.maintenance:
        parts.append(f"{words.percent(found.ratio_without_maintenance)} without maintenance")
    parts.append(f"{words.percent(found.observed_share)} observed")
    return "; ".join(parts)
