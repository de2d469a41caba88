"""The examples of the standards, and servers that lie."""

from __future__ import annotations

import base64
import time

import pytest

from checks.protocols import scram
from checks.protocols.scram import Scram, ScramProblem, prepared

# RFC 5802, 5 and RFC 7677, 3: user "user", password "pencil".
EXAMPLES = {
    "sha1": (
        b"fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "sha256": (
        b"rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.fixture(params=sorted(EXAMPLES))
def example(request, monkeypatch):
    """A login whose nonce is that of the standard's example, and the example."""
    nonce, *rest = EXAMPLES[request.param]
    monkeypatch.setattr(scram.os, "urandom", lambda _: base64.b64decode(nonce))
    login = Scram(request.param, "user", "pencil")
    assert login.first() == b"n,,n=user,r=" + nonce
    return login, *rest


def test_the_examples_of_the_standards_are_spoken(example):
    login, challenge, proof, last = example
    assert login.proof(challenge) == proof
    login.check(last)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.replace(b"r=", b"r=x"), "not for our login"),
        (lambda c: b"r=" + c[2:].partition(b",")[0][:20] + b"," + c.partition(b",")[2], "not for our login"),
        (lambda c: c.replace(b"i=4096", b"i=2147483647"), "asks for 2147483647 iterations; 1 to 100000 are allowed"),
        (lambda c: c.replace(b"i=4096", b"i=" + b"9" * 5000), "asks for 999999999999 iterations"),
        (lambda c: c.replace(b"i=4096", b"i=0"), "asks for 0 iterations"),
        (lambda c: c.replace(b"i=4096", b"i=-1"), "asks for -1 iterations"),
        (lambda c: c.replace(b"i=4096", b""), "asks for nothing iterations"),
        (lambda c: c.replace(b"s=", b"s=!"), "salt can't be read"),
        (lambda _: b"", "not for our login"),
    ],
)
def test_a_wrong_challenge_is_refused_at_once(example, change, words):
    login, challenge, *_ = example
    began = time.monotonic()
    with pytest.raises(ScramProblem, match=words):
        login.proof(change(challenge))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("last", [b"", b"v=", b"v=AAAA", b"e=other-error"])
def test_a_server_that_does_not_know_the_password_is_refused(example, last):
    login, challenge, *_ = example
    login.proof(challenge)
    with pytest.raises(ScramProblem):
        login.check(last)


def test_a_server_that_skips_the_proof_is_refused(example):
    login, *_ = example
    with pytest.raises(ScramProblem):
        login.check(b"v=")


def test_few_iterations_are_refused_where_they_must_be(example):
    _, challenge, *_ = example
    login = Scram("sha256", "user", "pencil", least=5000)
    challenge = challenge.replace(challenge.partition(b",")[0][2:], login.first().partition(b"r=")[2] + b"more")
    with pytest.raises(ScramProblem, match="4096 iterations; 5000 to 100000"):
        login.proof(challenge)


def test_names_are_escaped():
    assert Scram("sha256", "a=b,c", "x").first().startswith(b"n,,n=a=3Db=2Cc,r=")


@pytest.mark.parametrize(
    ("password", "same"), [("pencil", "pencil"), ("I\u00adX", "IX"), ("\u00aa", "a"), ("a\u00a0b", "a b"), ("ﬁ", "fi")]
)
def test_a_password_is_the_same_however_it_is_typed(password, same):
    assert prepared(password) == same
