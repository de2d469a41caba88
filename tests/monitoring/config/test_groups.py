"""Groups in the configuration file: what they may refer to; and kinds that this machine lacks something for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks.probes import KINDS
from monitoring import publish
from monitoring.config.apply import Refused, apply_file, plan_file
from monitoring.groups import circle
from monitoring.models import Monitor
from tests.factories import make_spec

pytestmark = pytest.mark.django_db
SHOP = "  - {name: Shop, kind: http, url: 'http://127.0.0.1:9/'}\n"


@pytest.fixture
def apply(tmp_path: Path) -> Callable[..., Any]:
    path = tmp_path / "config.yaml"

    def write_and_apply(monitors: str) -> Any:
        path.write_text(f"monitors:\n{monitors}")
        return apply_file(path)

    return write_and_apply


def group(name: str, *members: str) -> str:
    return f"  - {{name: {name}, kind: group, members: [{', '.join(members)}]}}\n"


def problems(apply: Callable[..., Any], monitors: str) -> list[str]:
    with pytest.raises(Refused) as caught:
        apply(monitors)
    return [line.partition("config.yaml:")[2] for line in str(caught.value).splitlines()]


def test_a_group_may_stand_before_its_members_and_in_other_groups(apply: Callable[..., Any]) -> None:
    plan = apply(group("all", "web") + group("web", "shop") + SHOP)
    assert plan.summary() == "3 created"
    assert publish.spec_of(Monitor.objects.get(slug="all")).watches() == ("web",)


def test_a_member_that_is_not_there_is_named(apply: Callable[..., Any]) -> None:
    assert problems(apply, group("web", "shoop") + SHOP) == [
        "2:40: monitors[0].members[0]: unknown monitor 'shoop'; did you mean shop?"
    ]


def test_a_group_that_contains_itself_is_refused_with_the_way(apply: Callable[..., Any]) -> None:
    found = problems(apply, SHOP + group("a", "shop", "b") + group("b", "c") + group("c", "a") + group("d", "d"))
    assert found == [
        "3:37: monitors[1].members: a group can't contain itself: a → b → c → a",
        "6:37: monitors[4].members: a group can't contain itself: d → d",
    ]
    assert not Monitor.objects.exists()


def test_a_circle_through_a_group_of_the_admins_is_found_too(apply: Callable[..., Any]) -> None:
    publish.change(spec=make_spec(kind="group", name="theirs", members=["ours"]), owner="ui")
    assert problems(apply, group("ours", "theirs")) == [
        "2:40: monitors[0].members: a group can't contain itself: ours → theirs → ours"
    ]


def test_the_shortest_way_is_named() -> None:
    members = {"a": ["b", "c"], "b": ["c"], "c": ["a"], "x": ["a"]}
    assert circle("a", members) == ["a", "c", "a"]
    assert circle("x", members) == []


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tcp` needs a module that is not there."""
    monkeypatch.setitem(KINDS, "tcp", replace(KINDS["tcp"], extra="tcp", modules=("no_such_module",)))


MAIL = "  - {name: Mail, kind: tcp, address: '127.0.0.1:25'}\n"
LACKING = "tcp can't be probed here: no_such_module is not installed; install it with: pip install 'stillup[tcp]'"


def test_a_kind_whose_library_is_not_installed_is_refused_where_it_stands(
    apply: Callable[..., Any], no_driver: None
) -> None:
    assert problems(apply, MAIL) == [f"2:24: monitors[0].kind: {LACKING}"]


def test_a_monitor_that_was_there_before_its_library_went_stays_as_it_is(
    apply: Callable[..., Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    apply(MAIL)
    request.getfixturevalue("no_driver")
    assert apply(MAIL + SHOP).summary() == "1 created"
    (tmp_path / "config.yaml").write_text("monitors:\n" + MAIL.replace("25", "26"))
    with pytest.raises(Refused, match="no_such_module is not installed"):
        plan_file(tmp_path / "config.yaml")
    monitor = Monitor.objects.get(slug="mail")
    assert publish.change(monitor, paused=True).paused
    with pytest.raises(publish.NotPossible, match="no_such_module"):
        publish.change(monitor, spec=make_spec(kind="tcp", name="Mail", address="127.0.0.1:26"))
