from __future__ import annotations

import pytest
from pydantic import ValidationError

from checks.probes import parse_spec
from monitoring.api.healthchecks.asked import LONGEST, Asked, Invalid, options, problems_of, read

BEFORE = {"kind": "heartbeat", "name": "Backup", "slug": "backup", "schedule": {"every": "1d"}, "grace": "1h"}


def problems(document: dict) -> str:
    with pytest.raises(Invalid) as caught:
        read(document)
    return str(caught.value)


def spec_of(document: dict, before: dict | None = None):
    return parse_spec(options(read(document), BEFORE if before is None else before, "backup"))


def refused(document: dict) -> str:
    with pytest.raises(ValidationError) as caught:
        spec_of(document)
    return "; ".join(problems_of(caught.value))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": 5}, "name is 5; allowed: text"),
        ({"name": "  "}, 'name is "  "; allowed: text that is not empty'),
        ({"name": "a\0b"}, 'name is "a\\u0000b"; allowed: text without U+0000'),
        ({"desc": "\ud800"}, 'desc is "\\ud800"; allowed: text without U+D800'),
        ({"tags": ["a"]}, "tags is an array of 1; allowed: text"),
        ({"timeout": None}, f"timeout is null; allowed: a whole number of seconds, 1 to {LONGEST}"),
        ({"timeout": "60"}, f'timeout is "60"; allowed: a whole number of seconds, 1 to {LONGEST}'),
        ({"timeout": True}, f"timeout is true; allowed: a whole number of seconds, 1 to {LONGEST}"),
        ({"timeout": 0}, f"timeout is 0; allowed: a whole number of seconds, 1 to {LONGEST}"),
        ({"grace": LONGEST + 1}, f"grace is {LONGEST + 1}; allowed: a whole number of seconds, 1 to {LONGEST}"),
        ({"grace": 60.5}, f"grace is 60.5; allowed: a whole number of seconds, 1 to {LONGEST}"),
        ({"schedule": ""}, 'schedule is ""; allowed: text that is not empty'),
        ({"methods": "GET"}, 'methods is "GET"; allowed: "" and "POST"'),
        ({"methods": {}}, 'methods is an object of 0; allowed: "" and "POST"'),
        ({"manual_resume": 1}, "manual_resume is 1; allowed: true or false"),
        ({"unique": "name"}, 'unique is "name"; allowed: an array of name, slug, tags, timeout, grace'),
        ({"unique": ["name", []]}, "unique is an array of 2; allowed: an array of name, slug, tags, timeout, grace"),
        (
            {"filter_default_fail": True},
            "filter_default_fail is true; allowed: false: a ping without a keyword reports what its address says",
        ),
    ],
)
def test_a_value_of_another_form_is_named_with_what_is_allowed(document, message):
    assert problems(document) == message


def test_every_problem_is_told_at_once():
    assert problems({"name": 5, "grace": "x"}).count("; allowed: ") == 2


def test_a_time_zone_that_is_none_is_named_even_where_no_schedule_needs_it():
    assert "tz is \"Europe/Rigaa\"; allowed: a time zone (unknown time zone 'Europe/Rigaa'" in problems(
        {"tz": "Europe/Rigaa"}
    )


def test_a_long_value_is_cut():
    assert len(problems({"methods": "x" * 10_000})) < 200


def test_fields_that_nobody_knows_are_passed_over():
    assert read({"api_key": "x", "colour": None}) == Asked()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"tags": "prod Web"}, 'tags is "Web"; allowed: a-z, 0-9 and _ . : / -, as in prod'),
        ({"name": "x" * 201}, f'name is "{"x" * 59}...; allowed: at most 200 characters'),
        ({"name": "a\nb"}, "name: has the control character U+000A at position 2; only text is allowed"),
        (
            {"schedule": "61 * * * *"},
            "schedule: cron '61 * * * *': the minute '61' is not possible; allowed: 0-59, with * , - and /",
        ),
        ({"success_kw": ",".join(map(str, range(21)))}, "success_kw is an array of 21; allowed: at most 20 of them"),
        ({"start_kw": "x" * 201}, f'start_kw is "{"x" * 59}...; allowed: at most 200 characters'),
    ],
)
def test_what_our_specification_refuses_is_told_in_the_words_of_the_fields(document, message):
    assert refused(document) == message


def test_a_schedule_that_never_occurs_is_refused():
    assert "never occurs" in refused({"schedule": "0 0 31 2 *"})


def test_a_slug_of_another_form_is_refused():
    with pytest.raises(ValidationError) as caught:
        parse_spec(options(Asked(), BEFORE, "my_slug"))
    assert problems_of(caught.value) == ['slug is "my_slug"; allowed: a-z, 0-9 and single hyphens, as in my-shop']


def test_every_field_has_its_option():
    spec = spec_of(
        {
            "name": "Nightly",
            "tags": "db  prod db",
            "desc": "Runs at night.\nAsk Ann.",
            "timeout": 120,
            "grace": 90,
            "methods": "POST",
            "start_kw": "begun",
            "success_kw": "OK, DONE,",
            "failure_kw": "ERROR",
        }
    )
    assert (spec.name, spec.slug, spec.tags, spec.description) == (
        "Nightly",
        "backup",
        ("db", "prod"),
        "Runs at night.\nAsk Ann.",
    )
    assert (spec.schedule.every, spec.grace, spec.post_only) == (120.0, 90.0, True)
    assert (spec.start_keywords, spec.success_keywords, spec.failure_keywords) == (
        ("begun",),
        ("OK", "DONE"),
        ("ERROR",),
    )


def test_what_is_not_asked_stays_as_it_is():
    before = {**BEFORE, "max_run": "2h", "tags": ["db"], "expect": ["rows > 0"], "post_only": True}
    spec = spec_of({"grace": 60}, before)
    assert spec == parse_spec({**before, "grace": "60s"})


@pytest.mark.parametrize(
    ("given", "before", "schedule"),
    [
        ({"schedule": "5 * * * *"}, {"every": "1d"}, {"cron": "5 * * * *"}),
        (
            {"schedule": "5 * * * *", "tz": "Europe/Riga"},
            {"every": "1d"},
            {"cron": "5 * * * *", "timezone": "Europe/Riga"},
        ),
        (
            {"schedule": "6 * * * *"},
            {"cron": "5 * * * *", "timezone": "Asia/Tokyo"},
            {"cron": "6 * * * *", "timezone": "Asia/Tokyo"},
        ),
        ({"schedule": "30 5 * * * *"}, {"every": "1d"}, {"cron": "30 5 * * * *"}),
        ({"schedule": "@daily"}, {"every": "1d"}, {"cron": "@daily"}),
        ({"schedule": "Mon..Fri 03:00"}, {"every": "1d"}, {"oncalendar": "Mon..Fri 03:00"}),
        (
            {"schedule": "Mon 03:00\n*-*-01 04:00\n"},
            {"every": "1d"},
            {"oncalendar": ["Mon 03:00", "*-*-01 04:00"]},
        ),
        ({"schedule": "5 * * * *", "timeout": 60}, {"every": "1d"}, {"cron": "5 * * * *"}),
        ({"timeout": 60}, {"cron": "5 * * * *", "timezone": "Asia/Tokyo"}, {"every": "60s"}),
        ({"tz": "Asia/Tokyo"}, {"cron": "5 * * * *"}, {"cron": "5 * * * *", "timezone": "Asia/Tokyo"}),
        ({"tz": "Asia/Tokyo"}, {"every": "1d"}, {"every": "1d"}),
        ({"tz": "Asia/Tokyo", "timeout": 60}, {"every": "1d"}, {"every": "60s"}),
    ],
)
def test_a_schedule_is_cron_or_a_calendar_and_goes_before_a_timeout(given, before, schedule):
    assert spec_of(given, {**BEFORE, "schedule": before}) == parse_spec({**BEFORE, "schedule": schedule})


def test_the_older_words_for_keywords_are_heard_and_the_newer_go_before_them():
    assert spec_of({"subject": "OK", "subject_fail": "BAD"}).failure_keywords == ("BAD",)
    assert spec_of({"subject": "OK", "success_kw": "DONE"}).success_keywords == ("DONE",)
    assert spec_of({"subject": ""}, {**BEFORE, "success_keywords": ["OK"]}).success_keywords == ()


def test_keywords_that_are_not_to_be_looked_for_are_refused():
    with pytest.raises(Invalid, match="filter_subject, filter_body: false, and there are keywords"):
        spec_of({"success_kw": "OK", "filter_subject": False, "filter_body": False})
    assert spec_of({"success_kw": "OK", "filter_subject": True, "filter_body": False}).success_keywords == ("OK",)
    assert spec_of({"filter_subject": False}).success_keywords == ()
