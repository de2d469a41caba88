"""`icmp`: sends a few echoes (pings) to a host and tells how many come back, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from statistics import fmean
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from checks.address import host_name
from checks.expect import Subject
from checks.network import reach
from checks.network.echoes import Echoes, NotAllowed, lacks
from checks.network.route import RoutedSpec
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure, from_os_error
from checks.result import Failure, Observation, Reason
from checks.spec import Duration, Line
from checks.units import format_duration


def _is_host(text: str) -> str:
    host_name(text.removeprefix("[").removesuffix("]"))
    return text


class IcmpSpec(RoutedSpec):
    """Options of a monitor that sends echoes."""

    default_expect: ClassVar[tuple[str, ...]] = ("loss < 100",)
    target_option: ClassVar[str] = "host"
    subjects: ClassVar[Mapping[str, Subject]] = {
        "loss": Subject("loss", "number", "How many percent of the echoes did not come back."),
        "min": Subject("min", "duration", "The time of the fastest echo there and back."),
        "avg": Subject("avg", "duration", "The mean time of the echoes there and back."),
        "max": Subject("max", "duration", "The time of the slowest echo there and back."),
        "jitter": Subject("jitter", "duration", "The mean difference of one echo's time to the one before."),
        "latency": Subject("latency", "duration", "The time to resolve the name and the mean time of the echoes."),
        "dns": TIMINGS["dns"],
    }
    example: ClassVar[str] = """
        host: router.example.org
        count: 5
        expect: [loss <= 20, avg < 50ms]
        degraded: [loss == 0, jitter < 10ms]
        """

    kind: Literal["icmp"] = "icmp"
    """Sends echoes (pings) to a host."""
    host: Annotated[Line, Field(min_length=1, max_length=300), AfterValidator(_is_host)]
    """The host, by name or address."""
    count: Annotated[int, Field(strict=True, ge=1, le=20)] = 3
    """How many echoes are sent: 1 to 20."""
    gap: Annotated[Duration, Field(ge=0.01, le=10.0)] = 0.2
    """The time between two echoes: 10 ms to 10 s."""
    patience: Annotated[Duration, Field(ge=0.01, le=60.0)] = 2.0
    """How long the last echoes are waited for: 10 ms to 1 min. What is not back then is lost."""

    @model_validator(mode="after")
    def _has_time_for_all(self) -> Self:
        needed = (self.count - 1) * self.gap + self.patience
        if needed >= self.timeout:
            raise ValueError(
                f"timeout: {format_duration(self.timeout)} is not more than the {format_duration(needed)} that "
                f"{self.count} echoes and their patience take"
            )
        return self

    @cached_property
    def target(self) -> str:
        """The host."""
        return host_name(self.host.removeprefix("[").removesuffix("]"))


async def probe(spec: IcmpSpec, context: ProbeContext) -> Observation:
    """Send the echoes, and report those that come back."""
    seen, watch = context.seen, context.stopwatch
    address = seen.evidence["address"] = await reach(context, spec.target, 0, spec.route)
    watch.mark("other", "first_byte")
    began_ns = watch.last_ns
    try:
        echoes = Echoes(address)
    except NotAllowed as exc:
        raise ProbeFailure(Failure(reason=Reason.NO_DRIVER, message=str(exc))) from exc
    try:
        await echoes.send(spec.count, spec.gap, spec.patience)
    finally:
        echoes.close()
    times = [nanoseconds / 1e9 for _, nanoseconds in sorted(echoes.times.items())]
    if not times:
        raise ProbeFailure(_nothing(spec, echoes.trouble))
    seen.facts["loss"] = 100 * (spec.count - len(times)) / spec.count
    seen.facts["min"], seen.facts["avg"], seen.facts["max"] = min(times), fmean(times), max(times)
    if len(times) > 1:
        seen.facts["jitter"] = fmean(abs(after - before) for before, after in pairwise(times))
    # The pauses between echoes are ours: what the target took is the mean of its times.
    watch.mark("first_byte", "other", began_ns + round(fmean(times) * 1e9))
    seen.evidence["echoes"] = {"sent": spec.count, "times_ms": [round(time * 1000, 3) for time in times]}
    seen.complete = True
    return seen


def _nothing(spec: IcmpSpec, trouble: OSError | None) -> Failure:
    if trouble is not None:
        return from_os_error(trouble, "first_byte")
    none = "the echo was not" if spec.count == 1 else f"none of {spec.count} echoes was"
    message = f"{none} answered within {format_duration(spec.patience)}"
    return Failure(reason=Reason.TIMEOUT, message=message, phase="first_byte")


ICMP = Kind(spec=IcmpSpec, probe=probe, lacks=lacks)
