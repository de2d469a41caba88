"""The secrets of a specification: where its model has some, sealed and unsealed, redacted, and kept behind the dots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from inspect import isclass
from itertools import zip_longest
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from checks.spec import REDACTED, SecretMark


@cache
def _secret_places(model: type[BaseModel]) -> tuple[tuple[str, bool, type[BaseModel] | None], ...]:
    """Where a model has secrets: the option, whether it has several by name, and the model it is made of, if any.

    Of an option made of models, those models have the secrets.
    """
    places: list[tuple[str, bool, type[BaseModel] | None]] = []
    for name, info in model.model_fields.items():
        # By its type and not by its value: one sealed text is a mapping too.
        several = get_origin(info.annotation) is dict
        inner = _model_inside(info.annotation)
        if any(isinstance(mark, SecretMark) for mark in info.metadata):
            places.append((name, several, None))
        elif inner is not None and _secret_places(inner):
            places.append((name, several, inner))
    return tuple(places)


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """The model that an option is made of: itself, or as the items of a list or a mapping."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_inside(part)) is not None), None)


def _map_secrets(model: type[BaseModel], data: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    out = dict(data)
    for name, several, inner in _secret_places(model):
        value = out.get(name)
        if not value:
            continue
        below = change if inner is None else partial(_map_below, inner, change=change)
        if several and isinstance(value, Mapping):
            out[name] = {key: below(part) for key, part in value.items()}
        elif isinstance(value, list):
            out[name] = [below(part) for part in value]
        else:
            out[name] = below(value)
    return out


def _map_below(model: type[BaseModel], data: Any, *, change: Callable[[Any], Any]) -> Any:
    return _map_secrets(model, data, change) if isinstance(data, Mapping) else data


def seal(model: type[BaseModel], data: Mapping[str, Any], encrypt: Callable[[str], str]) -> dict[str, Any]:
    """`data` with every secret option encrypted as {"sealed": ...}; what is sealed already stays."""
    return _map_secrets(model, data, lambda v: v if isinstance(v, Mapping) else {"sealed": encrypt(v)})


def unseal(model: type[BaseModel], data: Mapping[str, Any], decrypt: Callable[[str], str]) -> dict[str, Any]:
    """`data` with every sealed option in clear."""
    return _map_secrets(model, data, lambda v: decrypt(v["sealed"]) if isinstance(v, Mapping) else v)


def redact(model: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` as it may be shown: every secret option replaced by dots."""
    return _map_secrets(model, data, lambda _: REDACTED)


def keep_secrets(model: type[BaseModel], data: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """`data`, where dots stand for a secret, with what `before` has in that place; models in a list go by their name.

    Dots that stand for nothing stay; `stands_for_nothing` finds them.
    """
    out = dict(data)
    for name, several, inner in _secret_places(model):
        if name not in out:
            continue
        value, old = out[name], before.get(name)
        if several and isinstance(value, Mapping):
            olds = old if isinstance(old, Mapping) else {}
            out[name] = {key: _kept(inner, part, olds.get(key)) for key, part in value.items()}
        elif isinstance(value, list):
            out[name] = keep_rows(inner, value, old)
        else:
            out[name] = _kept(inner, value, old)
    return out


def _kept(model: type[BaseModel] | None, value: Any, before: Any) -> Any:
    if model is None:
        return before if value == REDACTED and before is not None else value
    if not isinstance(value, Mapping):
        return value
    return keep_secrets(model, value, before if isinstance(before, Mapping) else {})


def keep_rows(model: type[BaseModel] | None, rows: list[Any], before: Any) -> list[Any]:
    """`keep_secrets` for a list. One that was renamed is that in its place, where nobody else has the old name."""
    olds = before if isinstance(before, list) else []
    by_name = {_name_of(row): row for row in olds}
    taken = {_name_of(row) for row in rows} - {None}
    kept = []
    for row, same in zip_longest(rows, olds[: len(rows)]):
        in_place = None if _name_of(same) in taken else same
        kept.append(_kept(model, row, by_name.get(_name_of(row), in_place) if _name_of(row) else same))
    return kept


def _name_of(row: Any) -> Any:
    return row.get("name") if isinstance(row, Mapping) else None


def stands_for_nothing(model: type[BaseModel], data: Mapping[str, Any]) -> bool:
    """Whether dots stand where a secret should."""
    found = False

    def look(value: Any) -> Any:
        nonlocal found
        found = found or value == REDACTED
        return value

    _map_secrets(model, data, look)
    return found


def secret_options(model: type[BaseModel]) -> tuple[str, ...]:
    """The names of the options that are sealed as a whole. Others may be made of models that have secrets."""
    return tuple(name for name, _, inner in _secret_places(model) if inner is None)


_TELLS_NOTHING = frozenset(
    {"accept", "accept-language", "accept-encoding", "cache-control", "content-type", "user-agent"}
)


def has_secrets(model: type[BaseModel]) -> bool:
    """Whether any of its options is a secret, or is made of models that have some."""
    return bool(_secret_places(model))


def secrets_in(spec: BaseModel) -> Iterator[tuple[BaseModel, str]]:
    """Every secret of a specification in clear, with the model that has it: the specification or one inside it."""
    for name, several, inner in _secret_places(type(spec)):
        value = getattr(spec, name)
        if several:  # "Accept: text/html" is kept with its like, but hiding it would spoil what is shown
            value = tuple(part for key, part in value.items() if key.lower() not in _TELLS_NOTHING)
        for part in value if isinstance(value, tuple) else (value,):
            if inner is None and part:
                yield spec, str(part)
            elif isinstance(part, BaseModel):
                yield from secrets_in(part)
