"""One probe at once, from the web process: to try options out. It is shown and not recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from checks import probe
from checks.network import Resources
from checks.probes import KINDS
from checks.result import PHASES, Phases, Result
from checks.spec import MonitorSpec, ProbedSpec
from checks.units import format_duration, spoken_duration

LONGEST = 20.0  # seconds that a page may wait, whatever the monitor's own timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One phase of the waterfall; `start` and `width` are shares of the whole, in percent."""

    phase: str
    spoken: str
    start: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a page shows of one probe."""

    result: Result
    spoken: str  # how long it took
    bars: Sequence[Bar]
    shortened: str  # the time it was given, where that is less than the monitor's timeout


def probe_now(spec: MonitorSpec) -> Probed:
    """The judged result of one probe, within 20 s. Raises ValueError for a kind that asks nothing by itself."""
    kind = KINDS[spec.kind]
    if kind.probe is None or not isinstance(spec, ProbedSpec):
        raise ValueError(f"a {spec.kind} monitor asks nothing: it waits for pings")
    bounded = spec.model_copy(update={"timeout": min(spec.timeout, LONGEST)})
    result = asyncio.run(_once(kind, bounded))
    return Probed(
        result=result,
        spoken=spoken_duration(result.phases.total() / 1e9),
        bars=waterfall(result.phases),
        shortened=format_duration(LONGEST) if spec.timeout > LONGEST else "",
    )


async def _once(kind: probe.Kind, spec: ProbedSpec) -> Result:
    resources = Resources.open()
    try:
        return await probe.run(kind, spec, probe.ProbeContext(resources=resources, explain=True))
    finally:
        resources.close()


def waterfall(phases: Phases) -> list[Bar]:
    """The phases that happened, each where it began."""
    total = phases.total() or 1
    bars, before = [], 0
    took = phases.as_dict()
    for phase in (name for name in PHASES if name in took):
        bars.append(
            Bar(
                phase=phase.replace("_", " "),
                spoken=spoken_duration(took[phase] / 1e9),
                start=round(100 * before / total, 2),
                width=round(100 * took[phase] / total, 2),
            )
        )
        before += took[phase]
    return bars
