"""The screens in a real Chromium, over an installation whose every text is hostile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Browser, StorageState, expect

from tests import browser as browsers
from tests.journeys.inbox import Inbox
from tests.journeys.looking import Look, window
from tests.journeys.stack import PASSWORD, Stack
from tests.journeys.target import Target
from tests.waiting import wait_until

# One process does them all: the installation that they look at takes as long to make as they take.
pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.xdist_group("screens")]

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
LONG = "Ein-Name-ohne-Leerzeichen-" * 5
POST_MORTEM = f"""## What happened

The **index** was empty. {HOSTILE} [a link](javascript:alert(3)) ![an image](https://tracker.example/p.png)

| When | What |
|---|---|
| 07:12 | {LONG} |

```
{LONG * 3}
```
"""
# A telephone, a desk and a wall, by day and by night; half of them every day.
LOOKS = (
    (360, "light"),
    (1440, "dark"),
    (2560, "light"),
    *(pytest.param(*look, marks=pytest.mark.long) for look in ((360, "dark"), (1440, "light"), (2560, "dark"))),
)


def configuration(shop: Target, search: Target, inbox: Inbox) -> str:
    quoted = json.dumps(HOSTILE)
    return f"""
defaults: {{interval: 1s, timeout: 1s, failures: 1, successes: 1, retry_interval: 1s}}
monitors:
  - name: Shop
    kind: http
    url: {shop.url}
    tags: [prod]
    expect: [status in 200-299]
  - name: Search
    kind: http
    url: {search.url}
  - name: {quoted}
    slug: hostile
    kind: tcp
    address: 127.0.0.1:{shop.port}
    description: {quoted}
  - name: {LONG}
    slug: long
    kind: heartbeat
    schedule: {{every: 1h}}
  - name: Backup
    kind: heartbeat
    schedule: {{cron: "0 3 * * *", timezone: Europe/Riga}}
    grace: 1h
  - name: Fresh
    kind: heartbeat
    schedule: {{every: 1h}}
channels:
  - name: {quoted}
    url: {inbox.json_url}
alert_rules:
  - name: Production is down
    when: down
    match: {{tags: [prod]}}
    notify: [{quoted}]
objectives:
  - {{name: {quoted}, monitor: search, target: 99.9}}
  - {{name: {LONG[:100]}, monitor: shop, target: 99, window: 30d, minutes: p95 < 300ms}}
status_pages:
  - slug: public
    title: {quoted}
    description: {quoted}
    groups:
      - name: {quoted}
        components:
          - {{monitor: shop, name: {quoted}, description: {quoted}}}
          - {{monitor: long, name: {LONG}}}
      - name: Rest
        components: [{{monitor: search, name: Search}}]
  - slug: bare
    title: Bare
"""


# What a job says: numbers, a text of a stranger's, bytes that are no text, and a start that is waited for.
REPORTS = (
    ("/start", None),
    ("/3?rows=1423&bytes=9e9", f"no space left\n{HOSTILE}\n{LONG * 5}".encode()),
    ("/start?rows=7", None),
    ("/0?rows=1500", bytes(range(256))),
    ("/log", HOSTILE.encode()),
    ("/start", None),
)


# One outage that ended, with an update and a post-mortem, and one that goes on.
TELL = f"""
from checks import clock
from monitoring.models import Incident, IncidentUpdate, PostMortem
for incident in Incident.objects.filter(monitor__slug__in=["shop", "search"]):
    IncidentUpdate.objects.create(incident=incident, at=clock.utcnow(), text={HOSTILE!r}, public=True)
incident = Incident.objects.get(monitor__slug="search")
PostMortem.objects.create(incident=incident, markdown={POST_MORTEM!r}, published_at=clock.utcnow())
"""


class Installation:
    """A running installation with a past."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.address = stack.address
        self.incidents = {incident["monitor"]: incident["id"] for incident in stack.incidents()}
        promised = stack.query("SELECT uuid FROM monitoring_objective")
        self.objectives = [f"/dashboard/objectives/{UUID(str(row['uuid']))}/" for row in promised]

    @property
    def public(self) -> list[str]:
        """Every page that anybody may see."""
        incidents = [f"/incidents/{self.incidents[slug]}/" for slug in ("shop", "search")]
        return ["/", "/status/public/", "/status/bare/", *incidents]

    @property
    def operators(self) -> list[str]:
        """Every page for operators."""
        monitors = [f"/dashboard/monitors/{slug}/" for slug in ("shop", "hostile", "long", "backup")]
        incidents = [f"/dashboard/incidents/{self.incidents[slug]}/" for slug in ("shop", "search")]
        reports = ["/dashboard/monitors/search/intervals/", "/dashboard/report/", "/dashboard/objectives/"]
        rest = ["/dashboard/?q=nothing-fits", "/dashboard/unknown-pings/"]
        return ["/dashboard/", *rest, *monitors, *incidents, *reports, *self.objectives[:1]]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with (
        Target() as shop,
        Target() as search,
        Inbox() as inbox,
        Stack(tmp_path_factory.mktemp("screens"), "sqlite", configuration(shop, search, inbox)) as stack,
    ):
        for slug in ("shop", "search", "hostile"):
            stack.wait_status(slug, "up")
        shop.status = search.status = 503
        for slug in ("shop", "search"):
            stack.wait_status(slug, "down")
        search.status = 200
        stack.wait_status("search", "up")
        stack.wait_quiet()
        done = stack.manage("shell", "-c", TELL)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: "Post-mortems" in stack.get("/")[1], within=30, what="the page tells of the post-mortem")
        address = stack.monitors()["backup"]["ping_url"]
        for report, body in REPORTS:
            assert stack.get(address + report, method="POST" if body else "GET", body=body)[0] == 200
        assert stack.get(f"/ping/{UUID(int=1)}")[0] == 404
        yield Installation(stack)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.chromium() as running:
        yield running


def sign_in(look: Look) -> None:
    look.at("/dashboard/").page.fill("[name=username]", "admin")
    look.page.fill("[name=password]", PASSWORD)
    look.page.press("[name=password]", "Enter")
    look.page.wait_for_url("**/dashboard/")
    # What the admin's own sign-in page says is not ours.
    look.said.clear()


@pytest.fixture(scope="module")
def session(installation: Installation, browser: Browser) -> StorageState:
    """What a browser keeps of somebody who is signed in."""
    with window(browser, installation.address) as look:
        sign_in(look)
        return look.page.context.storage_state()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_public_page_can_be_read_anywhere_and_breaks_no_rule(
    installation: Installation, browser: Browser, width: int, scheme: str
) -> None:
    with window(browser, installation.address, width=width, color_scheme=scheme) as look:
        assert {path: found for path in installation.public if (found := look.at(path).faults())} == {}


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_operators_page_can_be_read_anywhere_and_breaks_no_rule(
    installation: Installation, browser: Browser, session: StorageState, width: int, scheme: str
) -> None:
    with window(browser, installation.address, width=width, color_scheme=scheme, storage_state=session) as look:
        assert {path: found for path in installation.operators if (found := look.at(path).faults())} == {}


def test_a_report_on_paper_is_light_and_has_nothing_to_click(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    with window(browser, installation.address, width=794, color_scheme="dark", storage_state=session) as look:
        page = look.at("/dashboard/report/").page
        page.emulate_media(media="print")

        assert page.locator("tbody th").first.is_visible()
        for clickable in ("nav", "form", ".button", "footer"):
            assert page.locator(clickable).filter(visible=True).count() == 0
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
        assert look.faults() == []


def test_a_page_that_is_not_there_is_one_of_ours(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address, width=360) as look:
        look.at("/status/nowhere/")
        look.said.clear()  # the browser itself says that it got a 404

        assert look.page.inner_text("h1") == "There is nothing here"
        assert look.faults() == []


def test_the_public_page_is_whole_without_javascript(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address, java_script_enabled=False) as look:
        page = look.at("/").page

        assert page.locator(".verdict strong").inner_text() == "Partial outage"
        assert page.locator(".components .days").count() == 3
        assert page.locator(".days").first.bounding_box()["height"] > 20
        assert page.get_by_text("1 day with an outage").count() == 2
        assert re.search(r"\d+ \w{3} \d{4}, \d\d:\d\d:\d\d UTC", page.locator(".verdict time").inner_text())


def test_instants_are_in_the_readers_zone_with_utc_beside(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address, timezone_id="Asia/Kathmandu") as look:
        text = look.at("/").page.locator(".verdict time").inner_text()

    local, utc = re.fullmatch(r"\d+ \w+ \d{4}, (\d\d:\d\d:\d\d) GMT\+5:45 · .*?(\d\d:\d\d:\d\d) UTC", text).groups()
    assert (seconds(local) - seconds(utc)) % 86400 == (5 * 60 + 45) * 60


def seconds(clock: str) -> int:
    hours, minutes, rest = map(int, clock.split(":"))
    return (hours * 60 + minutes) * 60 + rest


def test_an_open_page_keeps_itself_current(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address) as look:
        page = look.at("/").page
        before = page.locator(".verdict time").get_attribute("datetime")
        wait_until(
            lambda: page.request.get(installation.address).text().find(str(before)) < 0, within=20, what="a newer page"
        )

        page.evaluate("refresh()")

        expect(page.locator(".verdict time")).not_to_have_attribute("datetime", str(before))
        assert look.faults() == []


def test_the_dashboard_narrows_as_one_types_and_stays_so(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    with window(browser, installation.address, storage_state=session) as look:
        look.at("/dashboard/")
        rows = look.page.locator("tbody tr")
        expect(rows).to_have_count(6)

        look.page.get_by_label("Name, tag or kind").press_sequentially("shop")

        expect(rows).to_have_count(1)
        assert look.page.url.endswith("?q=shop&status=")
        look.page.reload()
        expect(rows).to_have_count(1)
        assert look.faults() == []


def test_a_job_that_reports_first_turns_its_open_page_green(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    with window(browser, installation.address, storage_state=session) as look:
        page = look.at("/dashboard/monitors/fresh/").page
        expect(page.get_by_role("status")).to_contain_text("Waiting for the first ping")
        page.locator("label", has_text="systemd").click()
        address = page.locator("#ping-url").inner_text()

        assert page.request.get(address).ok

        expect(page.get_by_role("status")).to_contain_text("It works.")
        expect(page.locator("#now")).to_have_class(re.compile(r"\bs-up\b"))
        expect(page.locator("#run-list tbody")).to_have_count(1)
        assert "ExecStopPost=-/bin/sh -c '" in page.locator(".tab:visible").inner_text()
        assert look.faults() == []


def test_a_heartbeats_page_is_whole_without_javascript(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    with window(browser, installation.address, storage_state=session, java_script_enabled=False) as look:
        page = look.at("/dashboard/monitors/long/").page

        assert "Waiting for the first ping" in page.get_by_role("status").inner_text()
        assert page.locator(".tab:visible").inner_text().startswith("In a crontab")
        page.locator("label", has_text="Python").click()
        assert "urllib.request.urlopen" in page.locator(".tab:visible").inner_text()
        assert page.locator("[data-copy]:visible").count() == 0
        look.at("/dashboard/monitors/backup/")
        assert "In yours, UTC" in page.locator("#expected").inner_text()


def test_an_address_is_copied_by_its_button(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with window(browser, installation.address, storage_state=session, permissions=allowed) as look:
        page = look.at("/dashboard/monitors/long/").page

        page.get_by_role("button", name="Copy the address").click()

        expect(page.get_by_role("button", name="Copied the address")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#ping-url").inner_text()


def test_recipes_are_chosen_with_the_keyboard(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    with window(browser, installation.address, storage_state=session) as look:
        page = look.at("/dashboard/monitors/long/").page

        page.locator("#recipe-cron").focus()
        page.keyboard.press("ArrowRight")

        assert page.locator(".tab:visible").inner_text().startswith("Our own clients/beat")
        chosen = page.locator("#recipe-beat + label")
        assert chosen.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_what_a_job_said_stays_open_while_it_is_read(
    installation: Installation, browser: Browser, session: StorageState
) -> None:
    with window(browser, installation.address, storage_state=session, timezone_id="Asia/Kathmandu") as look:
        page = look.at("/dashboard/monitors/backup/").page
        page.locator("summary", has_text="no space left").click()
        before = page.locator("#run-list").inner_html()
        page.locator("body").click(position={"x": 2, "y": 2})

        page.evaluate("document.querySelector('#now').textContent = 'old'")
        page.evaluate("refresh()")

        expect(page.locator("#now")).to_contain_text("Last heard from")
        assert page.locator("#run-list").inner_html() == before
        assert re.search(r"In yours, Asia/Kat\w+", page.locator("#expected").inner_text())
        assert look.faults() == []


def test_the_keyboard_finds_its_way(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address) as look:
        page = look.at("/").page

        page.keyboard.press("Tab")

        focused = page.locator(":focus")
        assert focused.inner_text() == "Skip to the content"
        assert focused.bounding_box()["x"] >= 0
        assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_nothing_moves_for_those_who_asked_for_it(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address, reduced_motion="reduce") as look:
        assert look.at("/").page.evaluate("document.getAnimations().length") == 0


def test_signing_out_ends_the_session(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address) as look:
        sign_in(look)

        look.page.get_by_role("button", name="Sign out").click()
        look.at("/dashboard/")

        assert "/admin/login/" in look.page.url
