"""The tests that an expectation's operators make of values: what is of another type than the operand only ever differs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

NUMBER = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?(?![0-9A-Za-z_.])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """`200-299`: both ends belong to it."""

    low: Any
    high: Any


def is_number(value: object) -> bool:
    """Whether it is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_of(value: object) -> float | int | None:
    """The number that a header's value is; None where it is none."""
    match = NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if match is None else float(match[0])


def as_bytes(value: object) -> bytes | None:
    """The bytes of a text; None for what is none."""
    if isinstance(value, bytes):
        return value
    return value.encode(errors="replace") if isinstance(value, str) else None


def same(value: Any, operand: Any) -> bool:
    """Equality of JSON values: true is not 1, and 1 is 1.0."""
    if isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    return bool(value == operand)


def comparison(kind: str, operator: str, operand: Any) -> Callable[[Any], bool]:
    """The test of one value against one operand; a value of another type than the operand only ever differs."""
    if isinstance(operand, str):
        wanted = operand.encode(errors="replace")
        if operator == "!=":
            return lambda value: as_bytes(value) != wanted
        return lambda value: as_bytes(value) == wanted
    if kind == "header":
        inner = numeric(operator, operand)

        def holds(value: Any) -> bool:
            number = number_of(value)
            return number is not None and inner(number)

        return holds
    if not isinstance(operand, Range) and operator in ("==", "!=", "in"):
        return (lambda v: not same(v, operand)) if operator == "!=" else (lambda v: same(v, operand))
    inner = numeric(operator, operand)
    return lambda value: is_number(value) and inner(value)


def compared_pair(operator: str, share: float) -> Callable[[Any], bool]:
    """The test of a pair: a value, and what a share of which it is compared with."""
    compare = {"<": lt, "<=": le, ">": gt, ">=": ge}[operator]
    return lambda pair: is_number(pair[0]) and compare(pair[0], share * pair[1])


def numeric(operator: str, operand: Any) -> Callable[[Any], bool]:
    """The test of one number against one operand."""
    if isinstance(operand, Range):
        low, high = operand.low, operand.high
        return lambda value: low <= value <= high
    tests: dict[str, Callable[[Any], bool]] = {
        "==": lambda value: value == operand,
        "in": lambda value: value == operand,
        "!=": lambda value: value != operand,
        "<": lambda value: value < operand,
        "<=": lambda value: value <= operand,
        ">": lambda value: value > operand,
        ">=": lambda value: value >= operand,
    }
    return tests[operator]
