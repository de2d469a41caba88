"""Whatever a document says, the answer is no 500, and a refusal says why."""

from __future__ import annotations

import json
from dataclasses import fields
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.api.healthchecks.asked import Asked

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("published_to_sqlite")]

NAMES = [field.name for field in fields(Asked)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
LIKELY = st.sampled_from(
    ["", " ", "\0", "\ud800", "*", ",", "x", "X Y", "a-b", "--", "5 * * * *", "* * * * * *", "0 0 31 2 *", "@daily",
     "Mon 03:00", "Mon 03:00\n*-*-01", "UTC", "Europe/Riga", "../x", "POST", "a,b", "x" * 3000, 0, 1, -1, 60, 10**9,
     10**400, 1.5, True, False, None, [], ["name"], ["slug", "tags"], ["grace", "timeout"], {}, "\u2028", "é\u0301"]
)  # fmt: skip
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), LIKELY | JSON, max_size=6)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS, version=st.integers(1, 3), changes=st.booleans())
def test_no_document_is_a_trouble_of_ours(ask, make_monitor, document, version, changes):
    path = "checks/"
    if changes:
        path += ask("POST", "checks/", {"name": "Backup", "unique": ["name"]}).json()["uuid"]
    answer = ask("POST", path, json.dumps(document).encode(), version=version)
    assert answer.status_code in (200, 201, 400)
    if answer.status_code == 400:
        message = answer.json()["error"]
        assert message.startswith("json validation error: ")
        assert len(message) < 3000
    else:
        assert ask("GET", f"checks/{answer.json()['uuid']}", version=version).json() == answer.json()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), names=st.lists(st.sampled_from(["tag", "slug"]), max_size=2), text=st.text())
def test_no_body_and_no_query_is_a_trouble_of_ours(ask, body, names, text):
    assert ask("POST", "checks/", body).status_code in (400, 200, 201)
    query = urlencode([(name, text.encode("utf-8", "replace")) for name in names])
    assert ask("GET", f"checks/?{query}").json() == {"checks": []}
