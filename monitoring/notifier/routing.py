"""Whom to tell of an incident, and the rows that will tell them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from monitoring.models import AlertRule, Channel, Incident, Notification
from monitoring.notifier.rules import Matched, RuleProblem, matches, matches_all

logger = logging.getLogger(__name__)

Event, Status = Notification.Event, Notification.Status

# Where a message about an incident went or was to go: a channel and the number of a recipient.
Address = tuple[UUID, int]


def matching_rules(monitor: Matched, when: str = AlertRule.When.DOWN) -> list[AlertRule]:
    """The rules that speak of a monitor, with their channels. A rule that can't be read is logged and left out."""
    found = []
    for rule in AlertRule.objects.filter(when=when).prefetch_related("alertrulechannel_set__channel"):
        try:
            if matches(rule.match, monitor):
                found.append(rule)
        except RuleProblem as exc:
            logger.error(  # noqa: TRY400 - the message says it all
                "The alert rule %s is set aside: %s.",
                rule.name,
                exc,
                extra={"action": "rule_unreadable", "rule": rule.name},
            )
    return found


def channels_of(rules: Iterable[AlertRule]) -> list[Channel]:
    """The channels of these rules, each once, in the rules' order."""
    channels = {link.channel_id: link.channel for rule in rules for link in rule.alertrulechannel_set.all()}
    return list(channels.values())


def system_channels(but: UUID | None = None) -> list[Channel]:
    """Whom to tell of ourselves: the fallback channels; where none is, the channels of every rule for all monitors.

    `but` is left out: the channel that the trouble is about.
    """
    channels = list(Channel.objects.filter(fallback=True))
    if not channels:
        rules = AlertRule.objects.prefetch_related("alertrulechannel_set__channel")
        channels = channels_of(rule for rule in rules if matches_all(rule.match))
    return [channel for channel in channels if channel.pk != but]


def addresses_of(channels: Iterable[Channel]) -> list[Address]:
    """Every recipient of these channels."""
    return [(channel.pk, number) for channel in channels for number in range(channel.recipients)]


def key_of(event: str, incident: Incident, address: Address, number: int | None = None) -> str:
    """The key of a message: the same step repeated makes the same key."""
    channel, recipient = address
    middle = f"{incident.pk}" if number is None else f"{incident.pk}:{number}"
    return f"{event}:{middle}:{channel}:{recipient}"


def queue(
    event: str,
    incident: Incident,
    addresses: Iterable[Address],
    facts: Mapping[str, Any],
    now: datetime,
    *,
    number: int | None = None,
) -> None:
    """Queue one message to each address; those that are queued already stay as they are."""
    addresses = list(addresses)
    names = dict(Channel.objects.filter(pk__in={channel for channel, _ in addresses}).values_list("pk", "name"))
    Notification.objects.bulk_create(
        [
            Notification(
                key=key_of(event, incident, address, number),
                incident=incident,
                channel_id=address[0],
                channel_name=names[address[0]],
                recipient=address[1],
                event=event,
                facts=facts,
                next_attempt_at=now,
                created_at=now,
            )
            for address in addresses
            if address[0] in names
        ],
        ignore_conflicts=True,
    )


def told(incident: Incident, *, waiting: bool) -> list[Address]:
    """Every address that got, or may have got, a message about this incident, by the rows and not by today's rules.

    `waiting`: those too whose message still waits, which the message of the end then takes along.
    """
    got = Q(status__in=(Status.SENT, Status.SENDING)) | Q(in_doubt=True)
    if waiting:
        got |= Q(status=Status.PENDING)
    rows = incident.notifications.filter(got, channel__isnull=False).exclude(event=Event.RESOLVED)
    return sorted(set(rows.values_list("channel_id", "recipient")))


def withdraw(incident: Incident, why: str) -> int:
    """Hold every message of this incident that waits; how many."""
    waiting = incident.notifications.filter(status=Status.PENDING).exclude(event=Event.RESOLVED)
    return waiting.update(status=Status.HELD, note=f"withdrawn: {why}")
