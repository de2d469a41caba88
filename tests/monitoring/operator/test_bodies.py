from __future__ import annotations

import pytest

from monitoring.operator.bodies import Said, said


def test_nothing_was_said():
    assert said(b"", 0) is None


def test_a_short_line_stands_in_the_list_itself():
    assert said("Größe: 3\n".encode(), 11) == Said(first="Größe: 3", whole="", is_hex=False, kept=11, size=11)
    assert said(b"  \n", 3) == Said(first="", whole="", is_hex=False, kept=3, size=3)


def test_of_more_the_first_line_stands_in_the_list():
    found = said(b"one\n\ttwo\n", 9)
    assert found is not None
    assert (found.first, found.whole) == ("one", "one\n\ttwo\n")
    long = said(b"x" * 81, 81)
    assert long is not None
    assert (long.first, long.whole) == ("x" * 79 + "…", "x" * 81)


def test_what_was_cut_off_says_so_even_in_one_line():
    found = said(b"one line", 60_000)
    assert found is not None
    assert (found.whole, found.kept, found.size) == ("one line", 8, 60_000)


def test_a_character_that_was_cut_in_two_makes_no_text_bytes():
    found = said("текст €".encode()[:-1], 14)
    assert found is not None
    assert (found.first, found.is_hex) == ("текст", False)


@pytest.mark.parametrize("body", [b"a\0b", b"\xff\xfe", b"caf\xe9 au lait", b"\x80", b"bell \x07"])
def test_what_is_no_text_is_written_byte_by_byte(body):
    found = said(body, len(body))
    assert found is not None
    assert found.is_hex
    assert found.first == f"{len(body)} bytes that are no text"
    assert found.whole.startswith(f"00000000  {body.hex(' ')} ")


def test_bytes_are_written_sixteen_a_line_with_their_letters_and_not_without_end():
    found = said(bytes(range(256)) * 40, 10_240)
    assert found is not None
    lines = found.whole.splitlines()
    assert lines[3] == "00000030  30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f  0123456789:;<=>?"
    assert len(lines) == 256
    assert len({len(line) for line in lines}) == 1
