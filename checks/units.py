"""Durations and sizes with units: `60s`, `1h 30m`, `800ms`; `1MiB`, `14.2kB`. Inside Python: float seconds, int bytes."""

from __future__ import annotations

import re

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PART = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,12})?)\s*([a-z]+)", re.ASCII)
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,12})?)\s*(B|kB|MB|GB|KiB|MiB|GiB)\s*", re.ASCII)


def parse_duration(text: object) -> float:
    """Seconds of `60s`, `1h 30m`, `800ms`. Raises ValueError that names what is allowed; a bare number has no unit."""
    if not isinstance(text, str):
        raise ValueError(f"a duration needs a unit, as in 60s, 5m or 800ms; found {text!r}")
    seconds, position = 0.0, 0
    while position < len(text.rstrip()):
        part = _PART.match(text, position)
        if part is None or part[2] not in _SECONDS:
            raise ValueError(
                f"not a duration: {text!r}; write a number and us, ms, s, m, h, d or w, as in 90s or 1h 30m"
            )
        seconds += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if position == 0:
        raise ValueError("a duration is empty; write a number and a unit, as in 60s")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as exactly `seconds`."""
    if seconds == 0:
        return "0s"
    for unit in ("w", "d", "h", "m"):
        count = seconds / _SECONDS[unit]
        if count == int(count) and count < 10**15:
            return f"{int(count)}{unit}"
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    for unit in ("ms", "us"):
        count = round(seconds / _SECONDS[unit])
        if count * _SECONDS[unit] == seconds:
            return f"{count}{unit}"
    return f"{seconds:.12f}".rstrip("0") + "s"


def parse_size(text: object) -> int:
    """Bytes of `512B`, `14.2kB`, `1MiB`. Raises ValueError that names what is allowed."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"not a size: {text!r}; write a number and B, kB, MB, GB, KiB, MiB or GiB, as in 512B or 1MiB")
    return round(float(match[1]) * _BYTES[match[2]])


def spoken_duration(seconds: float, *, digits: int = 3) -> str:
    """A duration for people, two units at most: `4 min 10 s`, `2 d 3 h`, `820 ms`; below 10 s with `digits` digits."""
    if seconds < 10:
        number, unit = (seconds * 1000, "ms") if seconds < 0.9995 else (seconds, "s")
        return f"{number:.{digits}g} {unit}"
    whole = round(seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        parts.append((name, count))
    first = next(index for index, (_, count) in enumerate(parts) if count)
    return " ".join(f"{count} {name}" for name, count in parts[first : first + 2] if count)


def spoken_size(size: int) -> str:
    """A size for people: `512 B`, `14.2 kB`, `3.1 MB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} B"
