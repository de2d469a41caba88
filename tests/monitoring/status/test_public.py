from __future__ import annotations

import dataclasses
import json
import typing
from datetime import timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from checks.status import Status
from monitoring.status import public
from monitoring.status.public import (
    Overall,
    PublicComponent,
    PublicDay,
    PublicGroup,
    PublicIncident,
    PublicPage,
    PublicUpdate,
    from_payload,
    to_payload,
)
from tests.factories import NOON

ALLOWED = {
    "PublicPage": {
        "slug",
        "title",
        "description",
        "overall",
        "groups",
        "open",
        "recent",
        "post_mortems",
        "maintenance",
        "as_of",
    },
    "PublicMaintenance": {"title", "text", "components", "starts_at", "ends_at"},
    "PublicGroup": {"name", "components"},
    "PublicComponent": {"name", "description", "status", "since", "days", "ratio", "observed"},
    "PublicDay": {"day", "ratio", "observed", "down_seconds"},
    "PublicIncident": {
        "uuid",
        "components",
        "opened_at",
        "resolved_at",
        "resolution",
        "updates",
        "post_mortem_at",
    },
    "PublicUpdate": {"at", "text"},
}


def a_page() -> PublicPage:
    day = PublicDay(day=NOON.date(), ratio=0.5, observed=0.25, down_seconds=60.0)
    component = PublicComponent(
        name="Shop", description="", status=Status.UP, since=NOON, days=(day,), ratio=0.5, observed=0.25
    )
    incident = PublicIncident(
        uuid=UUID(int=7),
        components=("Shop",),
        opened_at=NOON,
        resolved_at=NOON + timedelta(minutes=4),
        resolution="recovered",
        updates=(PublicUpdate(at=NOON, text="We look."),),
        post_mortem_at=None,
    )
    return PublicPage(
        slug="public",
        title="Example",
        description="",
        overall=Overall.OPERATIONAL,
        groups=(PublicGroup(name="Core", components=(component,)),),
        open=(),
        recent=(incident,),
        post_mortems=(),
        as_of=NOON,
    )


def test_no_field_is_public_that_was_not_allowed():
    # Whoever adds a field here decides that the whole world may read it.
    types = [value for value in vars(public).values() if dataclasses.is_dataclass(value)]

    assert {kind.__name__: {field.name for field in dataclasses.fields(kind)} for kind in types} == ALLOWED


def test_what_is_public_is_plain_text_numbers_and_instants():
    for kind in (value for value in vars(public).values() if dataclasses.is_dataclass(value)):
        for name, hint in typing.get_type_hints(kind).items():
            assert "Any" not in str(hint), f"{kind.__name__}.{name} may hold anything"
            assert "dict" not in str(hint), f"{kind.__name__}.{name} may hold anything"


def test_a_page_survives_being_kept_as_json():
    page = a_page()

    assert from_payload(json.loads(json.dumps(to_payload(page)))) == page


def test_a_payload_of_another_version_is_refused():
    payload = to_payload(a_page())
    del payload["overall"]

    with pytest.raises(ValidationError):
        from_payload(payload)


def test_an_open_incident_has_no_length():
    incident = dataclasses.replace(a_page().recent[0], resolved_at=None)

    assert incident.seconds is None
    assert a_page().recent[0].seconds == 240.0
