"""Secrets inside options that have options of their own are sealed, hidden and found like all others."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from checks.evidence import secrets_of, without
from checks.spec import REDACTED, MonitorSpec, Secret, SecretMark
from checks.spec_secrets import has_secrets, keep_secrets, redact, seal, secrets_in, stands_for_nothing, unseal


class Door(BaseModel):
    name: str
    username: str = ""
    password: Secret = ""
    headers: Annotated[dict[str, str], SecretMark()] = {}


class Room(BaseModel):
    title: str = ""
    doors: Annotated[tuple[Door, ...], Field(max_length=5)] = ()
    safe: Door | None = None
    cupboards: dict[str, Door] = {}
    codes: Annotated[tuple[str, ...], SecretMark()] = ()


class House(MonitorSpec):
    kind: str = "house"
    rooms: tuple[Room, ...] = ()
    key: Secret = ""
    garden: Room | None = None


secret = st.text('abcdé"\\ xyz', min_size=5, max_size=12).map("s3cret-{}.".format)
door = st.fixed_dictionaries(
    {"name": st.sampled_from(["front", "back"])},
    optional={
        "username": st.just("eve"),
        "password": secret,
        "headers": st.dictionaries(st.sampled_from(["sealed", "X-A"]), secret, min_size=1),
    },
)
room = st.fixed_dictionaries(
    {},
    optional={
        "title": st.just("cellar"),
        "doors": st.lists(door, max_size=2, unique_by=lambda made: made["name"]),
        "safe": door,
        "cupboards": st.dictionaries(st.sampled_from(["sealed", "left"]), door),
        "codes": st.lists(secret, min_size=1, max_size=2),
    },
)
house = st.fixed_dictionaries(
    {"name": st.just("House"), "slug": st.just("house")},
    optional={"rooms": st.lists(room, max_size=3), "key": secret, "garden": room},
)


def written(value: Any) -> list[str]:
    """Every text in a document that looks like one of our secrets."""
    match value:
        case str():
            return [value] if value.startswith("s3cret-") else []
        case dict():
            return [found for inner in value.values() for found in written(inner)]
        case list():
            return [found for inner in value for found in written(inner)]
        case _:
            return []


@given(house)
def test_no_secret_stays_readable_however_deep_it_lies_and_each_opens_as_it_was(data: dict[str, Any]) -> None:
    sealed = seal(House, data, lambda clear: clear.encode().hex())
    assert written(sealed) == []
    assert unseal(House, sealed, lambda text: bytes.fromhex(text).decode()) == data
    assert seal(House, sealed, lambda _: pytest.fail("was sealed twice")) == sealed


@given(house)
def test_what_is_shown_has_dots_for_each_secret_and_all_the_rest(data: dict[str, Any]) -> None:
    shown = redact(House, data)
    assert written(shown) == []
    assert json.dumps(shown, ensure_ascii=False).count(REDACTED) == len(written(data))
    assert [room.get("title") for room in shown.get("rooms", ())] == [r.get("title") for r in data.get("rooms", ())]


@given(house)
def test_evidence_is_free_of_them_also_in_the_form_of_basic_authentication(data: dict[str, Any]) -> None:
    spec = House.model_validate(data)
    found = sorted(value for _, value in secrets_in(spec))
    assert found == sorted(written(data))
    secrets = secrets_of(spec)
    assert written(without({"told": found}, secrets)) == []
    told = [f"Basic {form}" for form in secrets]
    assert all(line == f"Basic {REDACTED}" for line in without(told, secrets))


def test_basic_authentication_is_that_of_the_model_that_has_the_password() -> None:
    doors = [{"name": "front", "username": "eve", "password": "wonder"}, {"name": "back", "password": "bobbob"}]
    secrets = secrets_of(House.model_validate({"name": "House", "rooms": [{"doors": doors}]}))
    assert "ZXZlOndvbmRlcg==" in secrets  # eve:wonder
    assert {"wonder", "bobbob"} <= set(secrets)


def test_what_another_version_stored_in_another_shape_is_left_as_it_is() -> None:
    data = {"rooms": [7, {"doors": "open"}], "garden": "none"}
    assert seal(House, data, lambda _: pytest.fail("there is no secret")) == data


def test_a_model_knows_whether_it_has_secrets() -> None:
    assert has_secrets(House)
    assert has_secrets(Room)
    assert not has_secrets(MonitorSpec)


@given(house)
def test_dots_stand_for_the_secret_that_was_in_their_place(data: dict[str, Any]) -> None:
    shown = redact(House, data)
    assert keep_secrets(House, shown, data) == data
    assert keep_secrets(House, data, {}) == data
    assert stands_for_nothing(House, shown) is bool(written(data))
    assert not stands_for_nothing(House, data)


def test_dots_follow_a_name_and_not_a_place() -> None:
    before = {"rooms": [{"doors": [{"name": "front", "password": "one"}, {"name": "back", "password": "two"}]}]}
    turned = {"rooms": [{"doors": [{"name": "back", "password": REDACTED}, {"name": "side", "password": REDACTED}]}]}
    kept = keep_secrets(House, turned, before)["rooms"][0]["doors"]
    assert [door["password"] for door in kept] == ["two", REDACTED]
    assert stands_for_nothing(House, {"rooms": [{"doors": kept}]})
