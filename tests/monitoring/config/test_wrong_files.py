"""Every kind of mistake that a configuration file can hold: its exact message, and nothing changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from checks.options import options
from checks.probes import KINDS, spec_class
from monitoring.config.apply import apply_file
from monitoring.config.document import SECTIONS
from monitoring.models import AlertRule, Channel, ConfigurationFile, Monitor, StatusPage

RUNNING = """
monitors:
  - {name: Shop, kind: http, url: "http://127.0.0.1:9/", tags: [prod]}
  - {name: Mail, kind: tcp, address: "127.0.0.1:25"}
channels:
  - {name: hook, url: "json://127.0.0.1:9/secret-token"}
alert_rules:
  - {name: Down, notify: [hook], match: {tags: [prod]}}
status_pages:
  - {slug: public, title: Status, groups: [{name: Core, components: [{monitor: shop, name: Shop}]}]}
"""

HTTP = "monitors:\n  - name: Shop\n    kind: http\n    url: http://127.0.0.1:9/\n    "
MINIMAL = "monitors:\n  - {name: Shop, kind: http, url: 'http://127.0.0.1:9/'}\n"
BEAT = "monitors:\n  - name: Job\n    kind: heartbeat\n    "
CHANNEL = "channels:\n  - {name: hook, url: 'json://127.0.0.1:9/'}\n"
RULE = f"{CHANNEL}alert_rules:\n  - name: Down\n    "
PAGE = f"{MINIMAL}status_pages:\n  - slug: public\n    title: Status\n    "
ALL_KINDS = ", ".join(KINDS)
OPTIONS_OF_HTTP = ", ".join(options(spec_class("http")))
A_LIST = "expected a list, as in [a, b] or one item a line after a hyphen"
A_MAPPING = "expected a mapping, as in {key: value} or one key a line"

WRONG: dict[str, str] = {
    # The file as a whole.
    "": "1:1: the file is empty",
    "- a\n": f"1:1: expected a mapping with {', '.join(SECTIONS)}; found a list",
    "hello": f"1:1: expected a mapping with {', '.join(SECTIONS)}; found 'hello'",
    "monitor: []\n": "1:1: monitor: unknown section 'monitor'; did you mean monitors?",
    "x: 1\n": "1:1: x: unknown section 'x'; known: defaults, monitors, channels, alert_rules, objectives, status_pages",
    "monitors: {}\n": "1:11: monitors: expected a list, one entry after each hyphen; found a mapping",
    "monitors:\n  name: x\n": "2:3: monitors: expected a list, one entry after each hyphen; found a mapping",
    # YAML itself; tests/checks/test_document.py has the rest.
    "monitors:\n\t- name: x\n": "2:1: a tab stands here; indent with spaces",
    f"{HTTP}url: http://127.0.0.1:8/\n": "5:5: monitors[0].url: the key stands twice, first in line 4",
    f"{HTTP}tags: &t [a]\n": "5:11: monitors[0].tags: anchors are not allowed, found &t; if it is text, quote it",
    f"{HTTP}body: *b\n": "5:11: monitors[0].body: aliases are not allowed; if *b is text, quote it: '*b'",
    f"{HTTP}body: !!python/name:os.system x\n": "5:11: monitors[0].body: tags are not allowed, "
    "found !!python/name:os.system; if it is text, quote it",
    f"{HTTP}bearer: ${{MISSING}}\n": "5:13: monitors[0].bearer: the environment variable MISSING is not set; "
    "set it, or MISSING_FILE to a file that holds it",
    f"{HTTP}bearer: ${{UNREADABLE}}\n": "5:13: monitors[0].bearer: UNREADABLE_FILE names /nowhere/secret, "
    "which can't be read: No such file or directory",
    # Defaults.
    "defaults: {intervall: 5s}\n": "1:12: defaults.intervall: unknown key 'intervall'; did you mean interval?",
    "defaults: {failures: 0}\n": "1:22: defaults.failures: expected 1 to 100; found 0",
    "defaults: 5s\n": "1:11: defaults: expected a mapping with interval, timeout, retry_interval, failures, "
    "successes, locations, quorum; found '5s'",
    # What every monitor has.
    "monitors: [x]\n": "1:12: monitors[0]: expected a mapping with kind, name, slug, description, runbook, tags; "
    "found 'x'",
    "monitors:\n  - name: x\n": "2:5: monitors[0].kind: is required; one of " + ALL_KINDS,
    "monitors:\n  - {name: x, kind: htpp}\n": "2:21: monitors[0].kind: unknown kind 'htpp'; did you mean http?",
    "monitors:\n  - {name: x, kind: ~}\n": "2:21: monitors[0].kind: unknown kind 'nothing'; "
    f"allowed: {ALL_KINDS}",
    "monitors:\n  - {name: x, kind: [http]}\n": "2:21: monitors[0].kind: unknown kind 'a list'; "
    f"allowed: {ALL_KINDS}",
    "monitors:\n  - {name: x, kind: http}\n": "2:5: monitors[0].url: is required",
    "monitors:\n  - {kind: tcp, address: 'a:1'}\n": "2:5: monitors[0].name: is required",
    "monitors:\n  - {name: , kind: tcp, address: 'a:1'}\n": "2:12: monitors[0].name: expected text; found nothing",
    "monitors:\n  - {name: 1.10, kind: tcp, address: 'a:1'}\n": "2:12: monitors[0].name: expected text, "
    'so quote it: "1.10"; found 1.10',
    "monitors:\n  - {name: 日本, kind: tcp, address: 'a:1'}\n": "2:5: monitors[0]: no slug can be made from the name "
    "'日本'; add a slug of a-z, 0-9 and -",
    f"{HTTP}slug: My Shop\n": "5:11: monitors[0].slug: expected a-z, 0-9 and single hyphens, as in my-shop; "
    "found 'My Shop'",
    f'{HTTP}description: "a\\x1bb"\n': "5:18: monitors[0].description: has the control character U+001B at position 2; "
    "only text is allowed",
    f"{HTTP}runbook: wiki/shop\n": "5:14: monitors[0].runbook: expected an address that begins with http:// or "
    "https://; found 'wiki/shop'",
    f"{HTTP}tags: prod\n": f"5:11: monitors[0].tags: {A_LIST}; found 'prod'",
    f"{HTTP}tags: [Prod]\n": "5:12: monitors[0].tags[0]: expected a-z, 0-9 and _ . : / -, as in prod; found 'Prod'",
    "monitors:\n  - {name: a, kind: tcp, address: 'a:1'}\n  - {name: A, kind: tcp, address: 'a:1'}\n": "3:12: "
    "monitors[1].name: another monitor has the slug 'a', in line 2",
    # What probed monitors have.
    f"{HTTP}intervall: 5s\n": "5:5: monitors[0].intervall: unknown key 'intervall'; did you mean interval?",
    f"{HTTP}colour: red\n": f"5:5: monitors[0].colour: unknown key 'colour'; known: {OPTIONS_OF_HTTP}",
    f"{HTTP}interval: 0s\n": "5:15: monitors[0].interval: expected 1s to 1d; found '0s'",
    f"{HTTP}interval: 2d\n": "5:15: monitors[0].interval: expected 1s to 1d; found '2d'",
    f"{HTTP}interval: -5s\n": "5:15: monitors[0].interval: not a duration: '-5s'; "
    "write a number and us, ms, s, m, h, d or w, as in 90s or 1h 30m",
    f"{HTTP}interval: 5 parsecs\n": "5:15: monitors[0].interval: not a duration: '5 parsecs'; "
    "write a number and us, ms, s, m, h, d or w, as in 90s or 1h 30m",
    f"{HTTP}interval: 60\n": "5:15: monitors[0].interval: a duration needs a unit, as in 60s, 5m or 800ms; found 60",
    f"{HTTP}interval: 0.5\n": "5:15: monitors[0].interval: a duration needs a unit, as in 60s, 5m or 800ms; found 0.5",
    f"{HTTP}interval: 1:30\n": "5:15: monitors[0].interval: not a duration: '1:30'; write a number and us, ms, s, m, "
    "h, d or w, as in 90s or 1h 30m (some YAML readers make a number of base 60 of it)",
    f"{HTTP}failures: 0x3\n": "5:15: monitors[0].failures: expected a whole number; "
    "found '0x3' (some YAML readers make a hexadecimal number of it)",
    f"{HTTP}failures: 2.5\n": "5:15: monitors[0].failures: expected a whole number; found 2.5",
    f"{HTTP}failures: 101\n": "5:15: monitors[0].failures: expected 1 to 100; found 101",
    f"{HTTP}invert: maybe\n": "5:13: monitors[0].invert: expected true or false; found 'maybe'",
    f"{HTTP}locations: []\n": "5:16: monitors[0].locations: expected 1 to 50 items, and this has 0; found a list",
    f"{HTTP}locations: [a, a]\n": "5:16: monitors[0].locations: each location may stand once",
    f"{HTTP}quorum: 2\n": "5:13: monitors[0].quorum: 2 of 1 locations can never agree",
    f"{HTTP}quorum: most\n": "5:13: monitors[0].quorum: expected any, all, majority, or a number of locations; found 'most'",
    f"{HTTP}expect: status == 200\n": f"5:13: monitors[0].expect: {A_LIST}; found 'status == 200'",
    f"{HTTP}expect: [statsu == 200]\n": "5:14: monitors[0].expect[0]: unknown subject 'statsu'; did you mean status?; "
    "in 'statsu == 200'",
    f"{HTTP}expect:\n      - status in 200-299\n      - json $.database == ok\n": "7:28: monitors[0].expect[1]: "
    "expected a number, true, false, null or a string in double quotes, as in \"ok\", found 'ok'; "
    "in 'json $.database == ok'",
    f"{HTTP}degraded: ['body matches \"(?<=a)\"']\n": "5:30: monitors[0].degraded[0]: invalid perl operator: (?<=; "
    "regular expressions are RE2: no look-ahead, look-behind or back reference; in 'body matches \"(?<=a)\"'",
    f"{HTTP}expect: ['json $.a[ == 1']\n": "5:25: monitors[0].expect[0]: unexpected token '=' in bracketed selection; "
    "in 'json $.a[ == 1'",
    # http and tcp.
    "monitors:\n  - {name: x, kind: http, url: shop.example.org}\n": "2:32: monitors[0].url: 'shop.example.org' does "
    "not begin with http:// or https://; did you mean https://shop.example.org?",
    "monitors:\n  - {name: x, kind: http, url: 'ftp://a/'}\n": "2:32: monitors[0].url: begins with ftp://; "
    "allowed: http:// and https://",
    "monitors:\n  - {name: x, kind: http, url: 'http://a:99999/'}\n": "2:32: monitors[0].url: has the port 99999; "
    "allowed: 1 to 65535",
    "monitors:\n  - {name: x, kind: http, url: 'http://me:pw@a/'}\n": "2:32: monitors[0].url: holds a user name or a "
    "password; use the options username and password",
    f"monitors:\n  - {{name: x, kind: http, url: 'http://a/{'x' * 3000}'}}\n": "2:32: monitors[0].url: expected 1 to "
    f"2,000 characters, and this has 3,009; found 'http://a/{'x' * 51}…'",
    f"{HTTP}method: G T\n": "5:13: monitors[0].method: 'G T' is no method; allowed: letters, digits and "
    "!#$%&'*+.^_`|~-, as in GET",
    f"{HTTP}http_version: ayn\n": "5:19: monitors[0].http_version: expected one of 1.1, 2, any, probably any; found 'ayn'",
    f"{HTTP}headers: X-A\n": f"5:14: monitors[0].headers: {A_MAPPING}; found a secret",
    f"{HTTP}headers: {{X-A: 5}}\n": "5:20: monitors[0].headers.X-A: expected text, so quote it; found a secret",
    f"{HTTP}headers: {{'X A': b}}\n": "5:15: monitors[0].headers.X A: is no header name: it has ' ' at position 2; "
    "allowed: letters, digits and !#$%&'*+.^_`|~-",
    f"{HTTP}password: x\n": "5:15: monitors[0].password: needs a username",
    "monitors:\n  - {name: x, kind: tcp, address: mail.example.org}\n": "2:35: monitors[0].address: "
    "'mail.example.org' has no port; write host:port, as in mail.example.org:25",
    # Heartbeats.
    f"{BEAT}grace: 1h\n": "2:5: monitors[0].schedule: is required",
    f"{BEAT}schedule: daily\n": f"4:15: monitors[0].schedule: {A_MAPPING}; found 'daily'",
    f"{BEAT}schedule: {{cron: '0 3 * * *', every: 1h}}\n": "4:15: monitors[0].schedule: needs exactly one of every, "
    "cron and oncalendar; found every and cron",
    f"{BEAT}schedule: {{cron: '61 * * * *'}}\n": "4:15: monitors[0].schedule: cron '61 * * * *': the minute '61' is "
    "not possible; allowed: 0-59, with * , - and /",
    f"{BEAT}schedule: {{cron: '0 0 30 2 *'}}\n": "4:15: monitors[0].schedule: cron '0 0 30 2 *' never occurs: "
    "that month has no day 30",
    f"{BEAT}schedule: {{cron: '0 3 * * *', timezone: Europe/Berln}}\n": "4:15: monitors[0].schedule: "
    "unknown time zone 'Europe/Berln'; did you mean Europe/Berlin?",
    f"{BEAT}schedule: {{oncalendar: Blursday}}\n": "4:15: monitors[0].schedule: oncalendar 'Blursday' can't be read: "
    "bad day-of-week; write it as in Mon..Fri 03:00 or *-*-01 12:30",
    f"{BEAT}schedule: {{every: 1h}}\n    max_run: 0s\n": "5:14: monitors[0].max_run: expected 1s to 366d; found '0s'",
    # Channels.
    "channels:\n  - {name: a, url: 'foo://x'}\n": "2:20: channels[0].url: Apprise knows no service foo://",
    "channels:\n  - {name: a, url: 'syslog://host'}\n": "2:20: channels[0].url: syslog:// acts on this machine; "
    "a channel must reach people over the network",
    "channels:\n  - {name: a, url: 'json://127.0.0.1/token?retry=3'}\n": "2:20: channels[0].url: "
    "not allowed in a channel's URL: retry=; Stillup decides about deadlines and retries",
    "channels:\n  - {name: a}\n": "2:5: channels[0].url: is required",
    "channels:\n  - {name: a, url: 'json://127.0.0.1/'}\n  - {name: a, url: 'json://127.0.0.1/'}\n": "3:12: "
    "channels[1].name: another channel has the name 'a', in line 2",
    # Alert rules.
    f"{RULE}notify: []\n": "5:13: alert_rules[0].notify: expected 1 to 50 items, and this has 0; found a list",
    f"{RULE}notify: [hok]\n": "5:14: alert_rules[0].notify[0]: unknown channel 'hok'; did you mean hook?",
    f"{RULE}notify: [hook]\n    when: up\n": "6:11: alert_rules[0].when: expected down; found 'up'",
    f"{RULE}notify: [hook]\n    remind: 5s\n": "6:13: alert_rules[0].remind: expected 1m to 30d; found '5s'",
    f"{RULE}notify: [hook]\n    match: {{monitors: [shop]}}\n": "6:24: alert_rules[0].match.monitors[0]: "
    "unknown monitor 'shop'; there is none",
    f"{RULE}notify: [hook]\n    match: {{kinds: [tpc]}}\n": "6:21: alert_rules[0].match.kinds[0]: unknown kind 'tpc'; "
    "did you mean tcp?",
    f"{RULE}notify: [hook]\n    match: {{tag: [a]}}\n": "6:13: alert_rules[0].match.tag: unknown key 'tag'; "
    "did you mean tags?",
    # Status pages.
    f"{PAGE}groups: [{{name: Core, components: [{{monitor: shp, name: Shop}}]}}]\n": "6:50: "
    "status_pages[0].groups[0].components[0].monitor: unknown monitor 'shp'; did you mean shop?",
    f"{PAGE}default: true\n  - {{slug: two, title: Two, default: true}}\n": "7:38: status_pages[1].default: "
    "only one page can stand at the root address, and the page in line 6 does",
    f"{PAGE}groups: [{{name: Core, components: [{{monitor: shop, name: A}}, {{monitor: shop, name: B}}]}}]\n": "6:39: "
    "status_pages[0].groups[0].components: the monitor 'shop' stands twice in this group",
    f"{PAGE}groups:\n      - components: []\n": "7:9: status_pages[0].groups[0].name: is required",
    "status_pages:\n  - {slug: a, title: A}\n  - {slug: a, title: A}\n": "3:12: status_pages[1].slug: "
    "another status page has the slug 'a', in line 2",
}  # fmt: skip


@pytest.fixture
def running(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that runs; the path for another one."""
    monkeypatch.setenv("UNREADABLE_FILE", "/nowhere/secret")
    path = tmp_path / "config.yaml"
    path.write_text(RUNNING)
    apply_file(path)
    return path


def everything() -> list[object]:
    """All that a file could change."""
    return [
        sorted(model.objects.values_list(), key=str)
        for model in (Monitor, Channel, AlertRule, AlertRule.channels.through, StatusPage)
    ]


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_a_wrong_file_is_refused_with_its_mistake_named_and_nothing_changes(text: str, running: Path) -> None:
    before = everything()
    running.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError) as caught:
        call_command("apply", str(running))
    assert str(caught.value) == f"{running} is refused, and nothing was changed:\n{running}:{WRONG[text]}"
    assert caught.value.returncode == 78
    assert everything() == before
    with pytest.raises(CommandError) as caught:
        call_command("plan", str(running))
    assert str(caught.value) == f"{running} is wrong:\n{running}:{WRONG[text]}"
    assert caught.value.returncode == 78


def test_there_are_more_than_forty_kinds_of_mistakes() -> None:
    assert len(WRONG) > 40


def test_all_mistakes_of_a_file_are_told_at_once_in_their_order(running: Path) -> None:
    running.write_text(
        "defaults: {failures: 0}\n"
        "monitors:\n"
        "  - {name: Shop, kind: http, url: 'ftp://a/', interval: 0s, expect: [x], colour: red}\n"
        "  - {name: Mail, kind: tpc}\n"
        "alert_rules:\n"
        "  - {name: Down, notify: [hok, '${NOBODY}'], match: {monitors: [shp]}}\n"
        "pages: []\n"
    )
    with pytest.raises(CommandError) as caught:
        call_command("apply", str(running))
    places = [line.split(": ")[0].removeprefix(f"{running}:") for line in str(caught.value).splitlines()[1:]]
    assert places == ["1:22", "3:35", "3:57", "3:70", "3:74", "4:24", "6:27", "6:32", "6:65", "7:1"]


def test_a_reference_to_a_wrong_monitor_is_no_second_mistake(running: Path) -> None:
    running.write_text(f"{HTTP}interval: 0s\nalert_rules:\n  - {{name: a, notify: [b], match: {{monitors: [shop]}}}}\n"
                       "channels:\n  - {name: b, url: 'foo://x'}\n")  # fmt: skip
    with pytest.raises(CommandError) as caught:
        call_command("apply", str(running))
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()[1:]] == [
        "monitors[0].interval",
        "channels[0].url",
    ]


def test_no_mistake_shows_a_secret(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-from-the-environment")
    running.write_text(
        "monitors:\n"
        "  - {name: a, kind: http, url: '${TOKEN}', password: 'hunter2', bearer: [hunter2], runbook: '${TOKEN}'}\n"
        "  - {name: b, kind: http, url: 'http://a/', headers: {A: 2222, B: [hunter2], 'C D': hunter2}}\n"
        '  - {name: c, kind: http, url: "http://a/", username: x, password: "hunter2\\x00"}\n'
        "channels:\n"
        "  - {name: a, url: 'slack://hunter2/x'}\n"
        "  - {name: b, url: 'json://hunter2@127.0.0.1/?retry=hunter2'}\n"
        "  - {name: c, url: '${TOKEN}'}\n"
        "  - {name: d, url: hunter2}\n"
    )
    with pytest.raises(CommandError) as caught:
        call_command("apply", str(running))
    assert len(str(caught.value).splitlines()) >= 10
    assert "hunter2" not in str(caught.value)
    assert "2222" not in str(caught.value)
    assert "'${TOKEN}'" in str(caught.value)


@pytest.mark.parametrize("what", ["missing", "directory", "unreadable"])
def test_a_file_that_can_not_be_read_is_refused(what: str, running: Path) -> None:
    path = {"missing": running / "none", "directory": running.parent, "unreadable": Path("/proc/self/mem")}[what]
    with pytest.raises(CommandError, match="can't be read: ") as caught:
        call_command("apply", str(path))
    assert caught.value.returncode == 78


def test_a_refusal_is_remembered_until_a_file_is_applied(running: Path) -> None:
    running.write_text("x: 1\n")
    with pytest.raises(CommandError):
        call_command("apply", str(running))
    remembered = ConfigurationFile.objects.get()
    assert remembered.refused_at is not None
    assert "unknown section 'x'" in remembered.problems
    running.write_text(RUNNING)
    call_command("apply", str(running))
    remembered.refresh_from_db()
    assert (remembered.refused_at, remembered.problems) == (None, "")
