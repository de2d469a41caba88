"""The configuration file: its six sections, what they may refer to, and every mistake of a file at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pydantic import BaseModel

from checks.document import DocumentProblems, Node, Problem, read
from checks.nearest import did_you_mean
from checks.options import options
from checks.probes import KINDS, spec_class
from checks.spec import MonitorSpec, ProbedSpec, slugify
from checks.validation import validate
from monitoring.config.sections import ChannelItem, Defaults, ObjectiveItem, PageItem, RuleItem
from monitoring.groups import circle, spoken

SECTIONS = ("defaults", "monitors", "channels", "alert_rules", "objectives", "status_pages")

Item = TypeVar("Item", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a file without mistakes says."""

    monitors: tuple[MonitorSpec, ...] = ()
    channels: tuple[ChannelItem, ...] = ()
    rules: tuple[RuleItem, ...] = ()
    objectives: tuple[ObjectiveItem, ...] = ()
    pages: tuple[PageItem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What the admin owns: a file may refer to it, and may not take it over unasked."""

    monitors: frozenset[str] = frozenset()  # slugs
    channels: frozenset[str] = frozenset()  # names
    rules: frozenset[str] = frozenset()  # names
    objectives: frozenset[str] = frozenset()  # names
    pages: frozenset[str] = frozenset()  # slugs
    default_page: str = ""  # the slug of the one at the root address
    # All monitors that are watched now, whoever owns them: what stays as it is need not be possible to make anew.
    standing: Mapping[str, MonitorSpec] = field(default_factory=dict)


def read_configuration(
    text: bytes | str, *, env: Mapping[str, str], foreign: Foreign | None = None, adopt: bool = False
) -> Configuration:
    """What a file says. Raises DocumentProblems with everything that is wrong with it.

    `adopt` lets the file take over what the admin owns.
    """
    root, problems = read(text, env=env)
    if root is None:
        raise DocumentProblems(problems)
    reader = _Reader(root, problems, foreign or Foreign(), adopt=adopt)
    configuration = reader.read()
    if reader.problems:
        raise DocumentProblems(reader.problems)
    return configuration


class _Reader:
    """Reads the sections and collects the problems."""

    def __init__(self, root: Node, problems: list[Problem], foreign: Foreign, *, adopt: bool) -> None:
        self.problems, self._foreign, self._adopt = list(problems), foreign, adopt
        self._sections: dict[str, Node] = {}
        if isinstance(root.value, dict):
            self._sections = root.value
            for name, node in root.value.items():
                if name not in SECTIONS:
                    hint = did_you_mean(name, SECTIONS) or f"; known: {', '.join(SECTIONS)}"
                    self.problems.append(node.key_problem(f"unknown section {name[:60]!r}{hint}"))
        elif not root.broken:
            self.problems.append(root.problem(f"expected a mapping with {', '.join(SECTIONS)}; found {root.shown()}"))

    def read(self) -> Configuration:
        """The configuration as far as it can be read."""
        defaults = self._defaults()
        nodes = self._items("monitors")
        monitors = [self._monitor(node, defaults) for node in nodes]
        self._refuse_circles([(node, spec) for node, spec in zip(nodes, monitors, strict=True) if spec is not None])
        channels = self._each("channels", ChannelItem)
        rules = self._each("alert_rules", RuleItem)
        objectives = self._each("objectives", ObjectiveItem)
        pages = self._each("status_pages", PageItem)
        foreign = self._foreign
        slugs = self._names("monitors", "monitor", "slug", foreign.monitors)
        names = self._names("channels", "channel", "name", foreign.channels)
        self._names("alert_rules", "alert rule", "name", foreign.rules)
        self._names("objectives", "objective", "name", foreign.objectives)
        self._names("status_pages", "status page", "slug", foreign.pages)
        for rule in self._items("alert_rules"):
            self._refer(_texts(rule, "notify"), names, "channel")
            match = _child(rule, "match")
            self._refer(_texts(match, "monitors") if match else (), slugs, "monitor")
        for node in nodes:
            self._refer(_texts(node, "members"), slugs, "monitor")
        for about_one in (*self._items("objectives"), *self._components()):
            monitor = _child(about_one, "monitor")
            self._refer([monitor] if monitor else (), slugs, "monitor")
        return Configuration(
            monitors=tuple(spec for spec in monitors if spec is not None),
            channels=tuple(channels.values()),
            rules=tuple(rules.values()),
            objectives=tuple(objectives.values()),
            pages=tuple(self._with_default(pages)),
        )

    def _items(self, section: str) -> Sequence[Node]:
        """The entries of a section; none where all of them are commented out."""
        node = self._sections.get(section)
        if node is None or node.value is None:
            return ()
        if not isinstance(node.value, list):
            if not node.broken:
                node.broken = True  # said once
                self.problems.append(
                    node.problem(f"expected a list, one entry after each hyphen; found {node.shown()}")
                )
            return ()
        return node.value

    def _each(self, section: str, model: type[Item]) -> dict[int, Item]:
        """The entries of a section that are right, by their index."""
        found = {index: self._checked(node, model) for index, node in enumerate(self._items(section))}
        return {index: item for index, item in found.items() if item is not None}

    def _checked(self, node: Node, model: type[Item]) -> Item | None:
        item, problems = validate(node, model)
        self.problems += problems
        return item

    def _defaults(self) -> dict[str, Node]:
        """The shared options; those that are wrong are left out, so that each is told once."""
        node = self._sections.get("defaults")
        if node is None or node.value is None or self._checked(node, Defaults) is None:
            return {}
        return {name: child for name, child in node.value.items() if not child.broken}

    def _monitor(self, node: Node, defaults: Mapping[str, Node]) -> MonitorSpec | None:
        if not isinstance(node.value, dict):
            return self._checked(node, MonitorSpec)
        kind = node.value.get("kind")
        if kind is None:
            self.problems.append(node.missing("kind", f"is required; one of {', '.join(KINDS)}"))
            return None
        if kind.broken:
            return None
        try:
            model = spec_class(kind.value if isinstance(kind.value, str) else kind.shown())
        except ValueError as exc:
            self.problems.append(kind.problem(str(exc)))
            return None
        shared = {name: child for name, child in defaults.items() if takes_default(model, name)}
        spec = self._checked(replace(node, value={**shared, **node.value}), model)
        if isinstance(spec, MonitorSpec) and self._foreign.standing.get(spec.slug) != spec:
            lacking = KINDS[spec.kind].missing(spec)
            if lacking:
                self.problems.append(kind.problem(f"{spec.kind} can't be probed here: {lacking}"))
        return spec

    def _refuse_circles(self, monitors: Iterable[tuple[Node, MonitorSpec]]) -> None:
        """Groups that contain themselves, each circle once."""
        standing = self._foreign.standing
        members = {slug: standing[slug].watches() for slug in self._foreign.monitors if slug in standing}
        groups = [(node, spec) for node, spec in monitors if spec.watches()]
        members |= {spec.slug: spec.watches() for _, spec in groups}
        told: set[str] = set()
        for node, spec in groups:
            way = circle(spec.slug, {slug: each for slug, each in members.items() if each})
            place = _child(node, "members")
            if way and place is not None and told.isdisjoint(way):
                self.problems.append(place.problem(spoken(way)))
            told.update(way)

    def _names(self, section: str, what: str, key: str, foreign: frozenset[str]) -> set[str]:
        """The names that entries have, also those of wrong entries; two of one name are told, with both places."""
        first: dict[str, Node] = {}
        for node in self._items(section):
            name, place = _name(node, key)
            if not name or place is None:
                continue
            if name in first:
                line = first[name].line
                self.problems.append(place.problem(f"another {what} has the {key} {name!r}, in line {line}"))
            elif name in foreign and not self._adopt:
                self.problems.append(
                    place.problem(
                        f"the admin owns the {what} with the {key} {name!r}; rename one of them, or apply with --adopt"
                    )
                )
            first.setdefault(name, place)
        return {*first, *foreign}

    def _refer(self, nodes: Iterable[Node], known: set[str], what: str) -> None:
        for node in nodes:
            if isinstance(node.value, str) and node.value.strip() not in known:
                hint = did_you_mean(node.value, known) or (f"; known: {_some(known)}" if known else "; there is none")
                self.problems.append(node.problem(f"unknown {what} {node.shown()}{hint}"))

    def _components(self) -> Iterator[Node]:
        for page in self._items("status_pages"):
            groups = _child(page, "groups")
            for group in groups.value if groups and isinstance(groups.value, list) else ():
                components = _child(group, "components")
                yield from components.value if components and isinstance(components.value, list) else ()

    def _with_default(self, pages: dict[int, PageItem]) -> list[PageItem]:
        """Exactly one page stands at the root address, where there is any: the first, if none says so."""
        there = self._foreign.default_page
        if self._adopt and any(page.slug == there for page in pages.values()):
            there = ""  # it is taken over, and is what the file says
        nodes = self._items("status_pages")
        asked = [child for index, page in pages.items() if page.default and (child := _child(nodes[index], "default"))]
        for node in asked[0 if there else 1 :]:
            other = f"the admin's page {there!r}" if there else f"the page in line {asked[0].line}"
            self.problems.append(node.problem(f"only one page can stand at the root address, and {other} does"))
        found = list(pages.values())
        if found and not asked and not there:
            found[0] = found[0].model_copy(update={"default": True})
        return found


def takes_default(model: type[MonitorSpec], name: str) -> bool:
    """Whether a shared option is for this kind: one that has limits or a default of its own for it keeps to those."""
    if name not in model.model_fields:
        return False
    return not issubclass(model, ProbedSpec) or options(model)[name] == options(ProbedSpec)[name]


def _child(node: Node, key: str) -> Node | None:
    return node.value.get(key) if isinstance(node.value, dict) else None


def _texts(node: Node, key: str) -> Sequence[Node]:
    """The entries of a list below a node."""
    child = _child(node, key)
    return child.value if child is not None and isinstance(child.value, list) else ()


def _name(node: Node, key: str) -> tuple[str, Node | None]:
    """What an entry is called, and where it says so: by its key, or for a slug by the name it is made from."""
    given = _child(node, key)
    if given is not None:
        return (given.value.strip(), given) if isinstance(given.value, str) else ("", None)
    name = _child(node, "name")
    if key != "slug" or name is None or not isinstance(name.value, str):
        return "", None
    return slugify(name.value), name


def _some(known: set[str]) -> str:
    shown = sorted(known)[:10]
    return ", ".join(shown) + (", …" if len(known) > len(shown) else "")
