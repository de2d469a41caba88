from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError

from checks import clock
from checks.status import Status
from monitoring import maintenance, reports
from monitoring.models import MaintenanceWindow
from monitoring.status.snapshot import render_one
from tests.factories import NOON
from tests.monitoring.pages import put_on_page
from tests.monitoring.past import announce, put_transitions

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def test_windows_that_overlap_are_one_time(make_monitor):
    shop, mail = make_monitor(name="Shop"), make_monitor(name="Mail")
    announce(shop, NOON, NOON + 2 * HOUR)
    announce(None, NOON + HOUR, NOON + 3 * HOUR)
    announce(shop, NOON + 5 * HOUR, NOON + 6 * HOUR)
    announce(shop, NOON + 9 * DAY, NOON + 10 * DAY)

    found = maintenance.spans([shop.pk, mail.pk], NOON - DAY, NOON + DAY)

    assert found == {
        shop.pk: [(NOON, NOON + 3 * HOUR), (NOON + 5 * HOUR, NOON + 6 * HOUR)],
        mail.pk: [(NOON + HOUR, NOON + 3 * HOUR)],
    }
    assert maintenance.of_monitor(mail.pk, NOON + 4 * HOUR, NOON + DAY) == []


def test_what_was_not_announced_beforehand_is_none(make_monitor):
    shop = make_monitor(name="Shop")
    announce(shop, NOON, NOON + 2 * HOUR, announced_at=NOON + HOUR)
    announce(shop, NOON - 3 * HOUR, NOON - 2 * HOUR, announced_at=NOON)

    assert maintenance.of_monitor(shop.pk, NOON - DAY, NOON + DAY) == [(NOON + HOUR, NOON + 2 * HOUR)]


def test_the_database_refuses_one_that_ends_before_it_begins(make_monitor):
    with pytest.raises(IntegrityError):
        announce(make_monitor(name="Shop"), NOON, NOON - HOUR)


def test_the_two_figures_of_a_report_differ_by_it(published_to_sqlite, make_monitor):
    now = clock.utcnow()
    shop = make_monitor(name="Shop")
    put_transitions(published_to_sqlite, shop, (now - 10 * HOUR, Status.UP), (now - HOUR, Status.DOWN))
    announce(shop, now - 2 * HOUR, now)

    found, stretches = reports.of_monitor(shop.pk, now - 10 * HOUR, now, now)

    assert (found.ratio, found.ratio_without_maintenance, found.maintenance) == (pytest.approx(0.9), 1.0, 7200)
    assert [(each.interval.status, each.interval.announced) for each in stretches] == [
        (Status.UP, False),
        (Status.UP, True),
        (Status.DOWN, True),
    ]


def test_a_status_page_announces_what_concerns_it(published_to_sqlite, make_monitor):
    now = clock.utcnow()
    shop, secret = make_monitor(name="Shop"), make_monitor(name="Vault")
    page = put_on_page(shop, "The shop")
    announce(shop, now + DAY, now + DAY + HOUR, title="New database", text="Orders wait.")
    announce(None, now - HOUR, now + HOUR, title="All of it")
    announce(shop, now + DAY, now + 2 * DAY, title="Between us", public=False)
    announce(secret, now + DAY, now + 2 * DAY, title="Of others")
    announce(shop, now + 20 * DAY, now + 21 * DAY, title="Far off")
    announce(shop, now - 2 * DAY, now - DAY, title="Over")

    shown = render_one(page, now).maintenance

    assert [(each.title, each.text, each.components) for each in shown] == [
        ("All of it", "", ("The shop",)),
        ("New database", "Orders wait.", ("The shop",)),
    ]


def test_the_page_says_from_when_to_when(published_to_sqlite, make_monitor, client):
    now = clock.utcnow()
    shop = make_monitor(name="Shop")
    put_on_page(shop, "The shop", default=True)
    announce(shop, now + DAY, now + DAY + HOUR, title="New <b>database</b>", text="Orders wait.")

    page = client.get("/").content.decode()

    assert "New &lt;b&gt;database&lt;/b&gt;" in page
    assert "Orders wait." in page
    assert "The shop" in page


WINDOWS = "/admin/monitoring/maintenancewindow/"


def form(**fields):
    instants = {name: fields.pop(name) for name in ("starts_at", "ends_at") if name in fields}
    written = {"title": "Moving house", "text": "", **fields}
    for name, instant in instants.items():
        written |= {f"{name}_0": f"{instant:%Y-%m-%d}", f"{name}_1": f"{instant:%H:%M:%S}"}
    return written


def errors(answer) -> str:
    found = answer.context["adminform"].form.errors
    return "; ".join(f"{name}: {' '.join(each)}" for name, each in found.items())


@pytest.fixture
def shop(published_to_sqlite, make_monitor):
    return make_monitor(name="Shop")


def test_it_is_announced_in_the_admin_and_can_be_called_off_before_it_begins(operator_client, shop):
    now = clock.utcnow()
    answer = operator_client.post(
        f"{WINDOWS}add/", form(starts_at=now + HOUR, ends_at=now + 2 * HOUR, monitors=[str(shop.pk)], public="on")
    )
    assert answer.status_code == 302, errors(answer)
    window = MaintenanceWindow.objects.get()
    assert window.announced_at >= now
    assert list(window.monitors.all()) == [shop]
    listed = operator_client.get(WINDOWS).content.decode()
    assert "Shop" in listed
    assert "to come" in listed
    operator_client.post(f"{WINDOWS}{window.pk}/delete/", {"post": "yes"})
    assert not MaintenanceWindow.objects.exists()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"starts_at": 2 * HOUR, "ends_at": HOUR, "everything": "on"}, "ends_at: It ends before it begins."),
        ({"starts_at": -2 * HOUR, "ends_at": -HOUR, "everything": "on"}, "That is over."),
        ({"starts_at": HOUR, "ends_at": 2 * HOUR}, "monitors: Choose some monitors, or all of them."),
    ],
)
def test_what_is_no_window_is_said(operator_client, shop, fields, problem):
    now = clock.utcnow()
    instants = {name: now + value for name, value in fields.items() if isinstance(value, timedelta)}
    answer = operator_client.post(f"{WINDOWS}add/", form(**{**fields, **instants}))
    assert answer.status_code == 200
    assert problem in errors(answer)
    assert not MaintenanceWindow.objects.exists()


def test_once_it_has_begun_only_its_end_and_its_words_change(operator_client, shop):
    now = clock.utcnow()
    window = announce(shop, now - HOUR, now + HOUR)
    answer = operator_client.post(
        f"{WINDOWS}{window.pk}/change/",
        form(title="Still moving", starts_at=now - 9 * DAY, ends_at=now + 3 * HOUR, everything="on"),
    )
    assert answer.status_code == 302, errors(answer)
    window.refresh_from_db()
    assert (window.title, window.starts_at, window.everything) == ("Still moving", now - HOUR, False)
    assert abs(window.ends_at - (now + 3 * HOUR)) < timedelta(seconds=1)
    assert operator_client.post(f"{WINDOWS}{window.pk}/delete/", {"post": "yes"}).status_code == 403

    answer = operator_client.post(f"{WINDOWS}{window.pk}/change/", form(ends_at=now - HOUR / 2))
    assert "ends_at" in errors(answer)
    operator_client.post(f"{WINDOWS}{window.pk}/end/")

    window.refresh_from_db()
    assert window.is_over(clock.utcnow())
    operator_client.post(f"{WINDOWS}{window.pk}/change/", form(title="Never", ends_at=now + DAY))
    window.refresh_from_db()
    assert window.title == "Still moving"
    assert window.is_over(clock.utcnow())
