from __future__ import annotations

import pytest
from django.db import connection

from monitoring import channels
from monitoring.channels import ChannelProblem
from monitoring.models import Channel

pytestmark = pytest.mark.django_db

GOOD = "json://user:s3cret-word@127.0.0.1:9/path"


def refused(url: str) -> str:
    with pytest.raises(ChannelProblem) as caught:
        channels.check_url(url)
    return str(caught.value)


def test_a_url_is_sealed_and_read_back():
    channel = Channel(name="ops")
    channels.set_url(channel, f"  {GOOD}\n")
    channel.save()
    assert channels.url_of(Channel.objects.get()) == GOOD
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed_url FROM monitoring_channel")
        assert "s3cret-word" not in cursor.fetchone()[0]


def test_a_refused_url_leaves_the_old_one():
    channel = Channel(name="ops")
    channels.set_url(channel, GOOD)
    with pytest.raises(ChannelProblem):
        channels.set_url(channel, "syslog://")
    assert channels.url_of(channel) == GOOD


@pytest.mark.parametrize(
    "url",
    [
        "mailto://user:password@mail.example.org",
        "mmost://127.0.0.1:9/token",
        "jsons://host.example.org/path?+X-Key=value",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "MAILTO://user:password@mail.example.org",
    ],
)
def test_services_on_the_network_are_accepted(url):
    channels.check_url(url)


@pytest.mark.parametrize(
    "service", ["syslog", "dbus", "qt", "kde", "glib", "gio", "gnome", "macosx", "windows", "file", "blink1", "SysLog"]
)
def test_services_that_act_on_this_machine_are_refused(service):
    assert refused(f"{service}://host") == (
        f"{service.lower()}:// acts on this machine; a channel must reach people over the network"
    )


@pytest.mark.parametrize("key", sorted(channels.DELIVERY_KEYS))
def test_options_that_take_delivery_out_of_our_hands_are_refused_by_name(key):
    assert refused(f"{GOOD}?{key}=1") == (
        f"not allowed in a channel's URL: {key}=; Stillup decides about deadlines and retries"
    )


@pytest.mark.parametrize("key", sorted(channels.FILE_KEYS))
def test_options_that_read_a_local_file_are_refused(key):
    assert refused(f"{GOOD}?{key}=/etc/passwd") == f"not allowed in a channel's URL: {key}=; it names a local file"


@pytest.mark.parametrize(
    "query",
    [
        "OPTIONAL=yes",
        "Optional=yes",
        "optional",
        "a=b&optional=yes",
        "a=b;optional=yes",
        "%6Fptional=yes",
        "%6f%70%74%69%6f%6e%61%6c=yes",
        "%256Fptional=yes",
        "%25256Fptional=yes",
        "%20optional%20=yes",
        " optional=yes",
        "a=b?optional=yes",
        "+optional=yes",
    ],
)
def test_no_spelling_hides_a_refused_option(query):
    assert "not allowed in a channel's URL: optional=" in refused(f"{GOOD}?{query}")


def test_all_refused_options_are_named_at_once():
    assert "rto=, verify=;" in refused(f"{GOOD}?verify=no&rto=3")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "the URL names no service; expected an Apprise URL such as slack://... or mailto://..."),
        ("team-slack", "the URL names no service; expected an Apprise URL such as slack://... or mailto://..."),
        ("nosuch://host", "Apprise knows no service nosuch://"),
        ("https://example.org/hook", "Apprise knows no service https://"),
        ("mailto://host", "E-Mail can't read this URL; its forms are: mailto://{host}, "),
        ("slack://s3cret", "Slack can't read this URL; its forms are: slack://{token_a}/{token_b}/{token_c}, "),
        ("smpp://user:pass@host/1/2", "smpp:// needs a library that is not installed"),
        ("json://host\njson://other", "the URL has a control character or a line break; it must be one line"),
        ("json://" + "x" * 4100, "the URL is 4107 characters long; at most 4096 are allowed"),
    ],
)
def test_what_can_not_be_sent_by_is_refused_in_words(url, problem):
    assert refused(url).startswith(problem)


@pytest.mark.parametrize(
    "url",
    [
        "slack://s3cret-word",
        "mailto://s3cret-word",
        "json://u:s3cret-word@h?optional=1",
        "nosuch://u:s3cret-word@h",
        "syslog://s3cret-word",
        "tgram://s3cret-word",
    ],
)
def test_no_problem_and_no_log_repeats_a_secret(url, caplog):
    caplog.set_level("DEBUG")
    assert "s3cret-word" not in refused(url)
    assert "s3cret-word" not in caplog.text


def test_a_masked_url_shows_the_service_only():
    assert channels.masked(GOOD) == "json://••••••"


def test_recipients_are_counted_when_the_url_is_set():
    channel = Channel(name="ops")
    channels.set_url(channel, "mailto://user:password@127.0.0.1:25/?from=a@example.org&to=b@example.org,c@example.org")
    assert channel.recipients == 2
