from __future__ import annotations

import pytest

from monitoring.models import Objective, Owner

pytestmark = pytest.mark.django_db

OBJECTIVES = "/admin/monitoring/objective/"


@pytest.fixture
def shop(published_to_sqlite, make_monitor):
    return make_monitor(name="Shop")


def form(shop, **fields):
    return {"name": "Shop is there", "monitor": str(shop.pk), "target": "99.9", "timezone": "UTC", **fields}


def errors(answer) -> dict:
    return {name: list(found) for name, found in answer.context["adminform"].form.errors.items()}


def test_an_objective_is_made_and_changed_here(operator_client, shop):
    answer = operator_client.post(
        f"{OBJECTIVES}add/", form(shop, window="4w", minutes="p95<0.3s", timezone="Europe/Riga")
    )
    assert answer.status_code == 302, errors(answer)
    objective = Objective.objects.get()
    assert (objective.owner, objective.target, objective.window_seconds) == (Owner.UI, 99.9, 28 * 86_400)
    assert (objective.minutes, objective.timezone) == ("p95 < 300ms", "Europe/Riga")
    page = operator_client.get(f"{OBJECTIVES}{objective.pk}/change/").content.decode()
    assert 'value="4w"' in page

    operator_client.post(f"{OBJECTIVES}{objective.pk}/change/", form(shop))

    objective.refresh_from_db()
    assert (objective.window_seconds, objective.minutes) == (None, "")
    listed = operator_client.get(OBJECTIVES).content.decode()
    assert "99.9 % available" in listed
    assert "the calendar month" in listed


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("target", "100", "less than or equal to 99.9999"),
        ("target", "49", "greater than or equal to 50"),
        ("window", "6d", "1w to 90d"),
        ("window", "a while", "not a duration"),
        ("minutes", "p95 > 1s", "not a promise about minutes"),
        ("timezone", "Europe/Rga", "unknown time zone"),
        ("monitor", "", "required"),
    ],
)
def test_what_can_not_be_promised_is_said(operator_client, shop, field, value, problem):
    answer = operator_client.post(f"{OBJECTIVES}add/", form(shop, **{field: value}))
    assert answer.status_code == 200
    assert problem in " ".join(errors(answer)[field])
    assert not Objective.objects.exists()


def test_what_the_file_owns_is_read_only(operator_client, shop):
    objective = Objective.objects.create(name="There", monitor=shop, target=99.5, owner=Owner.FILE)

    page = operator_client.get(f"{OBJECTIVES}{objective.pk}/change/").content.decode()

    assert "kept in the configuration file" in page
    assert "99.5 % available" in page
    assert operator_client.post(f"{OBJECTIVES}{objective.pk}/change/", form(shop)).status_code == 403
