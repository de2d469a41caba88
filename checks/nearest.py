"""The known word that a mistyped one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most similar of the known words; None where none is similar."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word[:200].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean interval?`, to end a message with; empty where no known word is similar."""
    guess = nearest(word, known)
    return f"; did you mean {guess}?" if guess else ""
