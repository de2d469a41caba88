"""Export: a file that says what the database holds, secrets left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from monitoring import publish
from monitoring.channels import set_url
from monitoring.config.apply import Refused, apply_file, plan_file
from monitoring.config.export import export
from monitoring.models import AlertRule, AlertRuleChannel, Channel, Component, ComponentGroup, Monitor, StatusPage
from tests.factories import make_spec

SECRETS = {
    "SHOP_PASSWORD": "hunter2 ${NOT_A_VARIABLE}",
    "SHOP_HEADERS_X_API_KEY": "key: [1]",
    "SHOP_BODY": "1e5",
    "TEAM_SLACK_URL": "json://user:hunter2@127.0.0.1/?to=a",
    "_9_LIVES_URL": "json://127.0.0.1/1",
    "_9_LIVES_URL_2": "json://127.0.0.1/2",
}


@pytest.fixture
def installed(db: None) -> None:
    """An installation that was made by hand in the admin."""
    publish.change(
        spec=make_spec(
            name="Shop",
            username="me",
            password=SECRETS["SHOP_PASSWORD"],
            headers={"X-Api-Key": SECRETS["SHOP_HEADERS_X_API_KEY"]},
            expect=['body contains "${x}"', "latency < 1s"],
            description="one\ntwo: ${three}\n\n  four",
            body=SECRETS["SHOP_BODY"],
            method="POST",
            tags=["no", "1", "2026-01-01"],
        )
    )
    publish.change(spec=make_spec(name="1e9", slug="odd", kind="tcp", address="a:1", send="true"))
    publish.change(spec=make_spec(kind="heartbeat", name="Job", schedule={"cron": "0 3 * * *"}, grace="90m"))
    publish.change(spec=make_spec(name="Gone"), retired=True)
    for name, variable in {
        "team-slack": "TEAM_SLACK_URL",
        "9 lives": "_9_LIVES_URL",
        "9-lives": "_9_LIVES_URL_2",
    }.items():
        channel = Channel(name=name)
        set_url(channel, SECRETS[variable])
        channel.save()
    rule = AlertRule.objects.create(name="Down", match={"tags": ["no"]}, remind_seconds=5400.0)
    AlertRuleChannel.objects.create(rule=rule, channel=Channel.objects.get(name="9 lives"), position=1)
    AlertRuleChannel.objects.create(rule=rule, channel=Channel.objects.get(name="team-slack"), position=0)
    page = StatusPage.objects.create(slug="public", title="Status: $${ok}", default=True)
    group = ComponentGroup.objects.create(page=page, name="Core")
    Component.objects.create(group=group, monitor=Monitor.objects.get(slug="shop"), name="0777")


def test_what_is_exported_applies_to_nothing_at_all(installed: None, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(export())
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    plan = plan_file(path, adopt=True)
    assert [(action.verb, action.details) for action in plan.actions] == [("adopt", ())] * 8
    apply_file(path, adopt=True)
    assert plan_file(path).actions == ()
    assert export() == path.read_text()


def test_no_secret_is_exported_and_each_variable_is_named(installed: None, capsys: Any) -> None:
    call_command("export")
    text = capsys.readouterr().out
    assert "hunter2" not in text
    assert "key: [1]" not in text
    used = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)\}", text))
    named = set(re.findall(r"^#   (\S+)$", text, re.MULTILINE))
    assert used == named == set(SECRETS)


def test_a_monitor_begins_with_what_it_is_and_whom_it_asks(db: None) -> None:
    publish.change(
        spec=make_spec(name="Shop", url="http://a.example/", interval="5m", ip="4", expect=["status == 200"])
    )
    lines = [line.strip(" -").partition(":")[0] for line in export().splitlines()[3:]]
    assert lines == ["name", "kind", "url", "ip", "interval", "expect", "status == 200"]


def test_what_is_retired_is_not_exported(installed: None) -> None:
    assert "Gone" not in export()


def test_an_empty_installation_exports_an_empty_file(db: None) -> None:
    assert export() == "# The configuration as it stands, written by `manage.py export`.\n"


def test_the_secrets_of_steps_are_variables_named_after_their_step(db: None, tmp_path: Path, monkeypatch: Any) -> None:
    steps = [
        {"name": "Sign in", "url": "http://a.example/", "method": "POST", "form": {"password": "hunter2"}},
        {"name": "Cart", "url": "http://a.example/{{x}}", "headers": {"X-Key": "hunter3"}},
    ]
    steps[0]["capture"] = {"x": "json $.x"}
    publish.change(spec=make_spec(kind="flow", name="Shop", steps=steps))
    path = tmp_path / "config.yaml"
    path.write_text(export())
    assert "hunter" not in path.read_text()
    monkeypatch.setenv("SHOP_SIGN_IN_FORM_PASSWORD", "hunter2")
    monkeypatch.setenv("SHOP_CART_HEADERS_X_KEY", "hunter3")
    assert [(a.verb, a.details) for a in plan_file(path, adopt=True).actions] == [("adopt", ())]
    monkeypatch.setenv("SHOP_CART_HEADERS_X_KEY", "hunter4")
    path.write_text(path.read_text().replace("a.example/{{x}}", "b.example/{{x}}"))
    (action,) = plan_file(path, adopt=True).actions
    assert action.details == (
        "steps[1].url: http://a.example/{{x}} → http://b.example/{{x}}",
        "steps[1].headers.X-Key: •••••• → ••••••",
    )


def test_a_wrong_step_is_told_with_its_place(db: None, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "monitors:\n- name: Shop\n  kind: flow\n  steps:\n  - name: a\n    url: ftp://x\n    expect: [statu == 1]\n"
        "  - {name: b, ulr: http://a.example/}\n"
    )
    with pytest.raises(Refused) as refused:
        plan_file(path)
    assert str(refused.value).replace(f"{path}:", "").splitlines() == [
        "6:10: monitors[0].steps[0].url: begins with ftp://; allowed: http:// and https://",
        "7:14: monitors[0].steps[0].expect[0]: unknown subject 'statu'; did you mean status?; in 'statu == 1'",
        "8:5: monitors[0].steps[1].url: is required",
        "8:15: monitors[0].steps[1].ulr: unknown key 'ulr'; did you mean url?",
    ]
