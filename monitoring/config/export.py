"""The database as a configuration file, with a ${NAME} for each secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from checks.document import resolve
from checks.options import options
from checks.spec import MonitorSpec, slugify
from monitoring.config.present import as_data, present


class _Dumper(yaml.SafeDumper):
    """Writes YAML that `checks.document` reads back as it was: lists indented, doubtful texts quoted."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"' if resolve(text) != text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def export() -> str:
    """The file. Applying it to this database changes nothing, once the variables that it names are set."""
    now = present()
    sections: dict[str, list[dict[str, Any]]] = {}
    names: set[str] = set()
    for section in ("monitors", "channels", "alert_rules", "status_pages"):
        items = [kept.item for _, kept in sorted(now[section].items()) if kept.item is not None and not kept.retired]
        if items:
            sections[section] = [_entry(item, names) for item in items]
    parts = [_dumped({section: entries}) for section, entries in sections.items()]
    head = "# The configuration as it stands, written by `manage.py export`.\n"
    if names:
        head += "# Secrets are not in it. Set these variables, or each with _FILE to a file that holds it:\n"
        head += "".join(f"#   {name}\n" for name in sorted(names))
    return "\n".join([head, *parts])


def _dumped(data: Any) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _entry(item: BaseModel, names: set[str]) -> dict[str, Any]:
    """One entry, its secrets replaced by variables whose names are added to `names`."""
    data = dict(_escaped(as_data(item)))
    if isinstance(item, MonitorSpec):
        slug = data.pop("slug", item.slug)
        # What people look for first stands first; the slug only where it is not the name's own.
        first = {"name": data.pop("name"), **({} if slug == slugify(item.name) else {"slug": slug})}
        data = {**first, **data}
        prefix = item.slug
    else:
        prefix = str(data.get("name", ""))
    for name, option in options(type(item)).items():
        if option.value.secret and data.get(name):
            data[name] = _variables(data[name], f"{prefix}_{name}", names)
    return data


def _variables(value: Any, name: str, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _variables(inner, f"{name}_{key}", names) for key, inner in value.items()}
    variable = next(free for free in _candidates(name) if free not in names)
    names.add(variable)
    return f"${{{variable}}}"


def _candidates(name: str) -> Iterator[str]:
    """Names of environment variables, the plain one first."""
    plain = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")[:90] or "SECRET"
    plain = f"_{plain}" if plain[0].isdigit() else plain
    yield plain
    yield from (f"{plain}_{count}" for count in range(2, 100_000))


def _escaped(value: Any) -> Any:
    """The value with every ${ written so that it is not read as a variable."""
    match value:
        case dict():
            return {key: _escaped(inner) for key, inner in value.items()}
        case list():
            return [_escaped(inner) for inner in value]
        case str():
            return value.replace("${", "$${")
        case _:
            return value
