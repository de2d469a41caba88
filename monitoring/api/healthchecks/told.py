"""Whom alert rules tell about a check. Here they choose the channels, and a check can't."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from checks.spec import MonitorSpec
from monitoring.api.healthchecks.asked import Invalid, shown
from monitoring.models import AlertRule, Channel
from monitoring.notifier.routing import channels_of
from monitoring.notifier.rules import Matched, RuleProblem, matches

EVERYBODY = "*"


class Told:
    """The alert rules, read once, however many checks are asked about."""

    def __init__(self) -> None:
        rules = AlertRule.objects.filter(when=AlertRule.When.DOWN)
        self._rules = list(rules.prefetch_related("alertrulechannel_set__channel"))

    def about(self, spec: MonitorSpec) -> list[Channel]:
        """The channels that are told about a monitor of these options."""
        matched = Matched(slug=spec.slug, kind=spec.kind, tags=spec.tags)
        return channels_of(rule for rule in self._rules if _speaks_of(rule, matched))


def _speaks_of(rule: AlertRule, monitor: Matched) -> bool:
    try:
        return matches(rule.match, monitor)
    except RuleProblem:  # the notifier says so, again and again
        return False


def check_channels(asked: str, told: Sequence[Channel]) -> None:
    """Raise Invalid where these channels would not be told: nobody shall believe in an alert that never comes.

    No channel, and all of them, are asked for by those who leave it to us; then it is enough that anybody is told.
    """
    known = list(Channel.objects.all())
    if asked == EVERYBODY:
        if known and not told:
            raise Invalid(
                'channels is "*", and no alert rule speaks of this monitor, so that nobody would be told;'
                " allowed once one does: here alert rules choose the channels"
            )
        return
    if not asked:
        return
    are_told: set[UUID] = {channel.uuid for channel in told}
    for name in asked.split(","):
        channel = next((each for each in known if name in (str(each.uuid), each.name)), None)
        if channel is None:
            names = ", ".join(each.name for each in known) or "there are none"
            raise Invalid(f"channels names {shown(name)}, and no channel is called that; allowed: {names}")
        if channel.uuid not in are_told:
            raise Invalid(
                f"channels names {shown(name)}, and no alert rule tells it about this monitor; allowed: those that"
                " one does, as here alert rules choose the channels, or no channels at all"
            )
