"""The database as a configuration file, with a ${NAME} for each secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from checks.options import options
from checks.spec import MonitorSpec, slugify
from monitoring.config.present import as_data, present
from monitoring.config.writing import as_yaml


def export() -> str:
    """The file. Applying it to this database changes nothing, once the variables that it names are set."""
    now = present()
    sections: dict[str, list[dict[str, Any]]] = {}
    names: set[str] = set()
    for section in ("monitors", "channels", "alert_rules", "objectives", "status_pages"):
        items = [kept.item for _, kept in sorted(now[section].items()) if kept.item is not None and not kept.retired]
        if items:
            sections[section] = [_entry(item, names) for item in items]
    parts = [as_yaml({section: entries}) for section, entries in sections.items()]
    head = "# The configuration as it stands, written by `manage.py export`.\n"
    if names:
        head += "# Secrets are not in it. Set these variables, or each with _FILE to a file that holds it:\n"
        head += "".join(f"#   {name}\n" for name in sorted(names))
    return "\n".join([head, *parts])


def _entry(item: BaseModel, names: set[str]) -> dict[str, Any]:
    """One entry, its secrets replaced by variables whose names are added to `names`."""
    said = _escaped(as_data(item))
    data = {name: said[name] for name in options(type(item)) if name in said}
    if isinstance(item, MonitorSpec):
        slug = data.pop("slug", item.slug)
        # What people look for first stands first; the slug only where it is not the name's own.
        first = {"name": data.pop("name"), **({} if slug == slugify(item.name) else {"slug": slug})}
        data = {**first, **data}
        prefix = item.slug
    else:
        prefix = str(data.get("name", ""))
    return _without_secrets(type(item), data, prefix, names)


def _without_secrets(model: type[BaseModel], data: dict[str, Any], prefix: str, names: set[str]) -> dict[str, Any]:
    out = dict(data)
    for name, option in options(model).items():
        value = out.get(name)
        if not value:
            continue
        inner = option.value.model or (option.value.item and option.value.item.model)
        if option.value.secret:
            out[name] = _variables(value, f"{prefix}_{name}", names)
        elif inner and isinstance(value, list):
            rows = [(row.get("name") or number, row) for number, row in enumerate(value, 1)]
            out[name] = [_without_secrets(inner, row, f"{prefix}_{called}", names) for called, row in rows]
        elif option.value.model:
            out[name] = _without_secrets(option.value.model, value, f"{prefix}_{name}", names)
    return out


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
