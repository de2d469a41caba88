"""Applying a file: what is created, changed, retired and revived, and who owns it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from django.core.management import call_command
from django.db import IntegrityError

from checks.store.schema import monitor_state
from monitoring import publish
from monitoring.channels import set_url, url_of
from monitoring.config import apply as applying
from monitoring.config.apply import Refused, apply_file, plan_file
from monitoring.config.plan import Plan
from monitoring.models import AlertRule, Channel, Component, ConfigurationFile, Monitor, StatusPage
from monitoring.publish import spec_of
from tests.factories import make_spec

SHOP = "  - {name: Shop, kind: http, url: 'http://127.0.0.1:9/'}\n"
MAIL = "  - {name: Mail, kind: tcp, address: '127.0.0.1:25'}\n"
FULL = f"""
defaults: {{interval: 30s}}
monitors:
{SHOP}{MAIL}
  - {{name: Backup, kind: heartbeat, schedule: {{every: 1h}}, tags: [jobs]}}
channels:
  - {{name: hook, url: 'json://127.0.0.1:9/token'}}
  - {{name: rest, url: 'json://127.0.0.1:9/', fallback: true}}
alert_rules:
  - {{name: Down, notify: [rest, hook, rest], match: {{tags: [jobs]}}, remind: 1h}}
status_pages:
  - slug: public
    title: Status
    groups:
      - name: Core
        components: [{{monitor: shop, name: Website, description: Buy here.}}, {{monitor: backup, name: Backup}}]
      - {{name: Empty}}
"""

Apply = Callable[..., Plan]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.fixture
def apply(db: None, path: Path) -> Apply:
    """Write a file and apply it."""

    def write_and_apply(text: str, **options: Any) -> Plan:
        path.write_text(text)
        return apply_file(path, **options)

    return write_and_apply


def steps(plan: Plan) -> list[str]:
    return [f"{action.verb} {action.key}" for action in plan.actions]


def test_a_first_file_creates_everything_it_says(apply: Apply) -> None:
    plan = apply(FULL)
    assert plan.summary() == "7 created"
    shop = Monitor.objects.get(slug="shop")
    assert (shop.name, shop.kind, shop.owner, spec_of(shop).interval) == ("Shop", "http", "file", 30.0)
    hook, rest = Channel.objects.get(name="hook"), Channel.objects.get(name="rest")
    assert url_of(hook) == "json://127.0.0.1:9/token"
    assert "token" not in hook.sealed_url
    assert (hook.fallback, rest.fallback, rest.owner) == (False, True, "file")
    rule = AlertRule.objects.get()
    assert (rule.when, rule.match, rule.remind_seconds, rule.owner) == ("down", {"tags": ["jobs"]}, 3600.0, "file")
    assert [c.name for c in rule.channels.order_by("alertrulechannel__position")] == ["rest", "hook"]
    page = StatusPage.objects.get()
    assert (page.slug, page.default, page.owner) == ("public", True, "file")
    assert [group.name for group in page.groups.all()] == ["Core", "Empty"]
    shown = Component.objects.filter(group__page=page).values_list("monitor__slug", "name", "description")
    assert list(shown) == [("shop", "Website", "Buy here."), ("backup", "Backup", "")]


def test_the_same_file_again_changes_nothing(apply: Apply) -> None:
    apply(FULL)
    before = list(Monitor.objects.values_list("slug", "revision", "updated_at"))
    plan = apply(FULL)
    assert (plan.actions, plan.drifted, plan.hints) == ((), (), ())
    assert plan.text() == "  Nothing to do."
    assert list(Monitor.objects.values_list("slug", "revision", "updated_at")) == before


def test_a_plan_changes_nothing_and_says_what_would(apply: Apply, path: Path, capsys: Any) -> None:
    apply(FULL)
    path.write_text(
        FULL.replace("30s", "20s")
        .replace(MAIL, "  - {name: Post, kind: tcp, address: '127.0.0.1:25'}\n")
        .replace("9/token", "9/other")
        .replace("monitor: backup", "monitor: post")
        .replace("[jobs]}}, remind", "[nobody]}, remind")
        .replace("match: {tags: [jobs]}", "match: {tags: [nobody]}")
    )
    call_command("plan", str(path))
    assert capsys.readouterr().out == (
        f"To apply {path}:\n"
        "  ~ change channel hook\n"
        "      url: •••••• → ••••••\n"
        "  ~ change monitor shop\n"
        "      interval: 30s → 20s\n"
        "  + create monitor post\n"
        "  - retire monitor mail\n"
        "  ~ change alert rule Down\n"
        '      match.tags: ["jobs"] → ["nobody"]\n'
        "  ~ change status page public\n"
        "      groups[0].components[1].monitor: backup → post\n"
        "\n"
        "Note:\n"
        "  monitor post watches what mail watched: if it was renamed, give it `slug: mail` to keep its history\n"
        "  alert rule Down matches no monitor\n"
    )
    assert not Monitor.objects.filter(slug="post").exists()
    with pytest.raises(SystemExit) as caught:
        call_command("plan", str(path), "--exit-code")
    assert caught.value.code == 2
    call_command("apply", str(path))
    assert "Applied" in capsys.readouterr().out
    call_command("plan", str(path), "--exit-code")


def test_an_interval_of_a_few_seconds_is_remarked_on(apply: Apply) -> None:
    plan = apply(FULL.replace("30s", "5s"))
    told = "is probed every 5s: less than 10s is a burden to many targets"
    assert plan.hints == (f"monitor shop {told}", f"monitor mail {told}")


def test_what_looks_like_a_secret_in_an_address_is_remarked_on_and_never_printed(apply: Apply) -> None:
    shop = "monitors:\n  - {name: Shop, kind: http, url: 'http://127.0.0.1:9/?a=b&token=hunter2', headers: {X-Token: '${T}'}}\n"
    told = "monitor shop has what looks like a secret in url, in clear; headers and passwords are sealed"
    plan = apply(shop.replace("${T}", "hunter3"))
    assert (plan.hints, "hunter" in plan.text()) == ((told,), False)
    plan = apply(shop.replace("${T}", "hunter3").replace("hunter2", "hunter4"))
    assert plan.actions[0].details == (
        "url: http://127.0.0.1:9/?a=b&token=•••••• → http://127.0.0.1:9/?a=b&token=••••••",
    )
    assert apply("monitors:\n  - {name: Shop, kind: http, url: 'http://127.0.0.1:9/?page=2'}\n").hints == ()


def test_what_left_the_file_is_retired_and_comes_back_with_its_slug(apply: Apply) -> None:
    apply(f"monitors:\n{SHOP}{MAIL}")
    uuid = Monitor.objects.get(slug="mail").uuid
    assert steps(apply(f"monitors:\n{SHOP}")) == ["retire mail"]
    mail = Monitor.objects.get(slug="mail")
    assert mail.retired_at is not None
    assert steps(apply(f"monitors:\n{SHOP}")) == []
    assert steps(apply(f"monitors:\n{SHOP}{MAIL}")) == ["revive mail"]
    mail.refresh_from_db()
    assert (mail.retired_at, mail.uuid, mail.revision) == (None, uuid, 3)


def test_pruning_deletes_what_left_and_what_had_left(apply: Apply) -> None:
    apply(f"monitors:\n{SHOP}{MAIL}")
    apply(f"monitors:\n{SHOP}")
    assert steps(apply("monitors: []\n", prune=True)) == ["delete mail", "delete shop"]
    assert not Monitor.objects.exists()


def test_channels_rules_and_pages_that_left_are_deleted(apply: Apply) -> None:
    apply(FULL)
    assert steps(apply(f"monitors:\n{SHOP}")) == [
        "delete hook", "delete rest", "change shop", "retire backup", "retire mail", "delete Down", "delete public",
    ]  # fmt: skip
    assert not Channel.objects.exists()
    assert not AlertRule.objects.exists()
    assert not StatusPage.objects.exists()


def test_what_the_admin_owns_is_left_alone_and_may_be_referred_to(apply: Apply) -> None:
    publish.change(spec=make_spec(name="Mine", slug="mine"))
    channel = Channel(name="theirs")
    set_url(channel, "json://127.0.0.1/")
    channel.save()
    apply(
        f"monitors:\n{SHOP}alert_rules:\n  - {{name: Down, notify: [theirs], match: {{monitors: [mine]}}}}\n"
        "status_pages:\n  - {slug: a, title: A, groups: [{name: B, components: [{monitor: mine, name: C}]}]}\n"
    )
    apply("monitors: []\n")
    mine = Monitor.objects.get(slug="mine")
    assert (mine.owner, mine.retired_at) == ("ui", None)
    assert Channel.objects.get().owner == "ui"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"monitors:\n{SHOP}", "2:12: monitors[0].name: the admin owns the monitor with the slug 'shop'; "),
        (
            "channels:\n  - {name: hook, url: 'json://127.0.0.1/'}\n",
            "2:12: channels[0].name: the admin owns the channel with the name 'hook'; ",
        ),
        (
            "status_pages:\n  - {slug: public, title: x}\n",
            "2:12: status_pages[0].slug: the admin owns the status page with the slug 'public'; ",
        ),
        (
            "alert_rules:\n  - {name: Down, notify: [hook]}\n",
            "2:12: alert_rules[0].name: the admin owns the alert rule with the name 'Down'; ",
        ),
    ],
)
def test_what_the_admin_owns_is_taken_over_only_when_asked_to(apply: Apply, path: Path, text: str, message: str):
    publish.change(spec=make_spec(name="Shop"))
    channel = Channel(name="hook")
    set_url(channel, "json://127.0.0.1/theirs")
    channel.save()
    AlertRule.objects.create(name="Down")
    StatusPage.objects.create(slug="public", title="Theirs", default=True)
    with pytest.raises(Refused) as caught:
        apply(text)
    assert str(caught.value) == f"{path}:{message}rename one of them, or apply with --adopt"
    plan = apply(text, adopt=True)
    assert [action.verb for action in plan.actions] == ["adopt"]
    assert plan_file(path).actions == ()


def test_the_admins_page_stays_at_the_root_address(apply: Apply) -> None:
    StatusPage.objects.create(slug="theirs", title="Theirs", default=True)
    apply("status_pages:\n  - {slug: ours, title: Ours}\n")
    assert list(StatusPage.objects.filter(default=True).values_list("slug", flat=True)) == ["theirs"]
    with pytest.raises(
        Refused, match="only one page can stand at the root address, and the admin's page 'theirs' does"
    ):
        apply("status_pages:\n  - {slug: ours, title: Ours, default: true}\n")
    with pytest.raises(Refused, match="the admin's page 'theirs' does"):
        apply("status_pages:\n  - {slug: ours, title: Ours, default: true}\n", adopt=True)


def test_pages_can_change_places_at_the_root_address(apply: Apply) -> None:
    apply("status_pages:\n  - {slug: a, title: A, default: true}\n  - {slug: b, title: B}\n")
    apply("status_pages:\n  - {slug: a, title: A}\n  - {slug: b, title: B, default: true}\n")
    assert list(StatusPage.objects.filter(default=True).values_list("slug", flat=True)) == ["b"]
    apply("status_pages:\n  - {slug: c, title: C}\n")
    assert list(StatusPage.objects.values_list("slug", "default")) == [("c", True)]


def test_what_other_hands_changed_is_shown_as_drift_and_set_right(apply: Apply, path: Path) -> None:
    apply(FULL)
    shop = Monitor.objects.get(slug="shop")
    publish.change(shop, spec=spec_of(shop).model_copy(update={"interval": 5.0}))
    Channel.objects.filter(name="rest").update(fallback=False)
    AlertRule.objects.all().delete()
    plan = plan_file(path)
    assert plan.drifted == ("channel rest", "monitor shop", "alert rule Down is gone")
    assert "Changed outside the file since it was applied:\n  channel rest\n" in plan.text()
    assert steps(plan) == ["change rest", "change shop", "create Down"]
    apply(FULL)
    assert plan_file(path).drifted == ()


def test_a_pause_is_no_drift(apply: Apply, path: Path) -> None:
    apply(FULL)
    publish.change(Monitor.objects.get(slug="shop"), paused=True)
    assert plan_file(path).drifted == ()
    apply(FULL.replace("30s", "20s"))
    assert Monitor.objects.get(slug="shop").paused


def test_a_row_that_can_not_be_read_is_written_anew(apply: Apply) -> None:
    apply(FULL)
    Monitor.objects.filter(slug="shop").update(spec={"kind": "http"})
    Channel.objects.filter(name="hook").update(sealed_url="sealed with another key")
    AlertRule.objects.update(match={"colour": "red"})
    plan = apply(FULL)
    assert steps(plan) == ["change hook", "change shop", "change Down"]
    assert plan.actions[0].details == ("what is stored can't be read",)
    assert apply(FULL).actions == ()


def test_an_apply_that_fails_in_the_middle_changes_nothing(apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(f"monitors:\n{SHOP}")

    def fail(*_: Any) -> None:
        raise IntegrityError("the last step fails")

    monkeypatch.setattr(applying, "_save_page", fail)
    with pytest.raises(IntegrityError):
        apply(FULL.replace("name: Shop", "name: Shop, slug: store").replace("monitor: shop", "monitor: store"))
    assert list(Monitor.objects.values_list("slug", "retired_at")) == [("shop", None)]
    assert not Channel.objects.exists()


def test_a_cautious_apply_does_not_retire_most_of_what_is_watched(apply: Apply) -> None:
    four = "".join(f"  - {{name: M{n}, kind: tcp, address: 'a:{n}'}}\n" for n in range(1, 5))
    one, two = four.splitlines(keepends=True)[:1], four.splitlines(keepends=True)[:2]
    apply(f"monitors:\n{four}")
    with pytest.raises(Refused, match="would retire 3 of 4 monitors; if that is meant, apply it by hand"):
        apply(f"monitors:\n{''.join(one)}", cautious=True)
    assert not Monitor.objects.exclude(retired_at=None).exists()
    apply(f"monitors:\n{''.join(two)}", cautious=True)
    assert Monitor.objects.exclude(retired_at=None).count() == 2
    apply("monitors: []\n", cautious=True)
    assert Monitor.objects.exclude(retired_at=None).count() == 4


def test_what_was_applied_is_remembered_without_its_secrets(apply: Apply, path: Path) -> None:
    apply(FULL)
    remembered = ConfigurationFile.objects.get()
    assert remembered.path == str(path)
    assert remembered.applied_at is not None
    assert set(remembered.digests) == {"channels", "monitors", "alert_rules", "objectives", "status_pages"}
    assert "token" not in str(remembered.digests)


def test_what_is_applied_is_published(path: Path, published_to: sa.Engine, committed: Any) -> None:
    path.write_text(FULL)
    with committed():
        apply_file(path)
    path.write_text(f"monitors:\n{SHOP}")
    with committed():
        apply_file(path)
    with published_to.connect() as conn:
        rows = conn.execute(sa.select(monitor_state.c.slug, monitor_state.c.removed).order_by(monitor_state.c.slug))
        assert [tuple(row) for row in rows] == [("backup", "retired"), ("mail", "retired"), ("shop", None)]
