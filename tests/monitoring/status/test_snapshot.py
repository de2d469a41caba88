from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from checks import clock
from checks.status import Status
from monitoring import publish
from monitoring.models import PageSnapshot, StatusPage
from monitoring.status.public import Overall, PublicDay, PublicIncident, from_payload
from monitoring.status.snapshot import DAYS, Measured, Published, build, day_length, overall, render_all
from tests.monitoring.pages import ERROR, HOST, become, open_incident, put_on_page, resolve, tell, write_post_mortem

UP, DEGRADED, DOWN = Status.UP, Status.DEGRADED, Status.DOWN
UNKNOWN, PENDING, PAUSED = Status.UNKNOWN, Status.PENDING, Status.PAUSED
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
PAGE = StatusPage(slug="public", title="Example")


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ([], Overall.EMPTY),
        ([UP, UP], Overall.OPERATIONAL),
        ([UP, PAUSED], Overall.OPERATIONAL),
        ([UP, PENDING], Overall.OPERATIONAL),
        ([UP, DEGRADED], Overall.DEGRADED),
        ([UP, DEGRADED, DOWN], Overall.PARTIAL),
        ([DEGRADED, DOWN], Overall.PARTIAL),
        ([DOWN, DOWN], Overall.MAJOR),
        ([DOWN, UNKNOWN], Overall.MAJOR),
        ([DOWN, PAUSED], Overall.MAJOR),
        ([UP, UNKNOWN], Overall.BLIND),
        ([UNKNOWN], Overall.BLIND),
        ([PENDING, PAUSED], Overall.PENDING),
        ([PAUSED], Overall.PAUSED),
    ],
)
def test_a_page_has_one_word_for_all_its_components(statuses: list[Status], word: Overall):
    assert overall(statuses) is word


def component(monitor: UUID, name: str = "Shop", group: int = 1) -> Published:
    return Published(group=group, group_name=f"Group {group}", monitor=monitor, name=name, description="")


def day(ago: int, ratio: float | None, observed: float = 1.0) -> PublicDay:
    down = 0.0 if ratio is None else (1 - ratio) * 86400 * observed
    return PublicDay(day=(NOW - timedelta(days=ago)).date(), ratio=ratio, observed=observed, down_seconds=down)


def incident(**fields: object) -> PublicIncident:
    defaults = {
        "uuid": uuid4(),
        "components": ("Shop",),
        "opened_at": NOW - timedelta(hours=1),
        "resolved_at": None,
        "resolution": "",
        "updates": (),
        "post_mortem_at": None,
    }
    return PublicIncident(**{**defaults, **fields})


def test_the_availability_of_all_days_weighs_each_by_what_was_observed():
    monitor = uuid4()
    # A whole day up, a tenth of a day seen of which all was down: 1.0 of 1.1 days, not the mean of 1 and 0.
    days = (day(2, 1.0), day(1, 0.0, observed=0.1))

    page = build(PAGE, [component(monitor)], {monitor: Measured(status=UP, since=NOW, days=days)}, [], NOW)

    shown = page.groups[0].components[0]
    assert shown.ratio == pytest.approx(1 / 1.1)
    assert shown.observed == pytest.approx(0.55)


def test_today_counts_only_as_far_as_it_has_gone():
    assert day_length(day(0, 1.0), NOW) == 12 * 3600.0
    assert day_length(day(1, 1.0), NOW) == 86400.0
    assert day_length(day(-1, None), NOW) == 0.0


def test_a_monitor_that_the_store_does_not_know_waits_for_its_first_result():
    page = build(PAGE, [component(uuid4())], {}, [], NOW)

    shown = page.groups[0].components[0]
    assert (shown.status, shown.days, shown.ratio) == (PENDING, (), None)
    assert page.overall is Overall.PENDING


def test_incidents_of_monitors_that_are_not_on_the_page_stay_away():
    ours, others = uuid4(), uuid4()
    mine = incident()

    page = build(PAGE, [component(ours)], {}, [(ours, mine), (others, incident())], NOW)

    assert page.open == (mine,)


def test_resolved_incidents_stand_two_weeks_and_post_mortems_stay():
    monitor = uuid4()
    fresh = incident(resolved_at=NOW - timedelta(days=13))
    old = incident(resolved_at=NOW - timedelta(days=15), post_mortem_at=NOW - timedelta(days=2))

    page = build(PAGE, [component(monitor)], {}, [(monitor, fresh), (monitor, old)], NOW)

    assert page.recent == (fresh,)
    assert page.post_mortems == (old,)
    assert page.open == ()


def test_groups_and_components_keep_the_order_in_which_they_were_put():
    a, b, c = uuid4(), uuid4(), uuid4()

    page = build(PAGE, [component(a, "Z", 2), component(b, "Y", 2), component(c, "X", 1)], {}, [], NOW)

    assert [(g.name, [m.name for m in g.components]) for g in page.groups] == [
        ("Group 2", ["Z", "Y"]),
        ("Group 1", ["X"]),
    ]


@pytest.mark.django_db
def test_what_is_kept_of_a_page_names_no_address_and_no_error(make_monitor, published_to):
    monitor = make_monitor(name="pg primary 7", url=f"https://{HOST}/health?token=abc")
    put_on_page(monitor, "Shop")
    begun = clock.utcnow()
    become(published_to, monitor, DOWN, begun)
    tell(open_incident(monitor), "We are looking into it.")
    tell(resolve(open_incident(monitor, cause="rule:x", ago=7200)), "for operators", public=False)

    assert render_all(begun + timedelta(minutes=10)) == 1

    payload = PageSnapshot.objects.get().payload
    kept = json.dumps(payload)
    for hidden in (
        HOST,
        ERROR,
        "token",
        "pg primary",
        monitor.slug,
        "eu-west",
        "HTTP 503",
        "for operators",
        str(monitor.uuid),
    ):
        assert hidden not in kept
    page = from_payload(payload)
    assert page.overall is Overall.MAJOR
    assert [u.text for u in page.open[0].updates] == ["We are looking into it."]
    shown = page.groups[0].components[0]
    assert (shown.name, shown.status, len(shown.days)) == ("Shop", DOWN, DAYS)
    assert shown.days[-1].down_seconds + shown.days[-2].down_seconds == pytest.approx(600.0)


@pytest.mark.django_db
def test_incidents_about_us_are_on_no_page(make_monitor, published_to_sqlite):
    monitor = make_monitor()
    put_on_page(monitor)
    open_incident(monitor, cause="system:poisoned")

    render_all(clock.utcnow())

    assert from_payload(PageSnapshot.objects.get().payload).open == ()


@pytest.mark.django_db
def test_a_retired_monitor_leaves_its_page(make_monitor, published_to_sqlite, committed):
    kept, gone = make_monitor(), make_monitor()
    put_on_page(kept, "Kept")
    put_on_page(gone, "Gone")
    with committed():
        publish.retire(gone)

    render_all(clock.utcnow())

    page = from_payload(PageSnapshot.objects.get().payload)
    assert [c.name for g in page.groups for c in g.components] == ["Kept"]


@pytest.mark.django_db
def test_only_published_post_mortems_are_told_of(make_monitor, published_to_sqlite):
    monitor = make_monitor()
    put_on_page(monitor)
    draft = resolve(open_incident(monitor, ago=900), ago=800)
    told = resolve(open_incident(monitor, ago=500), ago=400)
    write_post_mortem(draft, "draft", published=False)
    write_post_mortem(told, "told")

    render_all(clock.utcnow())

    page = from_payload(PageSnapshot.objects.get().payload)
    assert [i.uuid for i in page.post_mortems] == [told.uuid]


@pytest.mark.django_db
def test_a_page_that_fails_leaves_the_others_alone(make_monitor, published_to_sqlite, monkeypatch, caplog):
    monitor = make_monitor()
    put_on_page(monitor, slug="a")
    put_on_page(monitor, slug="b")
    real = build

    def failing(page, *rest, **more):
        if page.slug == "a":
            raise ZeroDivisionError
        return real(page, *rest, **more)

    monkeypatch.setattr("monitoring.status.snapshot.build", failing)

    render_all(clock.utcnow())

    assert [s.page.slug for s in PageSnapshot.objects.all()] == ["b"]
    assert "status page a could not be rendered" in caplog.text
