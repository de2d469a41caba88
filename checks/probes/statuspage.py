"""`statuspage`: asks another vendor's status page, in the shape of Statuspage v2, and passes on what it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from checks.address import Url, parse_url
from checks.evidence import excerpt
from checks.expect import Subject
from checks.expect.jsonpath import NotJson, parse_json
from checks.nearest import did_you_mean
from checks.network import spec_tls
from checks.network.route import ProxiedSpec, SecuredSpec
from checks.probe import TIMINGS, Kind, ProbeContext, ProbeFailure
from checks.result import Failure, Observation, Reason
from checks.spec import Line
from checks.web import ANSWER, HTTP_1, Request, facts, fetch
from checks.web.options import WebUrl

SUMMARY = "/api/v2/summary.json"
MAX_SHOWN = 20  # components and incidents in the evidence
# From harmless to grave; a component's status has the impact that Statuspage itself gives it.
IMPACTS = ("none", "maintenance", "minor", "major", "critical")
_IMPACT_OF = {
    "operational": "none",
    "under_maintenance": "maintenance",
    "degraded_performance": "minor",
    "partial_outage": "major",
    "major_outage": "critical",
}


class StatuspageSpec(ProxiedSpec, SecuredSpec):
    """Options of a monitor that asks a vendor's status page."""

    default_expect: ClassVar[tuple[str, ...]] = ('impact in "none", "maintenance", "minor"',)
    default_degraded: ClassVar[tuple[str, ...]] = ('impact == "none"',)
    target_option: ClassVar[str] = "url"
    example: ClassVar[str] = """
        url: https://status.vendor.example
        components: [API, Git operations]
        interval: 5m
        """
    subjects: ClassVar[Mapping[str, Subject]] = {
        "impact": Subject(
            "impact",
            "text",
            'The worst of the chosen components, else of the page: "none", "maintenance", "minor", "major", "critical".',
        ),
        "indicator": Subject("indicator", "text", "What the whole page says of itself, in the words of `impact`."),
        "description": Subject("description", "text", 'Its sentence, as in "All Systems Operational".'),
        "component": Subject(
            "component",
            "text",
            'The status of the worst chosen component: "operational", "degraded_performance", "partial_outage", '
            '"major_outage", "under_maintenance".',
        ),
        "incidents": Subject("incidents", "number", "How many incidents are not resolved."),
        "json": ANSWER["json"],
        "certificate": ANSWER["certificate"],
        **TIMINGS,
    }

    kind: Literal["statuspage"] = "statuspage"
    """Asks another vendor's status page (Statuspage v2)."""
    url: WebUrl
    """The address of the page; /api/v2/summary.json is added, where it does not end in .json."""
    components: tuple[Annotated[Line, Field(min_length=1, max_length=300)], ...] = Field(default=(), max_length=50)
    """The components that matter, by name. By default the whole page does."""

    @cached_property
    def summary(self) -> Url:
        """The address that is asked."""
        page, _, _ = self.url.partition("#")
        page, mark, query = page.partition("?")
        path = page if page.endswith(".json") else page.rstrip("/") + SUMMARY
        return parse_url(f"{path}{mark}{query}")


async def probe(spec: StatuspageSpec, context: ProbeContext) -> Observation:
    """Ask the page, and read what it says of itself and of the chosen components."""
    seen = context.seen
    request = Request(url=spec.summary, headers={"accept": "application/json"})
    answer = await fetch(context, request, tls=spec_tls(spec, HTTP_1), route=spec.route)
    seen.facts |= {name: value for name, value in facts(answer).items() if name != "status"}
    if answer.status != 200:
        raise _no_page(f"the page answered with status {answer.status}")
    page = _read(answer.body)
    seen.facts |= _page_facts(page)
    chosen = _chosen(spec, page)
    if chosen:
        seen.facts["impact"], seen.facts["component"] = max(
            ((_IMPACT_OF.get(status, "minor"), status) for _, status in chosen),
            key=lambda found: IMPACTS.index(found[0]),
        )
    seen.evidence["page"] = _shown(page, chosen)
    seen.complete = True
    return seen


def _no_page(message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.PROTOCOL, message=message, phase="transfer"))


def _read(body: bytes | None) -> Mapping[str, Any]:
    """The summary. Raises ProbeFailure where it is none."""
    try:
        page: Any = parse_json(body or b"")
    except NotJson as exc:
        raise _no_page(f"the page's summary is not JSON: {exc}") from exc
    match page:
        case {"status": {"indicator": str()}}:
            return dict(page)
        case _:
            raise _no_page("the page's summary has no status.indicator: it is not of the shape of Statuspage v2")


def _page_facts(page: Mapping[str, Any]) -> dict[str, Any]:
    indicator = page["status"]["indicator"]
    found: dict[str, Any] = {"indicator": indicator, "impact": indicator}
    if isinstance(description := page["status"].get("description"), str):
        found["description"] = description
    if isinstance(incidents := page.get("incidents"), list):
        found["incidents"] = len(incidents)  # a summary has those that are not resolved
    return found


def _components(page: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and statuses."""
    rows = page.get("components")
    return [
        (row["name"].strip(), row["status"])
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and isinstance(row.get("name"), str) and isinstance(row.get("status"), str)
    ]


def _chosen(spec: StatuspageSpec, page: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The components that matter. Raises ProbeFailure for a name that the page does not have."""
    known = _components(page)
    names = {name.casefold() for name, _ in known}
    for name in spec.components:
        if name.casefold() not in names:
            hint = did_you_mean(name, [known_name[:100] for known_name, _ in known[:200]])
            raise ProbeFailure(
                Failure(reason=Reason.EXPECTATION, message=f"the page has no component {name!r}{hint}"[:300])
            )
    wanted = {name.casefold() for name in spec.components}
    return [(name, status) for name, status in known if name.casefold() in wanted]


def _shown(page: Mapping[str, Any], chosen: list[tuple[str, str]]) -> dict[str, Any]:
    """What a person wants to know: the sentence, what is not well, and which incidents are open."""
    troubled = chosen or [(name, status) for name, status in _components(page) if status != "operational"]
    shown: dict[str, Any] = {"says": _clipped(page["status"].get("description") or page["status"]["indicator"])}
    if troubled:
        shown["components"] = [f"{_clipped(name)}: {_clipped(status)}" for name, status in troubled[:MAX_SHOWN]]
    incidents = page.get("incidents")
    names = [row.get("name") for row in (incidents if isinstance(incidents, list) else ()) if isinstance(row, dict)]
    if names:
        shown["incidents"] = [_clipped(name) for name in names[:MAX_SHOWN]]
    return shown


def _clipped(text: Any) -> str:
    return excerpt(str(text)[:200].encode())


STATUSPAGE = Kind(spec=StatuspageSpec, probe=probe)
