"""The client's half of a SCRAM login (RFC 5802, RFC 7677), as PostgreSQL, MongoDB and Kafka have it.

Libraries take the number of iterations from the server without a limit: one that says two thousand millions would hold
the event loop, and with it every other probe, for half an hour. Here it is bounded, and the derived key is kept: the
next probe of the same target costs some microseconds instead of milliseconds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stringprep
import unicodedata
from functools import lru_cache
from typing import Literal

MAX_ITERATIONS = 100_000  # some 40 ms, in which nothing else is probed

Digest = Literal["sha1", "sha256", "sha512"]


class ScramProblem(ValueError):
    """The server's half is wrong; says how."""


def prepared(password: str) -> str:
    """A password as SASLprep (RFC 4013) writes it, so that it is the same on every keyboard."""
    if password.isascii():
        return password
    spaced = (" " if stringprep.in_table_c12(char) else char for char in password)
    return unicodedata.normalize("NFKC", "".join(char for char in spaced if not stringprep.in_table_b1(char)))


class Scram:
    """One login: `first`, then `proof` of what the server said, then `check` what it said to that.

    Fewer iterations than `least` would help whoever wants to guess the password from our proof.
    """

    def __init__(self, digest: Digest, username: str, password: str, *, least: int = 1) -> None:
        self._digest: Digest = digest
        self._least = least
        self._password = password
        self._nonce = base64.b64encode(os.urandom(24))
        name = username.replace("=", "=3D").replace(",", "=2C").encode()
        self._bare = b"n=" + name + b",r=" + self._nonce
        self._signature = b""

    def first(self) -> bytes:
        """What we say first."""
        return b"n,," + self._bare

    def proof(self, challenge: bytes) -> bytes:
        """What we say to the server's challenge. Raises ScramProblem."""
        fields = _fields(challenge)
        nonce, rounds = fields.get(b"r", b""), fields.get(b"i", b"")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramProblem("the server's answer to our login is not for our login")
        if not rounds.isdigit() or not self._least <= int(rounds[:12]) <= MAX_ITERATIONS:
            said = rounds[:12].decode("ascii", "replace") or "nothing"
            raise ScramProblem(f"the server asks for {said} iterations; {self._least} to {MAX_ITERATIONS} are allowed")
        try:
            salt = base64.b64decode(fields.get(b"s", b""), validate=True)
        except binascii.Error:
            raise ScramProblem("the server's salt can't be read") from None
        client_key, server_key = _keys(self._digest, self._password, salt, int(rounds))
        plain = b"c=biws,r=" + nonce
        said_so_far = b",".join((self._bare, challenge, plain))
        self._signature = hmac.digest(server_key, said_so_far, self._digest)
        mask = hmac.digest(hashlib.new(self._digest, client_key).digest(), said_so_far, self._digest)
        mixed = bytes(a ^ b for a, b in zip(client_key, mask, strict=True))
        return plain + b",p=" + base64.b64encode(mixed)

    def check(self, last: bytes) -> None:
        """Make sure that the server knows the password too. Raises ScramProblem."""
        fields = _fields(last)
        if b"e" in fields:
            raise ScramProblem(f"the server refused our login: {fields[b'e'][:100].decode('utf-8', 'replace')}")
        if not self._signature or not hmac.compare_digest(fields.get(b"v", b""), base64.b64encode(self._signature)):
            raise ScramProblem("the server does not prove that it knows our password")


def _fields(message: bytes) -> dict[bytes, bytes]:
    return {part[:1]: part[2:] for part in message.split(b",") if part[1:2] == b"="}


@lru_cache(maxsize=1000)
def _keys(digest: Digest, password: str, salt: bytes, rounds: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, rounds)
    return hmac.digest(salted, b"Client Key", digest), hmac.digest(salted, b"Server Key", digest)
