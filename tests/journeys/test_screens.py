"""The screens in a real Chromium, over an installation whose every text is hostile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests import browser as browsers
from tests.journeys.inbox import Inbox
from tests.journeys.looking import Look, window
from tests.journeys.stack import PASSWORD, Stack, wait_until
from tests.journeys.target import Target

pytestmark = [pytest.mark.journey, pytest.mark.browser]

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
WIDTHS = (360, 1440, 2560)
SCHEMES = ("light", "dark")


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
channels:
  - name: {quoted}
    url: {inbox.json_url}
alert_rules:
  - name: Production is down
    when: down
    match: {{tags: [prod]}}
    notify: [{quoted}]
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

    @property
    def public(self) -> list[str]:
        """Every page that anybody may see."""
        incidents = [f"/incidents/{self.incidents[slug]}/" for slug in ("shop", "search")]
        return ["/", "/status/public/", "/status/bare/", *incidents]

    @property
    def operators(self) -> list[str]:
        """Every page for operators."""
        monitors = [f"/dashboard/monitors/{slug}/" for slug in ("shop", "hostile", "long")]
        incidents = [f"/dashboard/incidents/{self.incidents[slug]}/" for slug in ("shop", "search")]
        return ["/dashboard/", "/dashboard/?q=nothing-fits", *monitors, *incidents]


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


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_public_page_can_be_read_anywhere_and_breaks_no_rule(
    installation: Installation, browser: Browser, width: int, scheme: str
) -> None:
    with window(browser, installation.address, width=width, color_scheme=scheme) as look:
        assert {path: found for path in installation.public if (found := look.at(path).faults())} == {}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_operators_page_can_be_read_anywhere_and_breaks_no_rule(
    installation: Installation, browser: Browser, width: int, scheme: str
) -> None:
    with window(browser, installation.address, width=width, color_scheme=scheme) as look:
        sign_in(look)
        assert {path: found for path in installation.operators if (found := look.at(path).faults())} == {}


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


def test_the_dashboard_narrows_as_one_types_and_stays_so(installation: Installation, browser: Browser) -> None:
    with window(browser, installation.address) as look:
        sign_in(look)
        rows = look.page.locator("tbody tr")
        expect(rows).to_have_count(4)

        look.page.get_by_label("Name, tag or kind").press_sequentially("shop")

        expect(rows).to_have_count(1)
        assert look.page.url.endswith("?q=shop&status=")
        look.page.reload()
        expect(rows).to_have_count(1)
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
