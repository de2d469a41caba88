"""The options of a model as people read about them: type, default, limits, sentence. For problems and for the docs."""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, PlainSerializer
from pydantic.fields import FieldInfo

from checks.spec import QUORUM, SLUG, TAG, WEB_ADDRESS, MonitorSpec, ProbedSpec, SecretMark
from checks.units import format_duration

# What a pattern wants, in words.
PATTERNS = {
    SLUG: "a-z, 0-9 and single hyphens, as in my-shop",
    TAG: "a-z, 0-9 and _ . : / -, as in prod",
    QUORUM: "any, all, majority, or a number of locations",
    WEB_ADDRESS: "an address that begins with http:// or https://",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a value may be."""

    shape: Literal["text", "number", "true or false", "duration", "list", "mapping", "choice"]
    lowest: float | None = None
    highest: float | None = None
    shortest: int | None = None  # characters of a text, items of a list
    longest: int | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    item: Value | None = None  # of a list or a mapping
    model: type[BaseModel] | None = None  # of what has options itself

    def words(self) -> str:
        """The type: `duration`, `list of text`, `one of GET, HEAD`."""
        match self.shape:
            case "choice":
                return f"one of {', '.join(self.choices)}" if len(self.choices) > 1 else self.choices[0]
            case "list" | "mapping" if self.item is not None:
                return f"{self.shape} of {self.item.words()}"
            case _:
                return self.shape

    def range(self) -> str:
        """The allowed range in words, `1s to 1d`; empty where anything goes."""
        if self.lowest is not None or self.highest is not None:
            low, high = (self._bound(bound) for bound in (self.lowest, self.highest))
            return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        unit = {"list": "items", "mapping": "entries"}.get(self.shape, "characters")
        if self.longest is not None and self.shortest:
            return f"{self.shortest} to {self.longest:,} {unit}"
        if self.longest is not None:
            return f"at most {self.longest:,} {unit}"
        return f"at least {self.shortest} {unit}" if self.shortest else ""

    def _bound(self, bound: float | None) -> str:
        if bound is None:
            return ""
        return format_duration(bound) if self.shape == "duration" else f"{bound:,g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a model. `default` is meaningless where it is required."""

    name: str
    help: str
    required: bool
    default: Any
    value: Value


def options(model: type[BaseModel]) -> dict[str, Option]:
    """The options of a model, in the order in which people read them."""
    return {
        name: Option(
            name=name,
            help=sentence_of(model, name),
            required=info.is_required(),
            default=info.get_default(call_default_factory=True),
            value=_value(info.annotation, info.metadata),
        )
        for name, info in _in_order(model)
    }


def sentence_of(model: type[BaseModel], name: str) -> str:
    """What the code says below an option, on one line. Read when somebody asks: nothing that only runs needs it.

    A model that was made at run time brings its sentences along.
    """
    if said := model.model_fields[name].description:
        return said
    for cls in model.__mro__[: model.__mro__.index(BaseModel)]:
        if said := _sentences(cls.__module__).get((cls.__name__, name)):
            return said
    return ""


@cache
def _sentences(module: str) -> Mapping[tuple[str, str], str]:
    """The strings that stand below annotated names of the classes of a module."""
    found: dict[tuple[str, str], str] = {}
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    for cls in (part for part in tree.body if isinstance(part, ast.ClassDef)):
        for option, below in pairwise(cls.body):
            match option, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[cls.name, name] = " ".join(text.split())
    return found


def _in_order(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Of a monitor: what it is called, whom it asks, what else its kind alone has, what kinds share, when it asks."""
    names = list(model.model_fields)
    if issubclass(model, MonitorSpec):
        last = ProbedSpec.model_fields
        own = [name for cls in model.__mro__ for name in inspect.get_annotations(cls) if name not in last]
        first = [*MonitorSpec.model_fields, getattr(model, "target_option", ""), *own, *last]
        names = [name for name in dict.fromkeys(first) if name in model.model_fields]
    return ((name, model.model_fields[name]) for name in names)


def find(model: type[BaseModel], path: tuple[str | int, ...]) -> Value | None:
    """What the value at a path below a model may be; None where the model knows of no such place."""
    value: Value | None = Value(shape="mapping", model=model)
    for part in path:
        if value is None:
            return None
        if value.model is not None and isinstance(part, str):
            option = options(value.model).get(part)
            value = option.value if option else None
        else:
            item = value.item
            value = replace(item, secret=True) if item is not None and value.secret else item
    return value


def _value(annotation: Any, metadata: list[Any]) -> Value:
    """Reads an annotation, with what pydantic took off it as `metadata`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _value(annotation.__origin__, [*annotation.__metadata__, *metadata])
    if origin in (Union, types.UnionType):
        # "or nothing" is the business of the default.
        arms = [a for a in get_args(annotation) if a is not type(None) and get_args(a) != ("",)]
        return _value(arms[0], metadata)
    facts = _shape(annotation, origin)
    for mark in _flat(metadata):
        facts |= _fact(mark)
    return Value(**facts)


def _fact(mark: Any) -> dict[str, Any]:
    """What one annotation says."""
    match mark:
        case Ge():
            return {"lowest": mark.ge}
        case Le():
            return {"highest": mark.le}
        case MinLen():
            return {"shortest": mark.min_length}
        case MaxLen():
            return {"longest": mark.max_length}
        case SecretMark():
            return {"secret": True}
        case PlainSerializer() if mark.func is format_duration:
            return {"shape": "duration"}
        case _:
            pattern = getattr(mark, "pattern", None)
            return {"pattern": pattern} if isinstance(pattern, str) else {}


def _flat(metadata: list[Any]) -> Iterator[Any]:
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            yield from mark.metadata
        else:
            yield mark


def _shape(annotation: Any, origin: Any) -> dict[str, Any]:
    args = get_args(annotation)
    if origin is Literal:
        return {"shape": "choice", "choices": tuple(str(a) for a in args)}
    if origin in (tuple, list):
        return {"shape": "list", "item": _value(args[0], [])}
    if origin is dict:
        return {"shape": "mapping", "item": _value(args[1], [])}
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return {"shape": "mapping", "model": annotation}
    return {"shape": {bool: "true or false", int: "number", float: "number"}.get(annotation, "text")}
