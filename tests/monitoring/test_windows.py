from datetime import UTC, datetime, timedelta

import pytest

from monitoring.windows import CUSTOM, NoWindow, Window, asked

NOW = datetime(2026, 3, 10, 12, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "name", "length"),
    [
        ({}, "day", timedelta(days=1)),
        ({"window": "hour"}, "hour", timedelta(hours=1)),
        ({"window": "week", "q": "else"}, "week", timedelta(days=7)),
        ({"window": "month", "start": " "}, "month", timedelta(days=30)),
    ],
)
def test_a_named_window_ends_now(query, name, length):
    assert asked(query, NOW) == Window(name, NOW - length, NOW)


@pytest.mark.parametrize(
    ("begin", "end", "start", "until"),
    [
        ("2026-03-01T10:00", "2026-03-02T11:30", (3, 1, 10, 0), (3, 2, 11, 30)),
        ("2026-03-01 10:00", "", (3, 1, 10, 0), (3, 10, 12, 20)),
        ("2026-03-01", "2026-03-02T00:00:00+02:00", (3, 1, 0, 0), (3, 1, 22, 0)),
        ("2026-03-01T12:00 02:00", "", (3, 1, 10, 0), (3, 10, 12, 20)),
        ("2026-03-01T10:00Z", "2027-01-01", (3, 1, 10, 0), (3, 10, 12, 20)),
    ],
)
def test_a_window_of_ones_own_is_in_utc_where_it_names_no_zone_and_ends_now_at_the_latest(begin, end, start, until):
    found = asked({"start": begin, "end": end, "window": "hour"}, NOW)

    assert found == Window(CUSTOM, datetime(2026, *start, tzinfo=UTC), datetime(2026, *until, tzinfo=UTC))
    assert found.length == found.end - found.start


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"window": "year"}, "window is 'year'; allowed: hour, day, week, month"),
        ({"end": "2026-03-01"}, "there is an end and no start"),
        ({"start": "yesterday"}, "start is 'yesterday'; allowed: an instant"),
        ({"start": "2026-03-01", "end": "0001-01-01T00:00+14:00"}, "end is"),
        ({"start": "0001-01-01", "end": "0001-01-02"}, "start is '0001-01-01'; allowed: an instant since 1970"),
        ({"start": "1969-12-31T23:00Z"}, "allowed: an instant since 1970"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "the start is not before the end"),
        ({"start": "2026-04-01"}, "lies in the future"),
        ({"start": "2020-01-01"}, "2260 days apart; allowed: at most 1098"),
    ],
)
def test_what_is_no_window_is_told_with_what_is_allowed(query, sentence):
    with pytest.raises(NoWindow, match=sentence.replace("(", r"\(")):
        asked(query, NOW)
