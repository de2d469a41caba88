"""The body of an answer without its content-encodings, within bounds: a bomb costs some memory for a moment and no more.

What decodes to little is decoded at once; the rest in a thread, for the loop has other probes to time.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import brotli
from backports import zstd

from checks.probe import ProbeFailure
from checks.result import Failure, Reason

MAX_DECODED = 8 * 1024 * 1024  # bytes
MAX_LAYERS = 3  # encodings around each other
MAX_PARTS = 100  # compressed one by one and put together, as gzip and zstd allow
AT_ONCE = 128 * 1024  # bytes that are decoded between two turns of the loop
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WINDOW_LOG = 23  # 8 MiB, what RFC 9659 lets a zstd encoder ask for


class _TooMuchError(Exception):
    """It decodes to more than was asked for."""


async def decoded(body: bytes, encoding: str, *, whole: bool) -> bytes | None:
    """The body without the encodings that a Content-Encoding header names; None where one of them is unknown.

    A body that is not `whole` may end anywhere. Raises ProbeFailure for one that can't be decoded or is too large.
    """
    layers = _layers(encoding)
    if not layers or not body:
        return body
    if len(layers) > MAX_LAYERS:
        raise _failure(Reason.PROTOCOL, f"the body is encoded {len(layers)} times over; at most {MAX_LAYERS} are read")
    if any(layer not in _DECODERS for layer in layers):
        return None
    try:
        try:
            return _peel(body, layers, AT_ONCE, 1, whole=whole)
        except _TooMuchError:
            return await asyncio.to_thread(_peel, body, layers, MAX_DECODED, MAX_PARTS, whole=whole)
    except _TooMuchError:
        what = f"the body's {encoding.strip()} decodes to more than {MAX_DECODED // 1024 // 1024} MiB"
        raise _failure(Reason.TOO_LARGE, what) from None
    except _BROKEN as exc:
        raise _failure(Reason.PROTOCOL, f"the body's {encoding.strip()} can't be decoded: {exc}") from exc


def _failure(reason: Reason, message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=reason, message=message[:300], phase="transfer"))


def beginning(body: bytes, encoding: str, size: int) -> bytes:
    """At most `size` bytes of the decoded body, for people; nothing where it can't be decoded."""
    try:
        for layer in reversed(_layers(encoding)[:MAX_LAYERS]):
            body = _DECODERS[layer](body, AT_ONCE, 1).found
    except (KeyError, *_BROKEN):
        return b""
    return body[:size]


def _layers(encoding: str) -> list[str]:
    return [layer for layer in (part.strip().lower() for part in encoding.split(",")) if layer not in ("", "identity")]


def _peel(body: bytes, layers: list[str], limit: int, parts: int, *, whole: bool) -> bytes:
    for layer in reversed(layers):
        read = _DECODERS[layer](body, limit, parts)
        if len(read.found) > limit or (read.goes_on and parts < MAX_PARTS):
            raise _TooMuchError
        if read.goes_on:
            raise EOFError(f"it has more than {MAX_PARTS} parts")
        if whole and not read.ended:
            raise EOFError("it ends early")
        body = read.found
    return body


class _Read(NamedTuple):
    found: bytes  # at most one more than the limit
    ended: bool  # the encoding came to its end
    goes_on: bool = False  # behind which another part begins


def _inflate(body: bytes, limit: int, parts: int) -> _Read:
    # Some servers send deflate without the header of zlib that RFC 9110 wants.
    wrapped = body[:2] == _GZIP or (body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0)
    wbits = 47 if wrapped else -15  # 47: gzip or zlib, as it begins
    return _in_parts(lambda: zlib.decompressobj(wbits=wbits), _GZIP, body, limit, parts)


def _unzstd(body: bytes, limit: int, parts: int) -> _Read:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    return _in_parts(lambda: zstd.ZstdDecompressor(options=options), _ZSTD, body, limit, parts)


def _in_parts(make: Callable[[], Any], begin: bytes, body: bytes, limit: int, parts: int) -> _Read:
    """What up to so many parts decode to; each but the first begins with `begin`, and what does not is passed over."""
    pieces: list[bytes] = []
    size, rest, ended = 0, body, True
    while parts and size <= limit and (not pieces or rest.startswith(begin)):
        decoder = make()
        pieces.append(decoder.decompress(rest, limit + 1 - size))
        size += len(pieces[-1])
        ended, rest, parts = decoder.eof, decoder.unused_data, parts - 1
    return _Read(b"".join(pieces), ended, ended and rest.startswith(begin))


def _unbrotli(body: bytes, limit: int, _parts: int) -> _Read:
    decoder = brotli.Decompressor()
    found = decoder.process(body, output_buffer_limit=limit + 1)
    size = len(found)
    pieces = [found]
    while found and size <= limit and not decoder.is_finished():
        found = decoder.process(b"", output_buffer_limit=limit + 1 - size)
        pieces.append(found)
        size += len(found)
    return _Read(b"".join(pieces)[: limit + 1], decoder.is_finished())


_BROKEN = (zlib.error, brotli.error, zstd.ZstdError, EOFError)
_DECODERS: dict[str, Callable[[bytes, int, int], _Read]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
