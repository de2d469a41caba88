"""How figures, instants and statuses are written on every page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from monitoring import words
from monitoring.models import Incident
from monitoring.objectives.budget import Budget
from monitoring.status import days
from monitoring.status.public import Overall, PublicComponent, PublicDay, PublicIncident

register = template.Library()
for word in (
    words.burn,
    words.kept,
    words.percent,
    words.promised,
    words.share,
    words.since,
    words.spoken,
    words.spoken_ns,
):
    register.filter(word)

# A status is told by shape and word, never by colour alone. Each is drawn on 16 x 16.
_ICONS = {
    "up": '<circle cx="8" cy="8" r="7"/><path class="in" d="M4.6 8.3l2.3 2.3 4.5-4.9"/>',
    "degraded": '<path d="M8 1.2 15.4 14.4H.6z"/><path class="in" d="M8 5.8v4M8 12v.3"/>',
    "down": '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z"/><path class="in" d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"/>',
    "unknown": '<circle class="ring" cx="8" cy="8" r="6.2"/>'
    '<path class="on" d="M6 6.3c.1-2.6 4-2.5 4 0 0 1.5-2 1.6-2 3.1M8 11.6v.3"/>',
    "paused": '<circle class="ring" cx="8" cy="8" r="6.2"/><path class="on" d="M6.4 5.4v5.2M9.6 5.4v5.2"/>',
    "pending": '<circle class="ring dots" cx="8" cy="8" r="6.2"/>',
}
_PUBLIC_WORDS = {
    "up": "Operational",
    "degraded": "Degraded",
    "down": "Outage",
    "unknown": "No current data",
    "paused": "Not watched at present",
    "pending": "Waiting for the first result",
}
_OVERALL = {
    Overall.OPERATIONAL: ("up", "All systems operational"),
    Overall.DEGRADED: ("degraded", "Degraded performance"),
    Overall.PARTIAL: ("down", "Partial outage"),
    Overall.MAJOR: ("down", "Major outage"),
    Overall.BLIND: ("unknown", "Some systems can't be seen at present"),
    Overall.PENDING: ("pending", "Waiting for the first results"),
    Overall.PAUSED: ("paused", "Nothing is watched at present"),
    Overall.EMPTY: ("pending", "Nothing is published here yet"),
}
_MESSAGES = {"sent": "up", "pending": "pending", "sending": "pending", "held": "paused", "dead": "down"}
_ENDS = {
    "paused": "Watching was paused",
    "retired": "Watching ended",
    "deleted": "Watching ended",
}


@register.simple_tag
def icon(status: str) -> SafeString:
    """The shape of a status. Its word stands beside it, so it is hidden from readers of the page."""
    shape = mark_safe(_ICONS.get(str(status), _ICONS["unknown"]))  # noqa: S308 - a constant of ours
    return format_html('<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">{}</svg>', shape)


@register.filter
def public_word(status: str) -> str:
    """What the public reads for a status."""
    return _PUBLIC_WORDS.get(str(status), str(status))


@register.filter
def overall_status(overall: Overall) -> str:
    """The status whose colour and shape a page's verdict has."""
    return _OVERALL[Overall(overall)][0]


@register.filter
def overall_word(overall: Overall) -> str:
    """The headline of a page."""
    return _OVERALL[Overall(overall)][1]


@register.filter
def days_with_outages(component: PublicComponent) -> list[str]:
    """One sentence a day on which it did not always serve, newest first."""
    return [days.sentence(day) for day in days.with_outages(component)]


@register.filter
def failure(found: Mapping[str, str] | None) -> str:
    """What a failure says to an operator, in one line; nothing where there is none."""
    return words.failure(found)


@register.filter
def message_status(status: str) -> str:
    """The status whose colour and shape a notification's status has."""
    return _MESSAGES.get(str(status), "unknown")


@register.filter
def lasted(incident: Incident) -> str:
    """How long a resolved incident lasted."""
    return words.spoken((incident.resolved_at - incident.opened_at).total_seconds()) if incident.resolved_at else ""


@register.filter
def incident_end(incident: PublicIncident) -> str:
    """How an incident ended, in public words."""
    return _ENDS.get(incident.resolution, "Resolved")


@register.simple_tag
def budget_status(budget: Budget) -> str:
    """The status whose colour and shape an error budget has.

    Three quarters of it gone is worth a look, and so is less kept than promised in a month that goes on.
    """
    if budget.spent is None:
        return "unknown"
    if budget.broken:
        return "down"
    behind = budget.attained is not None and budget.attained < budget.target
    return "degraded" if behind or budget.spent >= 0.75 else "up"


@register.simple_tag
def gauge(share: float) -> int:
    """How much of a drawing of 1000 units a share fills."""
    return round(1000 * min(1.0, max(0.0, share)))


@register.filter
def to_the(instant: datetime) -> str:
    """The form of `moment` in which an instant on a schedule is written: with its second where that matters."""
    return "second" if instant.second else "minute"


@register.filter
def utc_input(instant: datetime) -> str:
    """An instant as a field for date and time takes it, in UTC."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M}"


@register.simple_tag
def moment(instant: datetime | None, form: str = "minute") -> SafeString | str:
    """An instant in UTC, which `static/stillup.js` puts into the reader's zone with UTC beside.

    `form` is `minute`, `second` or `day`, or `ago:<text>` for a text whose tooltip is the instant.
    """
    if instant is None:
        return words.NONE
    instant = instant.astimezone(UTC)
    machine = instant.isoformat(timespec="seconds").replace("+00:00", "Z")
    full = f"{instant.day} {instant:%b %Y, %H:%M:%S} UTC"
    if form.startswith("ago:"):
        tag = '<time datetime="{}" title="{}" data-moment="ago">{}</time>'
        return format_html(tag, machine, full, form.removeprefix("ago:"))
    text = {
        "second": full,
        "day": f"{instant.day} {instant:%b %Y}",
    }.get(form, f"{instant.day} {instant:%b %Y, %H:%M} UTC")
    return format_html('<time datetime="{}" title="{}" data-moment="{}">{}</time>', machine, full, form, text)


@register.simple_tag
def ago(instant: datetime | None, now: datetime) -> SafeString | str:
    """How long ago, with the instant in its tooltip."""
    return moment(instant, f"ago:{words.since(instant, now)}")


@register.simple_tag
def day_bars(component: PublicComponent) -> SafeString:
    """A component's days as bars: full where it served, bitten into by how much it did not, a stub where unseen."""
    bars = format_html_join(
        "",
        "<g><title>{}</title>{}</g>",
        ((days.sentence(day), _bar(index, day)) for index, day in enumerate(component.days)),
    )
    return format_html(
        '<svg class="days" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        max(1, len(component.days) * days.PITCH - days.GAP),
        days.HEIGHT,
        days.summary(component),
        bars,
    )


def _bar(index: int, day: PublicDay) -> SafeString:
    x, level = index * days.PITCH, days.level(day)
    base = format_html('<rect class="{}" x="{}"/>', "none" if level == "none" else "up", x)
    if level in ("none", "up"):
        return base
    height = days.bite(day)
    bite = '{}<rect class="{}" x="{}" y="{}" height="{}"/>'
    return format_html(bite, base, level, x, days.HEIGHT - height, height)
