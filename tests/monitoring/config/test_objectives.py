"""Objectives in the configuration file: applied, changed, refused, exported, left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitoring import publish
from monitoring.config.apply import Refused, apply_file, plan_file
from monitoring.config.export import export
from monitoring.models import Objective

SHOP = "monitors: [{name: Shop, kind: http, url: 'http://127.0.0.1:9/'}]\n"
FULL = f"""{SHOP}
objectives:
  - {{name: There, monitor: shop, target: 99.9, window: 30d}}
  - {{name: Fast, monitor: shop, target: 95, minutes: "p95<0.3s", timezone: Europe/Riga}}
"""


@pytest.fixture
def apply(db: None, tmp_path: Path) -> Any:
    path = tmp_path / "config.yaml"

    def write_and_apply(text: str, **options: Any) -> Any:
        path.write_text(text)
        return apply_file(path, **options)

    return write_and_apply


def test_objectives_follow_the_file(apply, tmp_path):
    assert [action.verb for action in apply(FULL).actions] == ["create"] * 3
    there, fast = Objective.objects.get(name="There"), Objective.objects.get(name="Fast")
    assert (there.monitor.slug, there.target, there.window_seconds, there.minutes) == ("shop", 99.9, 30 * 86_400, "")
    assert (fast.minutes, fast.timezone, fast.window_seconds) == ("p95 < 300ms", "Europe/Riga", None)
    assert plan_file(tmp_path / "config.yaml").actions == ()

    changed = apply(FULL.replace("99.9", "99.95").replace(", window: 30d", ""))
    (action,) = changed.actions
    assert action.details == ("target: 99.9 → 99.95", "window: 30d → none")

    assert [(a.verb, a.section) for a in apply(SHOP).actions] == [("delete", "objectives")] * 2
    assert not Objective.objects.exists()


def test_what_is_exported_applies_to_nothing(apply, tmp_path):
    apply(FULL)
    path = tmp_path / "exported.yaml"
    path.write_text(export())
    assert plan_file(path).actions == ()
    assert "window: 30d" in export() or "window: 4w 2d" in export()


def test_an_objective_may_be_about_a_monitor_of_the_admin_and_is_not_taken_over_unasked(apply, make_monitor):
    theirs = make_monitor(name="Theirs")
    Objective.objects.create(name="Mine", monitor=theirs, target=99)
    text = SHOP + "objectives: [{name: Mine, monitor: theirs, target: 90}]"
    with pytest.raises(Refused, match="the admin owns the objective with the name 'Mine'"):
        apply(text)
    assert [action.verb for action in apply(text, adopt=True).actions] == ["create", "adopt"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("name: A, monitor: shop, target: 100", "99.9999"),
        ("name: A, monitor: shop, target: 99.9%", "number"),
        ("name: A, monitor: shop", "target"),
        ("name: A, monitor: shopp, target: 99", "did you mean shop?"),
        ("name: A, monitor: shop, target: 99, window: 6d", "1w to 90d"),
        ("name: A, monitor: shop, target: 99, minutes: p95 > 1s", "not a promise about minutes"),
        ("name: A, monitor: shop, target: 99, timezone: Europe/Rga", "unknown time zone"),
        ("name: A, monitor: shop, target: 99, windows: 30d", "did you mean window?"),
    ],
)
def test_what_can_not_be_promised_is_refused_with_its_place(apply, line, problem):
    with pytest.raises(Refused, match=r"config\.yaml:3:\d+: ") as refused:
        apply(f"{SHOP}objectives:\n  - {{{line}}}\n")
    assert problem in str(refused.value)
    assert not Objective.objects.exists()


def test_two_of_one_name_are_refused(apply):
    with pytest.raises(Refused, match="another objective has the name 'There', in line 4"):
        apply(FULL.replace("name: Fast", "name: There"))


def test_the_objective_of_a_monitor_that_is_deleted_goes_with_it(apply, make_monitor, committed):
    shop = make_monitor(name="Gone")
    Objective.objects.create(name="There", monitor=shop, target=99)
    with committed():
        publish.delete(shop)
    assert not Objective.objects.exists()
