"""What applying a file would do: a diff between the file and the database. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

from pydantic import BaseModel

from checks.document import join
from checks.evidence import hidden
from checks.options import find
from checks.spec import REDACTED, MonitorSpec, ProbedSpec
from checks.units import format_duration
from monitoring.config.present import WHAT, Present, as_data, digest
from monitoring.config.sections import SHARED, RuleItem
from monitoring.notifier.rules import Matched, matches

SHOWN = 60  # characters of a value
HASTY = 10.0  # seconds; a shorter interval is allowed, and remarked on

Verb = Literal["create", "change", "adopt", "revive", "retire", "delete"]

# Options that say what a monitor is called and how closely it is watched, and not what it watches.
_NOT_ITS_TARGET = frozenset({"name", "slug", "description", "runbook", "tags", "expect", "degraded", *SHARED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that applying would do."""

    verb: Verb
    section: str
    key: str
    item: BaseModel | None  # what the file says; None where it says nothing any more
    present: Present | None  # what the database holds
    details: tuple[str, ...] = ()  # option by option, secrets as dots

    def __str__(self) -> str:
        return "\n      ".join((f"{self.verb} {WHAT[self.section]} {self.key}", *self.details))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that applying would do, and what is worth knowing beside it."""

    actions: tuple[Action, ...]
    drifted: tuple[str, ...]  # changed by other hands since the file was applied
    hints: tuple[str, ...]
    living: int  # monitors of the file that are not retired now

    @property
    def retiring(self) -> int:
        """How many monitors would leave."""
        return sum(1 for a in self.actions if a.section == "monitors" and a.verb in ("retire", "delete") and _lives(a))

    def text(self) -> str:
        """The plan for people."""
        lines = [f"  {_SIGNS[action.verb]} {action}" for action in self.actions] or ["  Nothing to do."]
        for title, notes in (("Changed outside the file since it was applied:", self.drifted), ("Note:", self.hints)):
            if notes:
                lines += ["", title, *(f"  {note}" for note in notes)]
        return "\n".join(lines)

    def summary(self) -> str:
        """How many actions of each verb: `2 created, 1 changed`."""
        done = {verb: sum(1 for a in self.actions if a.verb == verb) for verb in _PAST}
        return ", ".join(f"{count} {_PAST[verb]}" for verb, count in done.items() if count) or "nothing to do"


_SIGNS: Mapping[Verb, str] = {"create": "+", "change": "~", "adopt": "~", "revive": "+", "retire": "-", "delete": "-"}
_PAST: Mapping[Verb, str] = {
    "create": "created",
    "change": "changed",
    "adopt": "adopted",
    "revive": "revived",
    "retire": "retired",
    "delete": "deleted",
}


def make_plan(
    wanted: Mapping[str, Mapping[str, BaseModel]],
    now: Mapping[str, Mapping[str, Present]],
    digests: Mapping[str, Mapping[str, str]],
    *,
    prune: bool = False,
) -> Plan:
    """The plan. `digests` are those of the objects as they were applied last; `prune` deletes what would be retired."""
    actions = [action for section in WHAT for action in _section(section, wanted[section], now[section], prune=prune)]
    monitors = now["monitors"].values()
    return Plan(
        actions=tuple(actions),
        drifted=tuple(_drifted(now, digests)),
        hints=(*_renamed(actions), *_idle_rules(wanted, now), *_hasty(actions), *_in_clear(actions)),
        living=sum(1 for kept in monitors if kept.owned_by_file and not kept.retired),
    )


def _section(
    section: str, wanted: Mapping[str, BaseModel], now: Mapping[str, Present], *, prune: bool
) -> Iterator[Action]:
    for key, item in wanted.items():
        kept = now.get(key)
        if kept is None:
            yield Action(verb="create", section=section, key=key, item=item, present=None)
        elif kept.retired or not kept.owned_by_file or kept.item != item:
            verb: Verb = "revive" if kept.retired else "change" if kept.owned_by_file else "adopt"
            details = tuple(_differences(kept.item, item))
            yield Action(verb=verb, section=section, key=key, item=item, present=kept, details=details)
    for key, kept in now.items():
        if key in wanted or not kept.owned_by_file:
            continue
        if section != "monitors" or prune:
            yield Action(verb="delete", section=section, key=key, item=None, present=kept)
        elif not kept.retired:
            yield Action(verb="retire", section=section, key=key, item=None, present=kept)


def _lives(action: Action) -> bool:
    return action.present is not None and not action.present.retired


def _differences(old: BaseModel | None, new: BaseModel) -> Iterator[str]:
    """The options that change, each on a line."""
    if old is None:
        yield "what is stored can't be read"
        return
    before = dict(_leaves(old.model_dump(mode="json"), ()))
    after = dict(_leaves(new.model_dump(mode="json"), ()))
    for path in dict.fromkeys((*after, *before)):
        if before.get(path) == after.get(path):
            continue
        value = find(type(new), path) or find(type(old), path)
        show = _secret if value is not None and value.secret else _shown
        yield f"{reduce(join, path, '')}: {show(before.get(path))} → {show(after.get(path))}"


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value that a line of the plan can show, by its path; a list of texts is one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path, value


def _secret(value: Any) -> str:
    return REDACTED if value else "none"


def _shown(value: Any) -> str:
    text = (
        value
        if isinstance(value, str) and value
        else "none"
        if value is None
        else json.dumps(value, ensure_ascii=False)
    )
    text = hidden(" ".join(text.split()))
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _drifted(now: Mapping[str, Mapping[str, Present]], digests: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What the file owns and something else changed."""
    for section, applied in digests.items():
        for key, before in applied.items():
            kept = now.get(section, {}).get(key)
            if kept is None:
                yield f"{WHAT[section]} {key} is gone"
            elif kept.item is None or digest(kept.item) != before:
                yield f"{WHAT[section]} {key}"


def _renamed(actions: list[Action]) -> Iterator[str]:
    """Monitors that leave while one of the same target comes: probably the same one under another slug."""
    leaving = {
        _target(a.present.item): a.key for a in actions if a.section == "monitors" and a.item is None and a.present
    }
    for action in actions:
        if action.section == "monitors" and action.verb == "create" and (old := leaving.get(_target(action.item))):
            yield (
                f"monitor {action.key} watches what {old} watched: if it was renamed, give it `slug: {old}` to keep its history"
            )


def _target(item: BaseModel | None) -> str:
    data = as_data(item) if item is not None else {}
    return json.dumps({name: value for name, value in data.items() if name not in _NOT_ITS_TARGET}, sort_keys=True)


def _idle_rules(
    wanted: Mapping[str, Mapping[str, BaseModel]], now: Mapping[str, Mapping[str, Present]]
) -> Iterator[str]:
    """Rules of the file that no monitor is a case for: most often a tag that nobody has."""
    kept = [k.item for k in now["monitors"].values() if not k.owned_by_file and not k.retired]
    specs = [item for item in (*wanted["monitors"].values(), *kept) if isinstance(item, MonitorSpec)]
    monitors = [Matched(slug=spec.slug, kind=spec.kind, tags=spec.tags) for spec in specs]
    for key, rule in wanted["alert_rules"].items():
        match = rule.match.model_dump(exclude_defaults=True) if isinstance(rule, RuleItem) else {}
        if not any(matches(match, monitor) for monitor in monitors):
            yield f"alert rule {key} matches no monitor"


def _hasty(actions: list[Action]) -> Iterator[str]:
    """Monitors whose targets will be asked more often than most would like."""
    for action in actions:
        if isinstance(action.item, ProbedSpec) and action.item.interval < HASTY:
            every = format_duration(action.item.interval)
            yield f"monitor {action.key} is probed every {every}: less than {HASTY:g}s is a burden to many targets"


def _in_clear(actions: list[Action]) -> Iterator[str]:
    """Monitors with what is called like a secret where none is sealed, as in `?token=` of an address."""
    for action in actions:
        if isinstance(action.item, MonitorSpec):
            for path, value in _leaves(action.item.model_dump(mode="json", exclude_defaults=True), ()):
                allowed = find(type(action.item), path)
                if isinstance(value, str) and allowed is not None and not allowed.secret and hidden(value) != value:
                    place = reduce(join, path, "")
                    yield f"monitor {action.key} has what looks like a secret in {place}, in clear; headers and passwords are sealed"
