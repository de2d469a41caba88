"""What the six sections of the configuration file may hold. The limits of a monitor's options are its kind's own."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from checks.options import sentence_of
from checks.probes import spec_class
from checks.spec import DAY, MINUTE, Duration, Line, MonitorSpec, ProbedSpec, Secret, Slug, Tag, Text
from monitoring.channels import check_url
from monitoring.objectives.minutes import parse_promise
from monitoring.objectives.windows import zone_of


def _is_kind(kind: str) -> str:
    spec_class(kind)  # raises ValueError
    return kind


Name = Annotated[Line, Field(min_length=1, max_length=100)]
Kind = Annotated[str, AfterValidator(_is_kind)]
Title = Annotated[Line, Field(min_length=1, max_length=200)]


class Section(BaseModel):
    """Something that stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def _is_channel_url(url: str) -> str:
    check_url(url)
    return url


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


class ChannelItem(Section):
    """Whom to tell, and how."""

    name: Name
    """What alert rules call it."""
    url: Annotated[Secret, Field(min_length=1), AfterValidator(_is_channel_url)]
    """An Apprise URL, such as slack://... or mailto://...; best as ${NAME}, from the environment."""
    fallback: bool = False
    """Told when another channel gave up on a message."""


class MatchItem(Section):
    """Which monitors a rule is about: those that every list given here holds."""

    tags: tuple[Tag, ...] = ()
    """Monitors with any of these tags."""
    monitors: tuple[Slug, ...] = ()
    """Monitors with these slugs."""
    kinds: tuple[Kind, ...] = ()
    """Monitors of these kinds."""


class RuleItem(Section):
    """When to tell which channels about which monitors."""

    name: Name
    """What it is called."""
    when: Literal["down"] = "down"
    """What it waits for: down."""
    match: MatchItem = MatchItem()
    """Which monitors it is about; all, where nothing is given."""
    notify: Annotated[tuple[Name, ...], Field(min_length=1, max_length=50), AfterValidator(_each_once)]
    """The channels that are told, by name."""
    remind: Annotated[Duration, Field(ge=MINUTE, le=30 * DAY)] | None = None
    """How often to tell again while it goes on: 1 min to 30 d. By default never."""


def _is_promise(text: str) -> str:
    return str(parse_promise(text)) if text else ""


def _is_zone(name: str) -> str:
    zone_of(name)  # raises ValueError
    return name


class ObjectiveItem(Section):
    """A promise about one monitor (an SLO); what it leaves for errors is its budget."""

    name: Name
    """What it is called."""
    monitor: Slug
    """The monitor's slug; a group's for several together."""
    target: Annotated[float, Field(ge=50, le=99.9999)]
    """How much of the time it is kept, in percent, as in 99.9."""
    window: Annotated[Duration, Field(ge=7 * DAY, le=90 * DAY)] | None = None
    """Over how long: the days before now. By default the calendar month."""
    minutes: Annotated[Line, Field(max_length=40), AfterValidator(_is_promise)] = ""
    """What has to hold in each minute, as in p95 < 300ms. By default it is available."""
    timezone: Annotated[Line, Field(max_length=64), AfterValidator(_is_zone)] = "UTC"
    """Where the calendar month begins at midnight, as in Europe/Riga."""


class ComponentItem(Section):
    """A monitor as the public knows it."""

    monitor: Slug
    """The monitor's slug."""
    name: Title
    """What the public calls it."""
    description: Annotated[Line, Field(max_length=500)] = ""
    """One sentence about it."""


def _no_monitor_twice(components: tuple[ComponentItem, ...]) -> tuple[ComponentItem, ...]:
    seen: set[str] = set()
    for component in components:
        if component.monitor in seen:
            raise ValueError(f"the monitor {component.monitor!r} stands twice in this group")
        seen.add(component.monitor)
    return components


class GroupItem(Section):
    """A heading on a page and what stands below it."""

    name: Title
    """The heading."""
    components: Annotated[tuple[ComponentItem, ...], Field(max_length=500), AfterValidator(_no_monitor_twice)] = ()
    """What stands below it, in this order."""


class PageItem(Section):
    """A public page."""

    slug: Slug
    """Its address: /status/<slug>/."""
    title: Title
    """Its heading."""
    description: Annotated[Text, Field(max_length=2000)] = ""
    """What stands below the heading."""
    default: bool = False
    """Shown at the root address. By default the first page is."""
    groups: Annotated[tuple[GroupItem, ...], Field(max_length=100)] = ()
    """Its groups, in this order."""


# What all probed monitors may share; limits and sentences are the monitors' own.
SHARED = ("interval", "timeout", "retry_interval", "failures", "successes", "locations", "quorum")


def _of_monitors(name: str) -> FieldInfo:
    option = copy(ProbedSpec.model_fields[name])
    option.description = sentence_of(ProbedSpec, name)
    return option


Defaults: type[BaseModel] = create_model(  # type: ignore[call-overload]  # the fields are made of the monitors' own
    "Defaults",
    __config__=MonitorSpec.model_config,
    __doc__="Options of every probed monitor that does not set them itself.",
    **{name: (ProbedSpec.model_fields[name].annotation, _of_monitors(name)) for name in SHARED},
)
