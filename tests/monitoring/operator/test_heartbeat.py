"""A heartbeat's page: where its job reports, its runs, its numbers, when it is expected."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from checks import clock
from checks.heartbeats.addresses import Stranger, count_strangers
from checks.heartbeats.sweep import sweep
from checks.sight import WEB
from checks.store.schema import sign_of_life
from monitoring import publish
from tests.monitoring.operator.acts import hear, monitor_url, text_of
from tests.monitoring.pages import XSS

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(make_monitor, published_to_sqlite):
    return make_monitor(
        kind="heartbeat",
        schedule={"cron": "0 3 * * *", "timezone": "Europe/Riga"},
        grace="1h",
        min_run="10s",
        max_run="2h",
    )


@pytest.fixture
def hourly(make_monitor, published_to_sqlite):
    return make_monitor(kind="heartbeat", schedule={"every": "1h"}, grace="10m")


def lines(page: str) -> list[str]:
    """What each run's line says, without tags."""
    listed = page[page.index('id="run-list"') :].partition("</table>")[0]
    bodies = re.findall(r"<tbody>(.*?)</tbody>", listed, re.DOTALL)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).strip() for body in bodies]


def stay_awake_and_sweep(engine) -> None:
    """Silence is judged, by a web process that received pings all the while."""
    now = clock.utcnow()
    with engine.begin() as conn:
        sign = {"process": "web", "role": WEB, "location": "", "started_at": now - timedelta(days=1), "at": now}
        conn.execute(sign_of_life.insert(), sign)
        sweep(conn, now)


def rotate_url(monitor) -> str:
    return reverse("rotate_ping_url", args=[monitor.slug])


def test_the_page_waits_for_the_first_ping_and_says_so_without_a_script(operator_client, hourly):
    page = text_of(operator_client.get(monitor_url(hourly)))

    assert "Waiting for the first ping" in page
    assert 'id="now" class="stack s-pending" data-refresh="2"' in page
    assert page.index("Where the job reports") < page.index('id="runs"')
    assert "None yet." in page


def test_once_it_was_heard_the_page_says_that_it_works(operator_client, hourly, published_to_sqlite):
    hear(published_to_sqlite, hourly, (-3, "success", {"source": "10.0.0.7"}))

    page = text_of(operator_client.get(monitor_url(hourly)))

    assert "Waiting for" not in page
    assert "It works.</strong> The first ping came" in page
    assert 'id="now" class="stack s-up" data-refresh="10"' in page
    assert page.index('id="runs"') < page.index("Where the job reports")


def test_pings_that_no_monitor_has_are_offered_to_the_one_that_waits(operator_client, hourly, published_to_sqlite):
    with published_to_sqlite.begin() as conn:
        count_strangers(conn, [Stranger(source="10.0.0.9", count=3, at=clock.utcnow(), user_agent=XSS)])

    assert "<li>3 from 10.0.0.9, the last" in text_of(operator_client.get(monitor_url(hourly)))
    found = text_of(operator_client.get(reverse("unknown_pings")))
    assert '<th scope="row">10.0.0.9</th>' in found
    assert "<img" not in found

    hear(published_to_sqlite, hourly, (0, "success"))
    assert "10.0.0.9" not in text_of(operator_client.get(monitor_url(hourly)))


def test_one_who_may_only_look_sees_neither_unknown_pings_nor_the_button(client: Client, viewer, hourly):
    client.force_login(viewer)
    page = text_of(client.get(monitor_url(hourly)))
    assert "unknown-pings" not in page
    assert rotate_url(hourly) not in page
    assert client.post(rotate_url(hourly)).status_code == 403


def test_the_list_of_unknown_pings_stays_when_the_store_is_gone(operator_client, monkeypatch):
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", "sqlite:////nowhere/at/all.sqlite3")
    assert "The measurements can't be read" in text_of(operator_client.get(reverse("unknown_pings")))


def test_a_run_is_told_with_all_that_it_brought(operator_client, job, published_to_sqlite):
    said = {
        "exit_code": 3,
        "body": f"no space left\n{XSS}".encode(),
        "body_size": 52_318,
        "numbers": {"rows": 1423.0, "ratio": 0.25},
        "source": "10.0.0.7",
        "user_agent": XSS,
        "method": "POST",
    }
    hear(published_to_sqlite, job, (-260, "start"), (-10, "fail", said))

    page = text_of(operator_client.get(monitor_url(job)))

    (line,) = lines(page)
    assert line.startswith("Exit code 3 from ")
    assert "4 min 10 s" in line
    assert "rows 1,423, ratio 0.25" in line
    assert "10.0.0.7 POST by" in line
    assert "The first" in line
    assert "of 52318 bytes" in line
    assert "<img" not in page
    assert "the job ended with exit code 3" in page


def test_bytes_that_are_no_text_are_written_one_by_one(operator_client, hourly, published_to_sqlite):
    hear(published_to_sqlite, hourly, (-10, "success", {"body": b"\xff\x00", "body_size": 2}))
    page = text_of(operator_client.get(monitor_url(hourly)))
    assert "2 bytes that are no text" in page
    assert "00000000  ff 00" in page


def test_open_and_unended_runs_and_odd_ones_say_so(operator_client, job, published_to_sqlite):
    hear(
        published_to_sqlite,
        job,
        (-900, "start"),
        (-600, "start"),
        (-599, "success"),
        (-300, "log", {"method": "MAIL"}),
        (-130, "start"),
    )

    page = text_of(operator_client.get(monitor_url(job)))

    words = [re.split(r" from| \d", line)[0] for line in lines(page)]
    assert words == ["Running", "Logged", "Success too fast", "Never ended"]
    assert re.search(r"2 min 1\d s so far", lines(page)[0])
    assert "by mail" in lines(page)[1]
    assert "<dt>Running</dt>" in page


def test_a_run_that_began_while_another_was_on_says_so(operator_client, hourly, published_to_sqlite):
    first, second, third = uuid4(), uuid4(), uuid4()
    hear(
        published_to_sqlite,
        hourly,
        (-900, "start", {"run": first}),
        (-800, "start", {"run": second}),
        (-700, "success", {"run": first}),
        (-600, "success", {"run": second}),
        (-500, "start", {"run": third}),
    )

    found = lines(text_of(operator_client.get(monitor_url(hourly))))

    assert ["began while another run was on" in line for line in found] == [False, True, False]


def test_a_report_that_came_late_is_told_apart_from_a_run_that_was(operator_client, hourly, published_to_sqlite):
    now = clock.utcnow()
    hear(
        published_to_sqlite,
        hourly,
        (-9000, "success"),
        (-3000, "success", {"sent_at": now - timedelta(seconds=5400)}),
        (-60, "success", {"sent_at": now - timedelta(seconds=600)}),
    )
    found = lines(text_of(operator_client.get(monitor_url(hourly))))
    assert "Success report arrived 9 min" in found[0]
    assert "Success ran on time, report arrived 40 min" in found[1]
    assert "late" not in found[2]


def test_pings_that_were_counted_together_are_one_line(operator_client, hourly, published_to_sqlite):
    hear(published_to_sqlite, hourly, *((second / 10 - 5, "success") for second in range(14)))
    assert re.match(
        r"Success 5 pings until \d\d:\d\d:\d\d UTC", lines(text_of(operator_client.get(monitor_url(hourly))))[0]
    )


def test_runs_can_be_searched_filtered_and_paged(operator_client, hourly, published_to_sqlite):
    for number in range(30):
        hear(published_to_sqlite, hourly, (number - 40, "fail", {"exit_code": number + 1, "body": b"x<y"}))
    hear(published_to_sqlite, hourly, (0, "success"))

    def asked(**given: str) -> str:
        return text_of(operator_client.get(monitor_url(hourly), given))

    first = asked()
    assert len(lines(first)) == 25
    assert lines(first)[0].startswith("Success")
    older = re.search(r"before=(\d+-\d+)", first)
    assert older is not None
    second = asked(before=older[1])
    assert [re.match(r"Exit code \d+", line)[0] for line in lines(second)] == [
        f"Exit code {6 - index}" for index in range(6)
    ]
    assert 'id="run-list" class="stack" data-refresh' in first
    assert 'id="run-list" class="stack">' in second  # what is read page by page does not change below one's eyes
    assert "The newest" in second
    assert "Older ones" not in second
    assert [line[:12] for line in lines(asked(q="17"))] == ["Exit code 17"]
    assert len(lines(asked(show="failed"))) == 25
    assert 'value="x&lt;y"' in asked(q="x<y")
    assert "Nothing fits." in asked(q="nowhere")
    assert len(lines(asked(show="nonsense", before="nonsense", q="\0"))) == 25


def test_numbers_and_durations_are_drawn(operator_client, hourly, published_to_sqlite):
    for number in range(3):
        minute = 60 * number - 300
        brought = {"numbers": {"rows": float(number * 1000)}}
        hear(
            published_to_sqlite, hourly, (minute, "start"), (minute + 10, "fail" if number == 1 else "success", brought)
        )

    page = text_of(operator_client.get(monitor_url(hourly)))

    assert 'aria-label="Duration of the last 3 runs"' in page
    assert '<polyline points="0,56 500,30 1000,4"/>' in page
    assert '<path class="mark-down" d="M500.0 0v60"/>' in page
    assert "0 to 2,000, median 1,000" in page


def test_the_next_five_times_are_told_in_the_jobs_zone_and_for_the_reader(operator_client, job):
    page = text_of(operator_client.get(monitor_url(job)))
    table = page[page.index('id="expected"') :].partition("</table>")[0]
    assert "In the job's zone, Europe/Riga" in table
    assert "<span data-zone>UTC</span>" in table
    rows = re.findall(
        r"\">\w{3} \d+ \w{3} \d{4}, 03:00 (EET|EEST)</td><td data-label=\"Here\"><time [^>]+>[^<]+ (0[01]:00) UTC",
        table,
    )
    assert len(rows) == 5
    assert set(rows) <= {("EET", "01:00"), ("EEST", "00:00")}


def test_an_interval_is_expected_from_its_last_ping_on(operator_client, hourly, published_to_sqlite):
    assert "After its first ping" in text_of(operator_client.get(monitor_url(hourly)))

    hear(published_to_sqlite, hourly, (0, "success"))

    page = text_of(operator_client.get(monitor_url(hourly)))
    assert page.count('<td data-label="Here">') == 5
    assert "Each counts from the ping before it." in page
    assert "late, and degraded, from" in page


def test_what_is_late_says_until_when_it_has_time(operator_client, hourly, published_to_sqlite):
    hear(published_to_sqlite, hourly, (-3600 - 240, "success"))
    stay_awake_and_sweep(published_to_sqlite)

    page = text_of(operator_client.get(monitor_url(hourly)))

    assert "Degraded</span>" in page
    assert "down if silent until" in page
    assert "<dt>Was expected</dt>" in page


def test_habits_are_told_once_there_are_enough_runs(operator_client, hourly, published_to_sqlite):
    for number in range(31):
        begun = 600 * number - 31 * 600
        hear(published_to_sqlite, hourly, (begun, "start"), (begun + 30, "success"))

    page = text_of(operator_client.get(monitor_url(hourly)))

    assert "Comes every</dt><dd>10 min" in page
    assert "Runs for</dt><dd>30 s" in page
    assert "It runs for 30 s; a max_run of about" in page
    assert "Learned from its last 31 runs" in page


def test_another_address_is_made_by_a_button_and_the_old_one_is_heard_for_a_day(
    operator_client, hourly, published_to_sqlite, committed
):
    old = hourly.ping_code
    with committed():
        answer = operator_client.post(rotate_url(hourly))
    assert (answer.status_code, answer.headers["Location"]) == (302, monitor_url(hourly))

    hourly.refresh_from_db()
    page = text_of(operator_client.get(monitor_url(hourly)))

    assert hourly.ping_code != old
    assert f"/ping/{hourly.ping_code}</code>" in page
    assert str(old) not in page
    assert "The address before it is heard until" in page
    assert "and is not used" in page


def test_a_second_click_ends_no_address_that_is_heard(operator_client, hourly, published_to_sqlite, committed):
    old = hourly.ping_code
    with committed():
        operator_client.post(rotate_url(hourly))
        refused = operator_client.post(rotate_url(hourly))
    assert refused.status_code == 409
    assert "the address before it is heard until" in refused.content.decode()
    assert 'name="force" required' in text_of(operator_client.get(monitor_url(hourly)))
    hourly.refresh_from_db()
    assert hourly.old_ping_code == old

    with committed():
        assert operator_client.post(rotate_url(hourly), {"force": "on"}).status_code == 302
    hourly.refresh_from_db()
    assert hourly.old_ping_code != old


def test_only_a_post_with_its_token_makes_another_address(admin_user, hourly, make_monitor):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(admin_user)
    assert careful.get(rotate_url(hourly)).status_code == 405
    assert careful.post(rotate_url(hourly)).status_code == 403
    trusting = Client()
    trusting.force_login(admin_user)
    assert trusting.post(rotate_url(make_monitor())).status_code == 404  # it is not pinged


def test_a_clerk_without_the_permission_makes_no_address(viewer, hourly, client: Client):
    viewer.is_staff = True
    viewer.save()
    client.force_login(viewer)
    assert client.post(rotate_url(hourly)).status_code == 403


def test_a_paused_or_retired_job_waits_for_nothing(operator_client, hourly, job, committed):
    with committed():
        publish.change(hourly, paused=True)
        publish.retire(job)
    for monitor in (hourly, job):
        page = text_of(operator_client.get(monitor_url(monitor)))
        assert "Waiting for" not in page
        assert "When it is expected next" not in page
    assert rotate_url(job) not in page


def test_the_dashboard_tells_when_a_job_was_heard_last(operator_client, hourly, published_to_sqlite):
    hear(published_to_sqlite, hourly, (-3600 - 240, "success"))
    stay_awake_and_sweep(published_to_sqlite)

    page = text_of(operator_client.get("/dashboard/"))

    assert re.search(r'data-label="Last result" class="number more"><span><time[^>]*>1 h 4 min</time> ago', page)
