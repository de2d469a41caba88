"""Applying a file: the plan, carried out in one transaction. What is wrong is refused whole, and nothing changes."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from django.db import transaction
from pydantic import BaseModel

from checks import clock
from checks.document import MAX_BYTES, DocumentProblems
from checks.spec import MonitorSpec
from monitoring import publish
from monitoring.address import PORT
from monitoring.channels import set_url
from monitoring.config.document import Configuration, read_configuration
from monitoring.config.plan import Action, Plan, make_plan
from monitoring.config.present import digest, foreign, present, wanted
from monitoring.config.sections import ChannelItem, ObjectiveItem, PageItem, RuleItem
from monitoring.models import (
    AlertRule,
    AlertRuleChannel,
    Channel,
    Component,
    ComponentGroup,
    ConfigurationFile,
    Monitor,
    Objective,
    Owner,
    StatusPage,
)

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The file was not applied, and nothing changed. Every mistake is a line of the message: file:line:column."""


def read_file(path: Path) -> bytes:
    """The bytes of a file, no more than a configuration may have. Raises Refused where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise Refused(f"{path}: can't be read: {exc.strerror or exc}") from exc


def plan_file(path: Path, *, prune: bool = False, adopt: bool = False, text: bytes | None = None) -> Plan:
    """What applying the file would do. Raises Refused where it is wrong."""
    plan, _ = _plan(path, read_file(path) if text is None else text, prune=prune, adopt=adopt)
    return plan


def _plan(path: Path, text: bytes, *, prune: bool, adopt: bool) -> tuple[Plan, Configuration]:
    now, env = present(), {"STILLUP_PORT": str(PORT), **os.environ}  # `up` says another where it listens elsewhere
    try:
        configuration = read_configuration(text, env=env, foreign=foreign(now), adopt=adopt)
    except DocumentProblems as exc:
        raise Refused("\n".join(f"{path}:{problem}" for problem in exc.problems)) from exc
    remembered = ConfigurationFile.objects.first()
    return make_plan(wanted(configuration), now, remembered.digests if remembered else {}, prune=prune), configuration


def apply_file(
    path: Path, *, prune: bool = False, adopt: bool = False, cautious: bool = False, text: bytes | None = None
) -> Plan:
    """Do what the file says, in one transaction, and return what was done. Raises Refused where it is wrong.

    `cautious` refuses to retire more than half of four or more monitors: a file that was cut off looks just so.
    """
    text = read_file(path) if text is None else text
    try:
        with transaction.atomic():
            # Two that apply at once take turns here.
            remembered, _ = ConfigurationFile.objects.select_for_update().get_or_create(pk=1)
            plan, configuration = _plan(path, text, prune=prune, adopt=adopt)
            if cautious and plan.living >= 4 and plan.retiring > plan.living / 2:
                raise Refused(  # noqa: TRY301 - rolls back
                    f"{path}: would retire {plan.retiring} of {plan.living} monitors; if that is meant, apply it by hand"
                )
            for action in sorted(plan.actions, key=_turn):
                _carry_out(action)
            remembered.path, remembered.applied_at = str(path), clock.utcnow()
            remembered.refused_at, remembered.problems = None, ""
            remembered.digests = {
                section: {key: digest(item) for key, item in items.items()}
                for section, items in wanted(configuration).items()
            }
            remembered.save()
    except Refused as exc:
        _remember_refusal(str(exc))
        raise
    logger.info("Applied %s: %s.", path, plan.summary(), extra={"action": "config_applied", "path": str(path)})
    return plan


def _remember_refusal(problems: str) -> None:
    """For the dashboard, which says so until a file is applied."""
    ConfigurationFile.objects.update_or_create(
        pk=1, defaults={"refused_at": clock.utcnow(), "problems": problems[:20_000]}
    )


_SECTIONS = ("channels", "monitors", "alert_rules", "objectives", "status_pages")


def _turn(action: Action) -> tuple[int, int, int]:
    """Names are free before they are taken, what is referred to is there before what refers to it."""
    if action.item is None:
        return 0, -_SECTIONS.index(action.section), 0
    # One page at a time may be the default one.
    default = isinstance(action.item, PageItem) and action.item.default
    return 1, _SECTIONS.index(action.section), int(default)


def _carry_out(action: Action) -> None:
    row = action.present.row if action.present else None
    match action.item:
        case None:
            _remove(action, row)
        case MonitorSpec():
            publish.change(row if isinstance(row, Monitor) else None, spec=action.item, owner=Owner.FILE, retired=False)
        case ChannelItem():
            _save_channel(row if isinstance(row, Channel) else Channel(), action.item)
        case RuleItem():
            _save_rule(row if isinstance(row, AlertRule) else AlertRule(), action.item)
        case ObjectiveItem():
            _save_objective(row if isinstance(row, Objective) else Objective(), action.item)
        case PageItem():
            _save_page(row if isinstance(row, StatusPage) else StatusPage(), action.item)


def _remove(action: Action, row: BaseModel | object) -> None:
    if isinstance(row, Monitor):
        if action.verb == "retire":
            publish.retire(row)
        else:
            publish.delete(row)
    elif isinstance(row, Channel | AlertRule | Objective | StatusPage):
        row.delete()


def _save_channel(channel: Channel, item: ChannelItem) -> None:
    channel.name, channel.fallback, channel.owner = item.name, item.fallback, Owner.FILE
    set_url(channel, item.url)
    channel.broken_since, channel.last_error = None, ""  # of the URL before
    channel.save()


def _save_rule(rule: AlertRule, item: RuleItem) -> None:
    rule.name, rule.when, rule.owner = item.name, item.when, Owner.FILE
    rule.match = item.match.model_dump(mode="json", exclude_defaults=True)
    rule.remind_seconds = item.remind
    rule.save()
    channels: Mapping[str, Channel] = {
        channel.name: channel for channel in Channel.objects.filter(name__in=item.notify)
    }
    rule.alertrulechannel_set.all().delete()
    names = dict.fromkeys(item.notify)  # each once, in their order
    AlertRuleChannel.objects.bulk_create(
        AlertRuleChannel(rule=rule, channel=channels[name], position=position) for position, name in enumerate(names)
    )


def _save_objective(objective: Objective, item: ObjectiveItem) -> None:
    objective.name, objective.target, objective.owner = item.name, item.target, Owner.FILE
    objective.monitor = Monitor.objects.get(slug=item.monitor)
    objective.window_seconds, objective.timezone = item.window, item.timezone
    objective.minutes = item.minutes
    objective.save()


def _save_page(page: StatusPage, item: PageItem) -> None:
    page.slug, page.title, page.description = item.slug, item.title, item.description
    page.default, page.owner = item.default, Owner.FILE
    page.save()
    page.groups.all().delete()
    slugs = {component.monitor for group in item.groups for component in group.components}
    monitors = {monitor.slug: monitor for monitor in Monitor.objects.filter(slug__in=slugs)}
    for position, group in enumerate(item.groups):
        made = ComponentGroup.objects.create(page=page, name=group.name, position=position)
        Component.objects.bulk_create(
            Component(
                group=made,
                monitor=monitors[component.monitor],
                name=component.name,
                description=component.description,
                position=place,
            )
            for place, component in enumerate(group.components)
        )
