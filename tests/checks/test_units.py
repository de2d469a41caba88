"""Durations and sizes, as people write them and as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.units import format_duration, parse_duration, parse_size, spoken_duration, spoken_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("800ms", 0.8),
        ("150us", 0.00015),
        ("0s", 0),
        ("1.5h", 5400),
        ("2w", 1209600),
        ("14d", 1209600),
        (" 5 m ", 300),
        ("1m1s", 61),
        ("90 s", 90),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["5 parsecs", "1:30", "-5s", "s", "5", "1e9s", "5S", "5 m x", "\u0665s", "5.s", ".5s", "1h-2h", "9" * 20 + "s"],
)
def test_what_is_no_duration_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration: .* as in 90s or 1h 30m"):
        parse_duration(text)


@pytest.mark.parametrize("value", [60, 1.5, None, True, ["60s"]])
def test_a_bare_number_has_no_unit(value: object) -> None:
    with pytest.raises(ValueError, match="a duration needs a unit, as in 60s, 5m or 800ms"):
        parse_duration(value)


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        parse_duration(text)


@given(st.one_of(st.integers(0, 10**9).map(float), st.integers(0, 10**9).map(lambda n: n / 1000)))
def test_a_duration_that_was_written_is_read_as_it_was(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60.0, "1m"), (90.0, "90s"), (3600.0, "1h"), (0.8, "800ms"), (0.0, "0s"), (604800.0, "1w"), (0.00015, "150us")],
)
def test_a_duration_is_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("14.2kB", 14200), ("1MiB", 1048576), ("1 GB", 10**9), ("1KiB", 1024), ("0B", 0), ("2GiB", 2**31)],
)
def test_a_size_is_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["512", "1 mb", "-1B", "", "1TB", 5, None])
def test_what_is_no_size_is_told_what_one_looks_like(text: object) -> None:
    with pytest.raises(ValueError, match=r"not a size: .* as in 512B or 1MiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0001234, "0.123 ms"),
        (0.82, "820 ms"),
        (0.9996, "1 s"),
        (4.2, "4.2 s"),
        (9.999, "10 s"),
        (59.7, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (183600, "2 d 3 h"),
        (86400 * 400, "400 d"),
    ],
)
def test_a_duration_is_spoken_in_two_units_at_most(seconds: float, text: str) -> None:
    assert spoken_duration(seconds) == text


@given(st.floats(0, 10**10))
def test_any_duration_can_be_spoken(seconds: float) -> None:
    assert len(spoken_duration(seconds)) < 30


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (14213, "14.21 kB"), (3_100_000, "3.1 MB")])
def test_a_size_is_spoken_with_a_unit(size: int, text: str) -> None:
    assert spoken_size(size) == text
