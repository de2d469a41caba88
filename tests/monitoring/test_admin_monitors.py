from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from checks.probes import KINDS, parse_spec, spec_class
from checks.spec import dump
from monitoring import publish
from monitoring.admin import option_fields
from monitoring.admin.monitor_form import form_of
from monitoring.models import Monitor
from tests.factories import make_spec
from tests.servers import authority

pytestmark = pytest.mark.django_db

ADD = "/admin/monitoring/monitor/add/"


def change_url(monitor: Monitor) -> str:
    return f"/admin/monitoring/monitor/{monitor.pk}/change/"


def filled(kind: str, monitor: Monitor | None = None, **values: object) -> dict:
    """What a browser would send of a form that was opened and where only these values were typed."""
    form = form_of(kind)(instance=monitor)
    data = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    sent = {name: value for name, value in {**data, **values}.items() if value is not None and value is not False}
    return {name: "on" if value is True else value for name, value in sent.items()}


def errors(answer) -> dict:
    return {name: list(found) for name, found in answer.context["adminform"].form.errors.items()}


@pytest.fixture(params=["sqlite"])
def dialect(request) -> str:
    return str(request.param)


@pytest.fixture
def page(published_to, operator_client: Client) -> Client:
    return operator_client


def test_adding_begins_with_the_choice_of_a_kind(page):
    body = page.get(ADD).content.decode()
    for kind in KINDS:
        assert f'href="?kind={kind}"' in body
    assert "Asks a web address." in body
    assert '<input type="text" name="name"' not in body


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_shows_all_of_its_options_and_no_others(page, kind):
    body = page.get(f"{ADD}?kind={kind}").content.decode()
    own = {option.name for option in option_fields.fields_of(spec_class(kind))}
    others = {o.name for other in KINDS for o in option_fields.fields_of(spec_class(other))} - own
    assert [name for name in own if f'name="{name}"' not in body] == []
    assert [name for name in others if f'name="{name}"' in body] == []


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("http", {"name": "Shop", "url": "https://shop.example.org/health"}, {}),
        (
            "http",
            {
                "name": "Shop",
                "url": "https://shop.example.org/",
                "tags": "prod\r\nweb\r\n",
                "expect": 'status == 204\r\nbody contains "ok"',
                "interval": "1h 30m",
                "failures": "1",
                "headers": "X-One: 1\r\nX-Two: a: b",
                "method": "POST",
                "body": "line one\r\nline two",
                "follow_redirects": False,
                "username": "me",
                "password": " spaced secret ",
            },
            {
                "tags": ["prod", "web"],
                "expect": ["status == 204", 'body contains "ok"'],
                "interval": "90m",
                "failures": 1,
                "headers": {"X-One": "1", "X-Two": "a: b"},
                "method": "POST",
                "body": "line one\nline two",
                "follow_redirects": False,
                "username": "me",
                "password": "spaced secret",
            },
        ),
        ("tcp", {"name": "Mail", "address": "mail.example.org:25", "tls": True}, {"tls": True}),
        (
            "heartbeat",
            {"name": "Backup", "schedule__cron": "0 3 * * *", "schedule__timezone": "Europe/Riga", "grace": "1h"},
            {"schedule": {"cron": "0 3 * * *", "timezone": "Europe/Riga"}, "grace": "1h"},
        ),
    ],
)
def test_what_was_typed_is_the_specification(page, committed, kind, values, wanted):
    with committed():
        answer = page.post(f"{ADD}?kind={kind}", filled(kind, **values))
    assert answer.status_code == 302, errors(answer)
    monitor = Monitor.objects.get()
    found = dump(publish.spec_of(monitor))
    assert {name: found[name] for name in wanted} == wanted
    assert (monitor.owner, monitor.revision, monitor.kind) == ("ui", 1, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_that_was_opened_and_saved_changes_nothing(page, make_monitor, committed, monkeypatch, kind):
    monkeypatch.setitem(KINDS, kind, replace(KINDS[kind], lacks=None))  # whatever this machine lacks for it
    monitor = make_monitor(kind=kind)
    before = publish.spec_of(monitor)
    with committed():
        answer = page.post(change_url(monitor), filled(kind, monitor))
    assert answer.status_code == 302, errors(answer)
    monitor.refresh_from_db()
    assert publish.spec_of(monitor) == before
    assert monitor.revision == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_that_a_form_shows_are_those_of_the_specification(kind):
    spec = make_spec(kind=kind)
    found = list(option_fields.fields_of(spec_class(kind)))
    shown = option_fields.initial(found, option_fields.defaults(spec_class(kind)))
    data = option_fields.document(found, shown, {})
    needed = {name: dump(spec)[name] for name, info in spec_class(kind).model_fields.items() if info.is_required()}
    assert parse_spec({**data, **needed, "kind": kind, "slug": spec.slug}) == spec


def test_every_problem_is_shown_at_its_field_at_once(page):
    answer = page.post(
        f"{ADD}?kind=http",
        filled(
            "http",
            name="Shop",
            url="ftp://host/",
            interval="5",
            timeout="2h",
            failures="0",
            expect="status == 200\r\nstatsu == 1",
            tags="prod\r\nNo Tag",
            runbook="see wiki",
        ),
    )
    found = errors(answer)
    assert answer.status_code == 200
    assert set(found) == {"url", "interval", "timeout", "failures", "tags", "runbook", "expect"}
    assert found["url"] == ["begins with ftp://; allowed: http:// and https://"]
    assert found["interval"] == ["not a duration: '5'; write a number and us, ms, s, m, h, d or w, as in 90s or 1h 30m"]
    assert found["tags"][0].startswith("line 2: ")
    assert Monitor.objects.count() == 0


def test_a_wrong_expectation_is_shown_at_the_expectations(page):
    answer = page.post(f"{ADD}?kind=http", filled("http", name="Shop", url="http://h/", expect="statsu == 1"))
    found = errors(answer)
    assert list(found) == ["expect"]
    assert "status" in found["expect"][0]


def test_a_rule_over_several_options_is_shown_too(page):
    answer = page.post(f"{ADD}?kind=http", filled("http", name="Shop", url="http://h/", quorum="2"))
    assert errors(answer) == {"quorum": ["2 of 1 locations can never agree"]}


def test_a_schedule_that_is_missing_is_shown_at_the_schedule(page):
    answer = page.post(f"{ADD}?kind=heartbeat", filled("heartbeat", name="Backup"))
    assert "schedule__every" in errors(answer)


def test_a_slug_that_is_taken_is_refused(page, make_monitor):
    make_monitor(name="Shop")
    answer = page.post(f"{ADD}?kind=tcp", filled("tcp", name="Shop", address="127.0.0.1:9"))
    assert errors(answer) == {"slug": ["shop is the slug of another monitor: Shop"]}


SECRETS = {
    "name": "Shop",
    "username": "me",
    "password": "kept-s3cret",
    "headers": {"X-Key": "kept-k3y", "X-Two": "kept-tw0"},
}


def secrets_of(monitor: Monitor) -> tuple:
    spec = publish.spec_of(Monitor.objects.get(pk=monitor.pk))
    return spec.password, spec.headers


def test_no_secret_is_in_any_page_of_the_admin(page, make_monitor):
    monitor = make_monitor(**SECRETS)
    for address in (change_url(monitor), "/admin/monitoring/monitor/", "/admin/"):
        body = page.get(address).content.decode()
        assert "kept-" not in body
        assert "sealed" not in body
    assert "X-Key: ••••••" in page.get(change_url(monitor)).content.decode()


def test_a_secret_that_was_not_typed_again_is_kept(page, make_monitor, committed):
    monitor = make_monitor(**SECRETS)
    with committed():
        page.post(change_url(monitor), filled("http", monitor, interval="5m"))
    assert secrets_of(monitor) == ("kept-s3cret", {"X-Key": "kept-k3y", "X-Two": "kept-tw0"})
    assert publish.spec_of(Monitor.objects.get()).interval == 300


def test_a_secret_is_replaced_and_removed(page, make_monitor, committed):
    monitor = make_monitor(**SECRETS)
    assert 'name="clear__password"' in page.get(change_url(monitor)).content.decode()
    assert 'name="clear__bearer"' not in page.get(change_url(monitor)).content.decode()
    with committed():
        page.post(change_url(monitor), filled("http", monitor, password="new", headers="X-Key: ••••••\r\nX-New: 3"))
    assert secrets_of(monitor) == ("new", {"X-Key": "kept-k3y", "X-New": "3"})
    with committed():
        page.post(change_url(monitor), filled("http", monitor, clear__password=True, headers=""))
    assert secrets_of(monitor) == ("", {})


def test_an_error_page_repeats_no_secret_that_was_typed(page):
    typed = {"password": "typed-s3cret", "client_key": "typed-key", "body": "typed-body"}
    answer = page.post(f"{ADD}?kind=http", filled("http", name="", url="x", **typed))
    assert "typed-" not in answer.content.decode()


def test_a_secret_of_several_lines_keeps_them(page, committed):
    certificate = authority().issue_cert("client.example")
    pems = {
        "client_certificate": certificate.cert_chain_pems[0].bytes().decode(),
        "client_key": certificate.private_key_pem.bytes().decode(),
    }
    typed = {name: pem.replace("\n", "\r\n") for name, pem in pems.items()}
    with committed():
        answer = page.post(f"{ADD}?kind=http", filled("http", name="Shop", url="http://h/", **typed))
    assert answer.status_code == 302, errors(answer)
    found = dump(publish.spec_of(Monitor.objects.get()))
    assert {name: found[name] for name in pems} == {name: pem.strip() for name, pem in pems.items()}
    body = page.get(change_url(Monitor.objects.get())).content.decode()
    assert '<textarea name="client_key"' in body
    assert pems["client_key"].splitlines()[1] not in body


def test_what_the_file_owns_is_read_only_and_says_so(page, make_monitor, committed):
    monitor = make_monitor(owner="file", **{**SECRETS, "url": "http://127.0.0.1:9/?token=kept-t0ken"})
    body = page.get(change_url(monitor)).content.decode()
    assert "This is kept in the configuration file" in body
    assert "url: http://127.0.0.1:9/" in body
    assert "kept-" not in body
    assert '<input type="text" name="url"' not in body
    with committed():
        assert page.post(change_url(monitor), filled("http", monitor, interval="5m")).status_code == 403
        assert page.post(f"/admin/monitoring/monitor/{monitor.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Monitor.objects.get().revision == 1


def test_the_list_shows_the_status_of_the_store(page, make_monitor, committed):
    with committed():
        publish.change(make_monitor(name="Shop", tags=["prod"]), paused=True)
    body = page.get("/admin/monitoring/monitor/").content.decode()
    assert "paused" in body
    assert "prod" in body


def test_the_list_is_there_when_the_store_is_not(page, make_monitor, monkeypatch, tmp_path):
    make_monitor(name="Shop")
    (tmp_path / "store").mkdir()
    monkeypatch.setenv("STILLUP_MEASUREMENTS_URL", f"sqlite:///{tmp_path}/store")
    assert "Shop" in page.get("/admin/monitoring/monitor/").content.decode()


@pytest.mark.parametrize("owner", ["ui", "file"])
def test_pause_and_resume_are_buttons_for_every_monitor(page, make_monitor, committed, owner):
    monitor = make_monitor(name="Shop", owner=owner)
    address = f"/admin/monitoring/monitor/{monitor.pk}"
    body = page.get(change_url(monitor)).content.decode()
    assert f'action="{address}/pause/"' in body
    assert f'action="{address}/resume/"' not in body
    with committed():
        assert page.post(f"{address}/pause/").status_code == 302
    assert Monitor.objects.get().paused
    with committed():
        page.post(f"{address}/resume/")
    assert not Monitor.objects.get().paused


@pytest.mark.parametrize("word", ["pause", "resume", "probe"])
def test_no_action_is_a_link(page, make_monitor, word):
    monitor = make_monitor()
    assert page.get(f"/admin/monitoring/monitor/{monitor.pk}/{word}/").status_code == 405
    assert not Monitor.objects.get().paused


def test_an_action_needs_the_token_of_the_form(admin_user, make_monitor, published_to):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    monitor = make_monitor()
    assert client.post(f"/admin/monitoring/monitor/{monitor.pk}/pause/").status_code == 403


def test_an_action_needs_the_permission_to_change(viewer, make_monitor, published_to, client):
    viewer.is_staff = True
    viewer.save()
    client.force_login(viewer)
    monitor = make_monitor()
    assert client.post(f"/admin/monitoring/monitor/{monitor.pk}/pause/").status_code == 403
    assert not Monitor.objects.get().paused


def test_a_deleted_monitor_is_deleted_in_the_store_too(page, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    with committed():
        page.post(f"/admin/monitoring/monitor/{monitor.pk}/delete/", {"post": "yes"})
    kept = make_monitor(name="File", owner="file")
    with committed():
        page.post(
            "/admin/monitoring/monitor/",
            {"action": "delete_selected", "_selected_action": [str(kept.pk)], "post": "yes"},
        )
    assert [m.name for m in Monitor.objects.all()] == ["File"]


@given(st.text(alphabet="\\r\n\r a", max_size=20))
def test_every_text_that_is_sent_as_it_stands_survives_a_text_area(text):
    (field,) = [field for field in option_fields.fields_of(spec_class("tcp")) if field.name == "send"]
    in_a_browser = field.show(text).replace("\n", "\r\n")
    assert "\r" not in field.show(text)
    assert (field.read(in_a_browser) or "") == text


@pytest.mark.parametrize("text", ["PING\r\n", "two\nlines\n", r"C:\runs\\r", "  spaced  "])
def test_a_text_that_is_sent_as_it_stands_is_saved_as_it_was(page, make_monitor, committed, text):
    monitor = make_monitor(kind="tcp", send=text)
    with committed():
        answer = page.post(change_url(monitor), filled("tcp", monitor, failures="2"))
    assert answer.status_code == 302, errors(answer)
    assert publish.spec_of(Monitor.objects.get()).send == text


def test_a_heartbeat_offers_its_address_and_no_probe(page, make_monitor):
    monitor = make_monitor(kind="heartbeat", name="Backup")
    body = page.get(change_url(monitor)).content.decode()
    assert f"http://127.0.0.1:8000/ping/{monitor.ping_code}" in body
    assert "/probe/" not in body


def test_options_that_can_not_be_read_can_be_written_anew(page, make_monitor, committed):
    monitor = make_monitor(name="Shop")
    Monitor.objects.update(spec={"kind": "http", "name": "Shop", "nonsense": 1})
    body = page.get(change_url(monitor)).content.decode()
    assert 'value="Shop"' in body
    with committed():
        page.post(change_url(monitor), filled("http", Monitor.objects.get(), url="http://127.0.0.1:9/"))
    assert publish.spec_of(Monitor.objects.get()).url == "http://127.0.0.1:9/"


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_has_its_sentence(kind):
    def sentences(model: type[BaseModel]) -> Iterator[str]:
        for option in option_fields.fields_of(model):
            yield f"{option.name}: {option.field.help_text}"

    assert [line for line in sentences(spec_class(kind)) if line.endswith(": ")] == []
