"""What a request to the receiver says, and what is refused before anything is stored."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.heartbeats.request import Refused, digest_of, numbers_of, read
from checks.heartbeats.runs import Action, Named
from tests.checks.heartbeats.asking import CODE, PING
from tests.factories import NOON, at

KEY = "aB3_-xYz0123456789abcd"


@pytest.mark.parametrize(
    ("behind", "action", "exit_code"),
    [
        ("", Action.SUCCESS, None),
        ("/start", Action.START, None),
        ("/fail", Action.FAIL, None),
        ("/log", Action.LOG, None),
        ("/0", Action.SUCCESS, 0),
        ("/3", Action.FAIL, 3),
    ],
)
@pytest.mark.parametrize("by", ["code", "slug"])
def test_both_forms_of_an_address_take_the_same_reports(by, behind, action, exit_code):
    path = PING if by == "code" else f"/ping/{KEY}/nightly-backup"
    request = read(path + behind, b"", NOON)
    assert (request.action, request.exit_code) == (action, exit_code)
    assert request.address == (CODE if by == "code" else Named(digest_of(KEY), "nightly-backup"))


@pytest.mark.parametrize(
    "path", [f"/ping/{KEY}", f"/ping/{KEY}/Slug", f"/ping/{KEY}/a--b", "/ping/short/slug", f"/ping/{KEY}/{'a' * 101}"]
)
def test_what_is_no_address_is_no_ping(path):
    with pytest.raises(Refused) as refused:
        read(path, b"", NOON)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("given_at", "sent"),
    [
        ("2026-03-10T12:19:00Z", at(-60)),
        ("2026-03-10T13:19:00%2B01:00", at(-60)),
        ("2026-03-10T13:19:00+01:00", at(-60)),  # a plus that nobody encoded
        (str(int(at(-60).timestamp())), at(-60)),
        (f"{at(-60).timestamp():.3f}", at(-60)),
        ("2026-03-10T12:20:30Z", None),  # a clock that runs ahead a little
    ],
)
def test_a_client_may_say_when_it_was_so(given_at, sent):
    assert read(PING, f"at={given_at}".encode(), NOON).sent_at == sent


@pytest.mark.parametrize(
    ("given_at", "sentence"),
    [
        ("yesterday", "at is no instant"),
        ("", "at is no instant"),
        ("2026-03-10T12:19:00", "at has no time zone"),
        ("2026-03-09T12:19:00Z", "at is more than 24 h ago"),
        ("2026-03-10T12:26:00Z", "at is in the future"),
        ("9" * 40, "at is no instant"),
        ("1e300", "at is no instant"),
    ],
)
def test_a_time_that_can_not_be_believed_is_refused_with_what_is_wrong(given_at, sentence):
    with pytest.raises(Refused, match=sentence) as refused:
        read(PING, f"at={given_at}".encode(), NOON)
    assert refused.value.status == 400


def test_numbers_come_with_the_query():
    query = b"rows=1423&bytes=9e6&rid=0b6a36f2-91c4-4a2e-8a4b-5d3f8a1c2e77&name=x&bad=nan&inf=1e999&ok=-.5&1x=3"
    assert read(PING, query, NOON).numbers == {"rows": 1423.0, "bytes": 9e6, "ok": -0.5}
    many = "&".join(f"n{number}={number}" for number in range(50)).encode()
    assert len(read(PING, many, NOON).numbers) == 20


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        (
            b'{"rows": 5, "share": 0.5, "name": "x", "ok": true, "text": "7", "deep": {"a": 1}}',
            {"rows": 5, "share": 0.5},
        ),
        (b' {"a": 1}', {"a": 1.0}),
        (b'{"a": NaN, "b": 1e999}', {}),
        (b'\xef\xbb\xbf{"rows": 5}', {"rows": 5}),
        (b'{"rows": 5, "said": "caf\xe9"}', {"rows": 5}),
        (b'{"rows": 5, "id": ' + b"9" * 5000 + b"}", {"rows": 5}),
        (b"[1, 2]", {}),
        (b"{rows: 5}", {}),
        (b"\xff\xfe{", {}),
        (b'{"a":' * 5000, {}),
        (b'{"a": ' + b"9" * 5000 + b"}", {}),
        (b"", {}),
    ],
)
def test_numbers_come_with_a_body_that_is_a_json_object(body, numbers):
    assert numbers_of(body) == numbers


@given(st.binary(max_size=200))
def test_no_body_and_no_query_breaks_the_reading(data):
    numbers_of(data)
    with suppress(Refused):
        read(PING, data, NOON)


def test_a_day_ago_is_the_last_that_is_believed():
    ago = NOON - timedelta(days=1)
    assert read(PING, f"at={ago:%Y-%m-%dT%H:%M:%SZ}".encode(), NOON).sent_at == ago
