"""What changed between the last good answer of a target and a bad one, in one sentence. Pure.

Of an answer a few facts are kept (`facts_of`): small enough to lie beside each target, enough to tell two answers apart.
A good one is looked at when its target becomes up, and rarely after that (`is_worth_keeping`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from checks.expect import Subject
from checks.result import Outcome
from checks.status import Status, TargetState
from checks.units import spoken_size

REFRESH = 900.0  # seconds between two looks at a target that stays up
MOST = 80  # characters of a fact
MOST_SUBJECTS = 12
_TYPES = ("number", "text", "size", "bytes")
_ALWAYS = ("status", "size")  # said even where they are the same, as what everybody knows an answer by
_LAST = ("size", "issuer", "server", "address")
_ELSEWHERE = ("body", "redirects", "ip")  # too large, or said by another fact
_SPREAD = 2_654_435_761  # neighbours in number are not looked at together (Knuth, TAOCP 6.4)

Facts = Mapping[str, Any]


def facts_of(subjects: Mapping[str, Subject], facts: Facts, address: object = None) -> dict[str, Any]:
    """The few facts of an answer by which it is told from another: numbers, and texts of one line."""
    kept: dict[str, Any] = {}
    for name, subject in subjects.items():
        value = facts.get(name)
        if value is None or subject.argument or subject.type not in _TYPES or name in _ELSEWHERE:
            continue
        if len(kept) < MOST_SUBJECTS:
            kept[name] = _short(value)
    if facts.get("issuer"):
        kept["issuer"] = _authority(str(facts["issuer"]))
    for name, value in facts.get("headers") or ():
        if (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower() == "server":
            kept["server"] = _short(value)
    if address:
        kept["address"] = _short(address)
    return kept


def difference(good: Facts | None, bad: Facts | None) -> str:
    """`was 200, 14.2 kB, Let's Encrypt R11; now 502, 1.1 kB, served by nginx`; empty where there is nothing to tell."""
    if not good:
        return ""
    bad = bad or {}
    if not bad.keys() - {"address", "issuer"}:
        before = ", ".join(_said(good, _order(good)))
        return f"was {before}; now no answer" if before else ""
    telling = [name for name in _order({**good, **bad}) if name in _ALWAYS or good.get(name) != bad.get(name)]
    before, now = (", ".join(_said(facts, telling)) for facts in (good, bad))
    if before == now or not before or not now:
        return ""
    return f"was {before}; now {now}"


def spoken(facts: Facts) -> list[tuple[str, str]]:
    """The facts for people, in the order in which they say them."""
    size = facts.get("size")
    shown = {**facts, "size": spoken_size(size)} if isinstance(size, int) else facts
    return [(name.replace("_", " "), str(shown[name])) for name in _order(facts)]


def is_worth_keeping(state: TargetState, target_id: int, due_at: datetime, interval: float) -> bool:
    """Whether the facts of a good answer are to be kept, which costs a write: news, or the first one in a while.

    What a target was and when it is due decides, so that a worker needs no memory and any worker decides the same.
    """
    if state.vote is not Status.UP or state.last_outcome is not Outcome.UP:
        return True
    phase = target_id * _SPREAD % 2**32 / 2**32 * REFRESH
    at = due_at.timestamp() + phase
    return at // REFRESH != (at - interval) // REFRESH


def _order(facts: Iterable[str]) -> list[str]:
    """What an answer is said to be, in the order in which people say it."""
    names = list(facts)
    return [
        *(name for name in names if name == "status"),
        *(name for name in names if name not in ("status", *_LAST)),
        *(name for name in _LAST if name in names),
    ]


def _said(facts: Facts, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = facts.get(name)
        if value is None or value == "":
            continue
        match name:
            case "status" | "issuer" | "banner":
                yield str(value)
            case "size" if isinstance(value, int):
                yield spoken_size(value)
            case "server":
                yield f"served by {value}"
            case "address":
                yield f"at {value}"
            case _:
                yield f"{name.replace('_', ' ')} {value}"


def _short(value: Any) -> str | int | float | bool:
    if isinstance(value, bool | int | float):
        return value
    text = value[: 4 * MOST].decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    line = "".join(char if char.isprintable() else " " for char in (text.strip().splitlines() or [""])[0]).strip()
    return line if len(line) <= MOST else line[: MOST - 1] + "…"


def _authority(issuer: str) -> str:
    """`Let's Encrypt R11` of `CN=R11,O=Let's Encrypt,C=US`."""
    parts = dict(re.findall(r"(?:^|,)([A-Za-z]+)=((?:\\.|[^,\\])*)", issuer))
    name, organisation = (re.sub(r"\\(.)", r"\1", parts.get(key, "")) for key in ("CN", "O"))
    both = name if organisation.lower() in name.lower() else f"{organisation} {name}".strip()
    return str(_short(both or issuer))
