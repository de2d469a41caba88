from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.result import PHASES
from monitoring.operator.drawing import STRIP, WIDTH, Step, chart, line, strip, waterfall


def test_phases_follow_each_other_on_one_scale():
    falls = waterfall({"dns": 250, "connect": 250, "first_byte": 500})

    assert [(fall.word, fall.x, fall.width) for fall in falls] == [
        ("Resolve the name", 0.0, 250.0),
        ("Connect", 250.0, 250.0),
        ("Wait for the first byte", 500.0, 500.0),
    ]


def test_phases_that_did_not_happen_are_not_drawn():
    assert [fall.word for fall in waterfall({"dns": None, "connect": 5})] == ["Connect"]
    assert waterfall({}) == []


@given(st.dictionaries(st.sampled_from(PHASES), st.integers(0, 10**12), min_size=1))
def test_every_phase_is_visible_and_inside_the_drawing(phases):
    for fall in waterfall(phases):
        assert fall.width >= 3.0
        assert fall.x >= 0.0
        assert fall.x + fall.width <= WIDTH + 0.2


def test_a_result_without_an_answer_takes_the_whole_height():
    answered, lost = strip([("up", 30), ("down", None)])

    assert answered.height == 0.75 * STRIP
    assert (lost.height, lost.y) == (STRIP, 0.0)


@given(st.lists(st.tuples(st.sampled_from(["up", "down"]), st.none() | st.integers(0, 10**12)), max_size=200))
def test_the_newest_result_is_drawn_at_the_right_edge(results):
    strokes = strip(results)

    assert len(strokes) == len(results)
    for stroke in strokes:
        assert stroke.x >= 0.0
        assert stroke.x + stroke.width <= WIDTH
        assert 0.0 < stroke.height <= STRIP
    assert [stroke.x for stroke in strokes] == sorted(stroke.x for stroke in strokes)


def test_a_line_touches_both_edges_and_marks_failures():
    drawn = line([(10.0, False), (30.0, True), (20.0, False)])
    assert drawn.points == "0,56 500,4 1000,30"
    assert drawn.marks == [500.0]


def test_a_line_of_one_value_or_of_equal_ones_is_level():
    assert line([(7.0, False)]).points == "0,30 1000,30"
    assert line([(7.0, False), (7.0, True)]).points == "0,30 1000,30"


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.booleans()), min_size=1, max_size=50))
def test_a_line_stays_inside_the_drawing_whatever_the_numbers(values):
    for point in line(values).points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= STRIP


def step(start, end, *values, failed=0.0):
    return Step(start=start, end=end, values=values, failed=failed, word=f"from {start}")


def test_a_chart_is_stairs_whose_highest_stays_inside():
    drawn = chart([step(0, 10, 1.0, 2.0, 4.0), step(10, 20, 2.0, 2.0, 8.0)], 0, 20)

    curves = dict(drawn.curves)
    assert set(curves) == {"p50", "p95", "p99"}
    assert curves["p50"] == ["0,212.4 500,212.4 500,184.8 1000,184.8"]
    assert drawn.top == pytest.approx(8 / 0.92)
    assert [(spot.x, spot.width) for spot in drawn.spots] == [(0, 500), (500, 500)]


def test_a_chart_has_a_gap_where_nothing_was_measured_and_a_bar_for_what_failed():
    steps = [step(0, 10, 1.0, 1.0, 1.0), step(20, 30, 1.0, 1.0, 1.0), step(30, 40, None, None, None, failed=0.5)]

    drawn = chart(steps, 0, 40)

    assert [len(lines) for _, lines in drawn.curves] == [2, 2, 2]
    assert [spot.bad for spot in drawn.spots] == [0, 0, 120]
    assert [spot.word for spot in drawn.spots] == ["from 0", "from 20", "from 30"]


def test_a_chart_of_nothing_is_empty():
    assert [lines for _, lines in chart([], 0, 0).curves] == [[], [], []]
    assert dict(chart([step(0, 1, 0.0, 0.0, 0.0)], 0, 1).curves)["p50"] == ["0,240 1000,240"]
