"""What the tests of one `xdist_group` share, such as an installation, ends with the last of them in this process.

It would take its time from all other tests until the end: an installation that is idle looks around every few moments.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

_endings: dict[str, list[Callable[[], None]]] = {}


def share(group: str, end: Callable[[], None]) -> None:
    """Have `end` called once no test of the group is left."""
    _endings.setdefault(group, []).append(end)


def end_of(groups: set[str]) -> None:
    """End what these groups shared."""
    for group in groups:
        while endings := _endings.get(group):
            endings.pop()()


def end_of_all() -> None:
    """End whatever is shared still."""
    end_of(set(_endings))


def groups_of(item: pytest.Item | None) -> set[str]:
    """The groups that a test belongs to."""
    return set() if item is None else {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
