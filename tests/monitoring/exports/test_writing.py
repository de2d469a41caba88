from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given

from checks.status import Status
from monitoring.exports.writing import CSV, JSON, written

texts = st.text(st.characters(codec="utf-8"), max_size=20)


def document(form, rows, columns=("a", "b"), head=None, page=3):
    pages = [rows[i : i + page] for i in range(0, len(rows), page)]
    return b"".join(written(form, columns, pages, head or {})).decode()


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_a_cell_is_never_a_formula(text):
    ((_, cell),) = list(csv.reader(io.StringIO(document(CSV, [("x", text)]), newline="")))[1:]
    assert cell == f"'{text}"


def test_numbers_below_zero_stay_numbers():
    assert document(CSV, [(-1, -0.5)]) == "a,b\r\n-1,-0.5\r\n"


@given(rows=st.lists(st.tuples(texts, st.none() | st.booleans() | st.integers() | texts), max_size=8))
def test_what_is_written_as_json_is_read_back(rows):
    found = json.loads(document(JSON, rows, head={"monitor": "x"}))
    assert found == {"monitor": "x", "rows": [{"a": a, "b": b} for a, b in rows]}


@given(rows=st.lists(st.tuples(texts, texts), max_size=8))
def test_what_is_written_as_csv_is_read_back_but_for_the_apostrophes(rows):
    found = list(csv.reader(io.StringIO(document(CSV, rows), newline="")))[1:]
    assert [[cell.removeprefix("'") for cell in row] for row in found] == [
        [text.removeprefix("'") for text in row] for row in rows
    ]
    assert not any(cell[:1] in "=+-@\t\r\n" for row in found for cell in row if cell)


def test_values_are_written_alike_in_both_forms():
    instant = datetime(2026, 10, 1, 12, 0, 0, 5, tzinfo=UTC)
    row = (instant, date(2026, 10, 1), Status.DOWN, UUID(int=1), True, None, 0.025)
    texts = ["2026-10-01T12:00:00.000005Z", "2026-10-01", "down", "00000000-0000-0000-0000-000000000001"]

    assert document(CSV, [row], "abcdefg").splitlines()[1] == ",".join([*texts, "true", "", "0.025"])
    assert list(json.loads(document(JSON, [row], "abcdefg"))["rows"][0].values()) == [*texts, True, None, 0.025]


def test_a_document_without_rows_is_whole():
    assert document(CSV, []) == "a,b\r\n"
    assert json.loads(document(JSON, [])) == {"rows": []}
    assert json.loads(b"".join(written(JSON, ["a"], iter([[]]), {}))) == {"rows": []}


def test_what_has_no_form_is_a_mistake_of_ours():
    with pytest.raises(TypeError, match="no value of an export"):
        document(CSV, [(object(), 1)])
