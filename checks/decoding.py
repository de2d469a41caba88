"""The body of an answer without its content-encodings, within bounds: a bomb costs some memory for a moment and no more.

What decodes to little is decoded at once; the rest in a thread, for the loop has other probes to time.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

import brotli
from backports import zstd

from checks.probe import ProbeFailure
from checks.result import Failure, Reason

MAX_DECODED = 8 * 1024 * 1024  # bytes
MAX_LAYERS = 3  # encodings around each other
AT_ONCE = 128 * 1024  # bytes that are decoded between two turns of the loop
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
            return _peel(body, layers, AT_ONCE, whole=whole)
        except _TooMuchError:
            return await asyncio.to_thread(_peel, body, layers, MAX_DECODED, whole=whole)
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
            body = _DECODERS[layer](body, AT_ONCE)[0]
    except (KeyError, *_BROKEN):
        return b""
    return body[:size]


def _layers(encoding: str) -> list[str]:
    return [layer for layer in (part.strip().lower() for part in encoding.split(",")) if layer not in ("", "identity")]


def _peel(body: bytes, layers: list[str], limit: int, *, whole: bool) -> bytes:
    for layer in reversed(layers):
        body, ended = _DECODERS[layer](body, limit)
        if len(body) > limit:
            raise _TooMuchError
        if whole and not ended:
            raise EOFError("it ends early")
    return body


# Each gives at most one byte more than the limit, and whether the encoding came to its end.


def _inflate(body: bytes, limit: int) -> tuple[bytes, bool]:
    # Some servers send deflate without the header of zlib that RFC 9110 wants.
    wrapped = body[:2] == b"\x1f\x8b" or (body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0)
    decoder = zlib.decompressobj(wbits=47 if wrapped else -15)  # 47: gzip or zlib, as it begins
    return decoder.decompress(body, limit + 1), decoder.eof


def _unbrotli(body: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = brotli.Decompressor()
    found = decoder.process(body, output_buffer_limit=limit + 1)
    size = len(found)
    pieces = [found]
    while found and size <= limit and not decoder.is_finished():
        found = decoder.process(b"", output_buffer_limit=limit + 1 - size)
        pieces.append(found)
        size += len(found)
    return b"".join(pieces)[: limit + 1], decoder.is_finished()


def _unzstd(body: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    return decoder.decompress(body, limit + 1), decoder.eof


_BROKEN = (zlib.error, brotli.error, zstd.ZstdError, EOFError)
_DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
