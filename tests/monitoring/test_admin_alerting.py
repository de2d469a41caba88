from __future__ import annotations

import pytest
from django.test import Client

from checks import clock
from monitoring import channels
from monitoring.models import AlertRule, AlertRuleChannel, Channel, Incident, Notification, Owner

pytestmark = pytest.mark.django_db

CHANNELS, RULES = "/admin/monitoring/channel/", "/admin/monitoring/alertrule/"
URL = "json://me:s3cret-word@127.0.0.1:9/hook"


@pytest.fixture
def page(published_to_sqlite, operator_client: Client) -> Client:
    return operator_client


def make_channel(name="ops", **fields) -> Channel:
    channel = Channel(name=name, **fields)
    channels.set_url(channel, URL)
    channel.save()
    return channel


def errors(answer) -> dict:
    return {name: list(found) for name, found in answer.context["adminform"].form.errors.items()}


def test_a_channel_is_saved_sealed_and_never_shown_again(page):
    answer = page.post(f"{CHANNELS}add/", {"name": "ops", "url": URL, "fallback": "on"})
    assert answer.status_code == 302, errors(answer)
    channel = Channel.objects.get()
    assert channels.url_of(channel) == URL
    assert (channel.owner, channel.fallback) == ("ui", True)
    for address in (CHANNELS, f"{CHANNELS}{channel.pk}/change/"):
        body = page.get(address).content.decode()
        assert "s3cret-word" not in body
        assert channel.sealed_url not in body
        assert "json" in body


def test_a_url_that_was_not_typed_again_is_kept(page):
    channel = make_channel()
    page.post(f"{CHANNELS}{channel.pk}/change/", {"name": "operations", "url": ""})
    channel.refresh_from_db()
    assert (channel.name, channels.url_of(channel)) == ("operations", URL)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "a channel needs a URL"),
        ("syslog://", "syslog:// acts on this machine"),
        ("json://h?%72etry=5", "not allowed in a channel&#x27;s URL: retry="),
        ("slack://typed-s3cret", "Slack can&#x27;t read this URL"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused_in_words_and_not_repeated(page, url, problem):
    answer = page.post(f"{CHANNELS}add/", {"name": "ops", "url": url})
    body = answer.content.decode()
    assert answer.status_code == 200
    assert problem in body
    assert "typed-s3cret" not in body
    assert not Channel.objects.exists()


def test_a_channel_of_the_file_is_read_only_and_can_be_tested(page):
    channel = make_channel(owner=Owner.FILE)
    address = f"{CHANNELS}{channel.pk}"
    body = page.get(f"{address}/change/").content.decode()
    assert "This is kept in the configuration file" in body
    assert 'name="url"' not in body
    assert f'action="{address}/test/"' in body
    assert page.post(f"{address}/change/", {"name": "mine", "url": ""}).status_code == 403
    assert page.post(f"{address}/delete/", {"post": "yes"}).status_code == 403


def test_a_test_message_is_queued_on_the_way_that_alerts_take(page):
    channel = make_channel()
    answer = page.post(f"{CHANNELS}{channel.pk}/test/", follow=True)
    message = Notification.objects.get()
    assert (message.event, message.status, message.channel) == ("test", "pending", channel)
    assert answer.redirect_chain == [(f"/admin/monitoring/notification/{message.pk}/change/", 302)]
    body = answer.content.decode()
    assert "A test message to ops is on its way" in body
    assert "Pending" in body
    assert page.get(f"{CHANNELS}{channel.pk}/test/").status_code == 405
    assert Notification.objects.count() == 1


def test_a_broken_channel_says_since_when_and_why(page):
    make_channel(broken_since=clock.utcnow(), last_error="404: no such hook")
    assert "404: no such hook" in page.get(CHANNELS).content.decode()


def test_a_channel_sealed_with_another_key_is_shown_as_that(page):
    Channel.objects.create(name="old", sealed_url="gAAAAAnonsense")
    assert "sealed with another key" in page.get(CHANNELS).content.decode()


def rule_data(*told: Channel, **values) -> dict:
    return {"name": "Production", "when": "down", "notify": [str(c.pk) for c in told], **values}


def test_a_rule_is_written_as_lists_and_a_duration(page, make_monitor):
    make_monitor(name="Shop")
    ops, team = make_channel("ops"), make_channel("team")
    answer = page.post(
        f"{RULES}add/",
        rule_data(ops, team, tags="prod web", monitors=["shop"], kinds=["http", "tcp"], remind="1h"),
    )
    assert answer.status_code == 302, errors(answer)
    rule = AlertRule.objects.get()
    assert rule.match == {"tags": ["prod", "web"], "monitors": ["shop"], "kinds": ["http", "tcp"]}
    assert (rule.remind_seconds, rule.owner) == (3600.0, "ui")
    assert list(rule.channels.order_by("name")) == [ops, team]
    body = page.get(f"{RULES}{rule.pk}/change/").content.decode()
    assert 'value="prod web"' in body
    assert 'value="1h"' in body


def test_a_rule_for_everything_has_an_empty_match(page):
    page.post(f"{RULES}add/", rule_data(make_channel()))
    assert AlertRule.objects.get().match == {}
    assert "every monitor" in page.get(RULES).content.decode()


def test_a_rule_that_is_opened_and_saved_stays_as_it_was(page):
    ops = make_channel()
    rule = AlertRule.objects.create(name="Production", match={"monitors": ["long-gone"]}, remind_seconds=90.0)
    AlertRuleChannel.objects.create(rule=rule, channel=ops)
    page.post(f"{RULES}{rule.pk}/change/", rule_data(ops, monitors=["long-gone"], remind="90s"))
    rule.refresh_from_db()
    assert (rule.match, rule.remind_seconds) == ({"monitors": ["long-gone"]}, 90.0)
    assert list(rule.channels.all()) == [ops]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"remind": "soon"}, "remind"),
        ({"remind": "5s"}, "remind"),
        ({"notify": []}, "notify"),
        ({"kinds": ["x"]}, "kinds"),
    ],
)
def test_a_rule_that_is_wrong_is_refused_at_its_field(page, values, field):
    answer = page.post(f"{RULES}add/", {**rule_data(make_channel()), **values})
    assert list(errors(answer)) == [field]
    assert not AlertRule.objects.exists()


def test_a_rule_of_the_file_is_read_only(page):
    rule = AlertRule.objects.create(name="Production", owner=Owner.FILE, match={"tags": ["prod"]})
    AlertRuleChannel.objects.create(rule=rule, channel=make_channel())
    body = page.get(f"{RULES}{rule.pk}/change/").content.decode()
    assert "This is kept in the configuration file" in body
    assert "tags prod" in body
    assert 'name="tags"' not in body
    assert page.post(f"{RULES}{rule.pk}/change/", rule_data()).status_code == 403
    assert rule.channels.count() == 1


def message(status: str, **fields) -> Notification:
    now = clock.utcnow()
    about = Incident.objects.create(monitor_name="Shop", cause="down", opened_at=now, detected_at=now, resolved_at=now)
    defaults = {"incident": about, "channel_name": "ops", "event": "down", "next_attempt_at": now, "created_at": now}
    return Notification.objects.create(key=f"down:{status}", status=status, **{**defaults, **fields})


def test_what_was_given_up_can_be_tried_once_more_and_says_that_it_may_be_a_repeat(page):
    row = message("dead", channel=make_channel(), attempts=9, note="404")
    address = f"/admin/monitoring/notification/{row.pk}"
    assert f'action="{address}/again/"' in page.get(f"{address}/change/").content.decode()
    page.post(f"{address}/again/")
    row.refresh_from_db()
    assert (row.status, row.in_doubt, row.attempts) == ("pending", True, 9)


def test_what_was_given_up_can_be_put_aside(page):
    row = message("dead", note="404")
    page.post(f"/admin/monitoring/notification/{row.pk}/aside/")
    row.refresh_from_db()
    assert (row.status, row.note) == ("held", "put aside by root; before: 404")


@pytest.mark.parametrize("status", ["pending", "sending", "sent", "held"])
def test_only_what_was_given_up_can_be_touched(page, status):
    row = message(status, channel=make_channel())
    address = f"/admin/monitoring/notification/{row.pk}"
    assert "/again/" not in page.get(f"{address}/change/").content.decode()
    page.post(f"{address}/again/")
    page.post(f"{address}/aside/")
    row.refresh_from_db()
    assert row.status == status


def test_notifications_are_neither_added_nor_deleted_nor_edited_by_hand(page):
    row = message("sent")
    assert page.get("/admin/monitoring/notification/add/").status_code == 403
    assert page.post(f"/admin/monitoring/notification/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    page.post(f"/admin/monitoring/notification/{row.pk}/change/", {"status": "pending", "channel_name": "x"})
    row.refresh_from_db()
    assert (row.status, row.channel_name) == ("sent", "ops")
