"""Options that are lists of entries with options of their own: a text in YAML, its mistakes at its field."""

from __future__ import annotations

import pytest
from django.test import Client

from checks.spec import REDACTED
from monitoring import publish
from monitoring.models import Monitor
from tests.monitoring.test_admin_monitors import ADD, change_url, errors, filled

pytestmark = pytest.mark.django_db

STEPS = """
- name: Sign in
  url: https://shop.example.org/session
  method: POST
  form: {user: eve, password: typed-s3cret}
  capture: {token: json $.token}
- name: Cart
  url: https://shop.example.org/cart/{{token}}
  headers: {X-Key: typed-k3y, X-Note: "${not a variable}"}
  expect: [status == 200]
"""


@pytest.fixture(params=["sqlite"])
def dialect(request) -> str:
    return str(request.param)


@pytest.fixture
def page(published_to, operator_client: Client) -> Client:
    return operator_client


@pytest.fixture
def monitor(page, committed) -> Monitor:
    with committed():
        answer = page.post(f"{ADD}?kind=flow", filled("flow", name="Shop", steps=STEPS.replace("\n", "\r\n")))
        assert answer.status_code == 302, errors(answer)
    return Monitor.objects.get()


def steps_of(monitor: Monitor):
    return publish.spec_of(Monitor.objects.get(pk=monitor.pk)).steps


def test_what_is_typed_as_in_the_file_is_what_it_says_there(monitor):
    sign_in, cart = steps_of(monitor)
    assert (sign_in.name, sign_in.method, sign_in.form) == (
        "Sign in",
        "POST",
        {"user": "eve", "password": "typed-s3cret"},
    )
    assert sign_in.capture == {"token": "json $.token"}
    assert cart.headers == {"X-Key": "typed-k3y", "X-Note": "${not a variable}"}
    assert "typed" not in str(monitor.spec)


def test_the_form_shows_them_short_and_without_secrets(page, monitor):
    body = page.get(change_url(monitor)).content.decode()
    assert "typed-" not in body
    assert "X-Key: ••••••" in body
    assert "https://shop.example.org/cart/{{token}}" in body
    assert "follow_redirects: true" not in body


def test_secrets_that_are_not_typed_again_stay_with_the_step_of_their_name(page, monitor, committed):
    cart, sign_in = (part.strip() for part in reversed(filled("flow", monitor)["steps"].split("- name:")[1:]))
    turned = f"- name: {cart}\n- name: {sign_in}\n"
    with committed():
        steps = turned.replace("X-Note: ••••••", "X-Note: new").replace("{{token}}", "x")
        answer = page.post(change_url(monitor), filled("flow", monitor, steps=steps))
        assert answer.status_code == 302, errors(answer)
    first, second = steps_of(monitor)
    assert first.headers == {"X-Key": "typed-k3y", "X-Note": "new"}
    assert second.form == {"user": "eve", "password": "typed-s3cret"}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("", "This field is required."),
        ("name: a", "expected a list, each entry after a hyphen and with its options as name: value"),
        ("- a\n- b", "expected a list, each entry after a hyphen and with its options as name: value"),
        ("- name: a\n  name: b", "line 2, column 3: the key stands twice, first in line 1"),
        ("- {name: a, url: &x http://a.example/}", "line 1, column 18: anchors are not allowed, found &x"),
        ("- name: a", "entry 1, url: Field required"),
        ("- {name: a, url: http://a.example/}\n- {name: b, url: 'ftp://a'}", "entry 2, url: begins with ftp://"),
        (
            "- {name: a, url: http://a.example/, expect: [statu == 1]}",
            "entry 1, expect: 'statu == 1', character 1: unknown",
        ),
        ("- {name: a, url: http://a.example/, colour: red}", "entry 1, colour: Extra inputs are not permitted"),
        ("- {name: a, url: 'http://a.example/{{b}}'}", "step 1, url: nothing is captured as 'b'"),
        (f"- {{name: a, url: http://a.example/, headers: {{X: {REDACTED}}}}}", "stands for a secret that is not there"),
    ],
)
def test_a_mistake_is_told_at_the_field_with_its_place(page, steps, message):
    found = errors(page.post(f"{ADD}?kind=flow", filled("flow", name="Shop", steps=steps)))
    assert list(found) == ["steps"]
    assert message in found["steps"][0]


def test_every_mistake_is_told_once(page):
    steps = "- {name: a, method: GET}\n- {url: http://a.example/, name: '', expect: [x == 1]}"
    found = errors(page.post(f"{ADD}?kind=flow", filled("flow", name="Shop", steps=steps)))["steps"]
    assert [problem.partition(":")[0] for problem in found] == ["entry 1, url", "entry 2, name", "entry 2, expect"]


def test_the_steps_of_a_dialogue_are_typed_in_the_same_way(page, committed):
    dialogue = '- expect: [\'reply matches "^220 "\']\n- send: "QUIT\\r\\n"\n'
    with committed():
        page.post(f"{ADD}?kind=tcp", filled("tcp", name="Mail", address="127.0.0.1:25", dialogue=dialogue))
    spec = publish.spec_of(Monitor.objects.get())
    assert [step.send for step in spec.dialogue] == ["", "QUIT\r\n"]
