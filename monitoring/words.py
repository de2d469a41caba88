"""Figures for people, the same on every page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from checks.units import spoken_duration

NONE = "\N{EN DASH}"


def spoken(seconds: float | None) -> str:
    """A duration; a dash where there is none."""
    return NONE if seconds is None else spoken_duration(max(0.0, float(seconds)))


def spoken_ns(nanoseconds: int | None) -> str:
    """A duration given in nanoseconds; a dash where there is none."""
    return spoken(None if nanoseconds is None else nanoseconds / 1e9)


def since(instant: datetime | None, now: datetime) -> str:
    """How long ago an instant was, in whole seconds; a dash where there is none."""
    return NONE if instant is None else spoken_duration(max(1.0, float(round((now - instant).total_seconds()))))


def percent(ratio: float | None) -> str:
    """A share with two decimals, rounded down: 99.999 % of a month is not 100 %. A dash where there is none."""
    if ratio is None:
        return NONE
    return "100 %" if ratio >= 1 else f"{math.floor(ratio * 10_000 + 1e-9) / 100:.2f} %"


def share(ratio: float | None) -> str:
    """A share without decimals. All but nothing is not 100 %, and a little is not 0 %."""
    if not ratio:
        return "0 %"
    if ratio < 0.005:
        return "under 1 %"
    return "100 %" if ratio >= 0.9995 else f"{min(99, round(ratio * 100))} %"


def kept(ratio: float | None) -> str:
    """A share that is measured against a promise: three decimals, rounded down. A dash where there is none."""
    if ratio is None:
        return NONE
    return "100 %" if ratio >= 1 else f"{math.floor(ratio * 100_000 + 1e-7) / 1000:.3f} %"


def promised(percent: float) -> str:
    """A target as it was written: `99.9 %`."""
    return f"{percent:g} %"


def burn(rate: float | None) -> str:
    """How fast a budget is spent: `1.4`. A little is not nothing; a dash where nothing counted."""
    if rate is None:
        return NONE
    if rate <= 0:
        return "0"
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 0.05 else "< 0.1"


def failure(found: Mapping[str, str] | None) -> str:
    """What a failure says to an operator, in one line; nothing where there is none."""
    return str(found.get("message") or found.get("reason") or "") if found else ""


def number(value: float) -> str:
    """A number that a job reported, as short as it is exact enough to be read."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.6g}"
