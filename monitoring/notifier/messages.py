"""What a message says: facts, kept as JSON in its row, and the templates in templates/messages/, as text and HTML.

The facts are written when the message is queued; how long ago that was, and whether it is a repeat, is said when it is
sent. No text of a user or a target is ever template code, and none can address a whole chat room.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from checks.result import PHASES, Reason
from checks.units import spoken_duration
from monitoring.models import Channel, Incident, Notification

logger = logging.getLogger(__name__)

MOST_TITLE = 200  # characters

# Apprise's word for an event: services colour a message by it.
TYPES: dict[str, str] = {
    Notification.Event.DOWN: "failure",
    Notification.Event.REMINDER: "failure",
    Notification.Event.RESOLVED: "success",
    Notification.Event.SYSTEM: "warning",
    Notification.Event.WAITING: "warning",
    Notification.Event.REPORT: "info",
    Notification.Event.TEST: "info",
}

# Chats call everybody at these, wherever they stand; a character of no width in between makes them text.
_CALLS = re.compile(r"(?<=@)(?=(?:everyone|here|channel|all|room)\b)|(?<=<)(?=[!@#])", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it is sent."""

    type: str
    title: str
    text: str
    html: str


def harmless(text: str) -> str:
    """The text without control characters, and calling nobody."""
    return _CALLS.sub("\u200b", _CONTROLS.sub(" ", text))


def one_line(text: str, most: int) -> str:
    """The text on one line, cut at `most` characters."""
    line = " ".join(harmless(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def spoken_instant(instant: datetime) -> str:
    """`2026-11-22 10:07:31 UTC`."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def summary_of(evidence: Mapping[str, Any]) -> str:
    """What broke, in one sentence, from the evidence of a transition."""
    failure = evidence.get("failure") or {}
    sentence = one_line(str(failure.get("message") or "it does not answer as it should"), 500).rstrip(".")
    return sentence[:1].upper() + sentence[1:]


def spooled(began: Mapping[str, Any], ended: Mapping[str, Any], opened_at: datetime, arrived_at: datetime) -> str:
    """What a ping says that ended an incident and was sent long before it arrived; empty where none was."""
    sent_at = _instant((ended.get("evidence") or {}).get("sent_at"))
    if sent_at is None or arrived_at <= sent_at:
        return ""
    arrived = f"its report arrived {spoken_duration((arrived_at - sent_at).total_seconds())} late"
    missed = (began.get("failure") or {}).get("reason") == Reason.MISSED
    return f"The job ran on time; {arrived}." if missed and sent_at <= opened_at else f"The job had ended; {arrived}."


def facts_of(incident: Incident, monitor: Mapping[str, str]) -> dict[str, Any]:
    """The facts of an incident for its messages. `monitor`: slug, kind, description, runbook."""
    evidence = incident.evidence
    return {
        "incident": str(incident.uuid),
        "name": incident.monitor_name or "Stillup",
        "slug": monitor.get("slug", ""),
        "kind": monitor.get("kind", ""),
        "description": monitor.get("description", ""),
        "runbook": monitor.get("runbook", ""),
        "summary": incident.summary,
        "difference": str(evidence.get("difference") or ""),
        "opened_at": incident.opened_at.isoformat(),
        "phases": {name: ns for name in PHASES if isinstance(ns := (evidence.get("phases") or {}).get(name), int)},
        "last_ping_at": (evidence.get("evidence") or {}).get("last_ping_at") or "",
        "location": str(evidence.get("location") or ""),
        "locations": dict(evidence.get("locations") or {}),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else "",
        "resolution": incident.resolution,
    }


def facts_of_waiting(monitor: Mapping[str, str], name: str, created_at: datetime) -> dict[str, Any]:
    """The facts of a message about a heartbeat that was never heard of."""
    summary = "It was made and nothing has reported to it yet: is its job set up"
    return {**monitor, "name": name, "summary": summary, "opened_at": created_at.isoformat()}


def facts_of_test(channel: Channel) -> dict[str, Any]:
    """The facts of a message that only shows that a channel works."""
    return {"name": "Stillup", "channel": channel.name}


def render(
    event: str, facts: Mapping[str, Any], now: datetime, *, repeat: bool = False, untold: bool = False
) -> Message:
    """The message, as of `now`. `repeat`: an earlier copy may have arrived. `untold`: nothing came before this one.

    What raises costs the layout, never the message, and none of the others.
    """
    try:
        context = _context(event, facts, now, repeat=repeat, untold=untold)
        title, _, text = str(render_to_string(f"messages/{event}.txt", context)).lstrip().partition("\n")
        html: str = render_to_string(f"messages/{event}.html", {**context, "title": title.strip()})
    except Exception:
        logger.exception(
            "The templates of %s messages raise.", event, extra={"action": "template_failed", "event": event}
        )
        title, text, html = f"{facts.get('name', 'Stillup')}: {event}", str(facts.get("summary", "")), ""
    return Message(
        type=TYPES.get(event, "info"),
        title=one_line(title, MOST_TITLE),
        text=re.sub(r"\n{3,}", "\n\n", harmless(text)).strip() + "\n",
        html=harmless(html).strip(),
    )


def _context(event: str, facts: Mapping[str, Any], now: datetime, *, repeat: bool, untold: bool) -> dict[str, Any]:
    """What templates see: plain texts, and lines of (label, text)."""
    opened, resolved = _instant(facts.get("opened_at")), _instant(facts.get("resolved_at"))
    incident = reverse("incident", args=[facts["incident"]]) if facts.get("incident") else ""
    path = str(facts.get("path") or incident or reverse("dashboard"))
    return {
        "event": event,
        "name": one_line(str(facts.get("name", "")), 100),
        "summary": one_line(str(facts.get("summary", "")), 500),
        "resolution": facts.get("resolution", ""),
        "report": one_line(str(facts.get("report", "")), 200),
        "opened_at": spoken_instant(opened) if opened else "",
        "opened_ago": _ago(opened, now),
        "resolved_at": spoken_instant(resolved) if resolved else "",
        "resolved_ago": _ago(resolved, now),
        "lasted": spoken_duration(max(0.0, ((resolved or now) - opened).total_seconds())) if opened else "",
        "details": _details(facts, now, over=resolved is not None),
        "description": str(facts.get("description", "")),
        "runbook": one_line(str(facts.get("runbook", "")), 2000),
        "link": settings.BASE_URL + path,
        "channel": one_line(str(facts.get("channel", "")), 100),
        "repeat": repeat,
        "untold": untold,
    }


def _details(facts: Mapping[str, Any], now: datetime, *, over: bool) -> list[tuple[str, str]]:
    """What was measured, a line each; nothing of it once it is over."""
    if over:
        return []
    heard = _instant(facts.get("last_ping_at"))
    location = one_line(str(facts.get("location", "")), 50)
    votes = facts.get("locations") or {}
    others = ", ".join(f"{place} {vote}" for place, vote in votes.items() if place != location)
    phases = ", ".join(
        f"{name.replace('_', ' ')} {spoken_duration(ns / 1e9)}" for name, ns in (facts.get("phases") or {}).items()
    )
    lines = [
        ("Difference", one_line(str(facts.get("difference") or ""), 600)),
        ("Last heard from", f"{spoken_instant(heard)} ({_ago(heard, now)})" if heard else ""),
        ("Phases", phases),
        ("Seen from", "" if location == "local" and not others else location),
        ("Elsewhere", one_line(others, 600)),
    ]
    return [(label, text) for label, text in lines if text]


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text) if text else None
    except (TypeError, ValueError):
        return None
    return instant if instant is None or instant.tzinfo else None


def _ago(instant: datetime | None, now: datetime) -> str:
    if instant is None:
        return ""
    seconds = (now - instant).total_seconds()
    return "just now" if seconds < 1 else f"{spoken_duration(seconds)} ago"
