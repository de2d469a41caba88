"""Encoded bodies: read where they are sound, named where they are bombs or broken."""

from __future__ import annotations

import asyncio
import gzip
import random
import resource
import zlib

import brotli
import pytest
from backports import zstd

from checks.probe import ProbeFailure
from checks.result import Reason
from checks.web.decoding import MAX_DECODED, beginning, decoded
from tests.probing import probe_once
from tests.servers import Target, answers


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": zstd.compress,
}
TEXT = b"".join(b"line %d of the page\n" % number for number in range(2000))


def decode(body, encoding, *, whole=True):
    return asyncio.run(decoded(body, encoding, whole=whole))


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("size", [0, 20, len(TEXT)])
def test_every_encoding_is_read(encoding, size):
    assert decode(ENCODERS[encoding](TEXT[:size]), encoding) == TEXT[:size]


def test_deflate_is_read_with_and_without_its_header():
    assert decode(raw_deflate(TEXT), "deflate") == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_megabytes_are_read(encoding):
    text = random.Random(7).randbytes(400_000) * 2 + bytes(3_000_000)
    assert decode(ENCODERS[encoding](text), encoding.upper()) == text


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_parts_that_were_encoded_one_by_one_are_one_body(encoding):
    halves = [ENCODERS[encoding](half) for half in (TEXT[:9000], b"", TEXT[9000:])]
    assert decode(b"".join(halves), encoding) == TEXT
    assert decode(b"".join(halves) + bytes(9), encoding) == TEXT, "what follows is nobody's business"
    assert TEXT.startswith(beginning(b"".join(halves), encoding, 100))
    with pytest.raises(ProbeFailure, match="it ends early"):
        decode(b"".join(halves)[:-3], encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_parts_without_end_are_refused(encoding):
    with pytest.raises(ProbeFailure, match="more than 100 parts") as caught:
        decode(ENCODERS[encoding](b"x") * 40_000, encoding)
    assert caught.value.failure.reason is Reason.PROTOCOL


def test_encodings_around_each_other_are_read_from_the_outside_in():
    body = brotli.compress(gzip.compress(TEXT))
    assert decode(body, "gzip, identity, br") == TEXT


def test_more_than_three_encodings_around_each_other_are_refused():
    with pytest.raises(ProbeFailure, match="encoded 4 times over; at most 3 are read"):
        decode(b"x", "gzip, br, gzip, br")


def test_an_encoding_that_nobody_knows_gives_nothing():
    assert decode(b"x", "sdch") is None
    assert beginning(b"x", "sdch", 10) == b""


@pytest.mark.parametrize("encoding", ENCODERS)
def test_a_body_that_ends_early_is_no_body_unless_it_was_cut(encoding):
    half = ENCODERS[encoding](TEXT)[:-9]
    with pytest.raises(ProbeFailure, match="can't be decoded: it ends early") as caught:
        decode(half, encoding)
    assert caught.value.failure.reason is Reason.PROTOCOL
    assert TEXT.startswith(decode(half, encoding, whole=False))


@pytest.mark.parametrize("encoding", ENCODERS)
def test_what_is_no_encoding_is_told_as_such(encoding):
    with pytest.raises(ProbeFailure, match=f"the body's {encoding} can't be decoded") as caught:
        decode(b"\x1f\x8b<html>no such thing</html>" * 9, encoding)
    assert caught.value.failure.reason is Reason.PROTOCOL


def test_a_window_beyond_what_is_sensible_is_refused():
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    body = packer.compress(TEXT * 10) + packer.flush()
    with pytest.raises(ProbeFailure, match="can't be decoded"):
        decode(body, "zstd")


BOMBS = {
    "gzip": lambda: gzip.compress(b"\0" * 30_000_000, 9),
    "deflate": lambda: zlib.compress(b"\0" * 30_000_000, 9),
    "br": lambda: brotli.compress(b"\0" * 30_000_000, quality=5),
    "zstd": lambda: zstd.compress(b"\0" * 30_000_000, 3),
    "gzip, gzip": lambda: gzip.compress(gzip.compress(b"\0" * 30_000_000, 9), 9),
}


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_bomb_is_named_and_costs_little_memory(encoding):
    bomb = BOMBS[encoding]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Target(answers(bomb, headers=(f"Content-Encoding: {encoding}",))) as target:
        result = probe_once(url=target.url(), timeout="5s")
    assert result.failure.reason is Reason.TOO_LARGE
    assert result.failure.message == f"the body's {encoding} decodes to more than 8 MiB"
    assert result.evidence["received_bytes"] == len(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * MAX_DECODED / 1024


def test_the_beginning_of_a_bomb_is_shown():
    assert beginning(gzip.compress(b"boom" * 1_000_000), "gzip", 8) == b"boomboom"
