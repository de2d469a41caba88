"""A server that speaks MongoDB's protocol, for there is none that Debian or a wheel brings: OP_MSG and SCRAM.

Its messages are made by MongoDB's own codec, its half of the login is computed anew from RFC 5802, and it answers as
the manual of MongoDB 8 says. What no test of ours can show is that a real server does the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.binary import Binary

from tests.servers import Visit

USER, PASSWORD = "mona", "pässword-of-mona"
ROUNDS = 15_000

ORDERS: tuple[dict[str, Any], ...] = tuple(
    {"_id": number, "state": "stuck" if number % 10 == 0 else "sent"} for number in range(1, 2001)
)

Answers = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]


def _find(command: dict[str, Any]) -> dict[str, Any]:
    batch = [row for row in ORDERS if command.get("filter", {}).items() <= row.items()][: command["batchSize"]]
    return {"cursor": {"firstBatch": batch, "id": 0, "ns": "shop.orders"}, "ok": 1.0}


def _aggregate(command: dict[str, Any]) -> dict[str, Any]:
    batch = list(ORDERS[: command["cursor"]["batchSize"]])
    return {"cursor": {"firstBatch": batch, "id": bson.Int64(77), "ns": "shop.orders"}, "ok": 1.0}


def _count(command: dict[str, Any]) -> dict[str, Any]:
    return {"n": sum(command.get("query", {}).items() <= row.items() for row in ORDERS), "ok": 1.0}


COMMANDS: Answers = {
    "find": _find,
    "aggregate": _aggregate,
    "count": _count,
    "distinct": lambda _: {"values": ["sent", "stuck"], "ok": 1.0},
    "ping": lambda _: {"ok": 1.0},
    "killCursors": lambda _: {"ok": 1.0},
}


@dataclass
class Mongo:
    """How the server behaves: a member of which role, whether it wants a login, and with how many rounds."""

    role: Mapping[str, Any] = field(default_factory=lambda: {"isWritablePrimary": True})
    login: bool = False
    mechanism: str = "SCRAM-SHA-256"
    rounds: int = ROUNDS
    commands: Answers = field(default_factory=lambda: COMMANDS)
    heard: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, visit: Visit) -> None:
        """Answer one connection until it ends."""
        known, login = not self.login, _Login(self.mechanism, self.rounds)
        while (message := _read(visit)) is not None:
            number, command = message
            self.heard.append(command)
            name = next(iter(command))
            if name == "hello":
                answer = {**self.role, "maxWireVersion": 27, "ok": 1.0}
                if "saslSupportedMechs" in command and "saslSupportedMechs" not in self.role:
                    answer["saslSupportedMechs"] = [self.mechanism]
            elif name in ("saslStart", "saslContinue"):
                answer = login.step(bytes(command["payload"]))
                known = known or login.proved
            elif not known:
                answer = _error(13, "Unauthorized", f"Command {name} requires authentication")
            elif name in self.commands:
                answer = self.commands[name](command)
            else:
                answer = _error(59, "CommandNotFound", f"no such command: '{name}'")
            visit.send(message_of(answer, number))


class _Login:
    """The server's half of SCRAM for the one user that it knows."""

    def __init__(self, mechanism: str, rounds: int) -> None:
        self.proved = False
        self._digest = "sha256" if mechanism.endswith("256") else "sha1"
        self._rounds, self._salt = rounds, os.urandom(16)
        secret = PASSWORD if self._digest == "sha256" else hashlib.md5(f"{USER}:mongo:{PASSWORD}".encode()).hexdigest()
        self._salted = hashlib.pbkdf2_hmac(self._digest, secret.encode(), self._salt, min(rounds, ROUNDS))
        self._bare = self._challenge = b""

    def step(self, payload: bytes) -> dict[str, Any]:
        if not self._bare:
            self._bare = payload.removeprefix(b"n,,")
            nonce = self._bare.partition(b",r=")[2] + base64.b64encode(os.urandom(18))
            salt = base64.b64encode(self._salt)
            self._challenge = b"r=%s,s=%s,i=%d" % (nonce, salt, self._rounds)
            return _said(self._challenge, done=False)
        without, _, proof = payload.partition(b",p=")
        said = b",".join((self._bare, self._challenge, without))
        key = hmac.digest(self._salted, b"Client Key", self._digest)
        stored = hashlib.new(self._digest, key).digest()
        mask = hmac.digest(stored, said, self._digest)
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(key, mask, strict=True)) or self._user() != USER:
            return _error(18, "AuthenticationFailed", "Authentication failed.")
        self.proved = True
        signature = hmac.digest(hmac.digest(self._salted, b"Server Key", self._digest), said, self._digest)
        return _said(b"v=" + base64.b64encode(signature), done=True)

    def _user(self) -> str:
        return self._bare.removeprefix(b"n=").partition(b",")[0].decode()


def _said(payload: bytes, *, done: bool) -> dict[str, Any]:
    return {"conversationId": 1, "done": done, "payload": Binary(payload), "ok": 1.0}


def _error(code: int, name: str, message: str) -> dict[str, Any]:
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


def _read(visit: Visit) -> tuple[int, dict[str, Any]] | None:
    header = _exactly(visit, 16)
    if header is None:
        return None
    length, number, _, code = struct.unpack("<iiii", header)
    content = _exactly(visit, length - 16) if code == 2013 else None
    return None if content is None else (number, bson.decode(content[5:]))


def _exactly(visit: Visit, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        piece = visit.sock.recv(count - len(found))
        if not piece:
            return None
        found += piece
    return found


def message_of(document: Mapping[str, Any], answered: int) -> bytes:
    """A message as it travels."""
    body = b"\0\0\0\0\0" + bson.encode(document)
    return struct.pack("<iiii", len(body) + 16, 1, answered, 2013) + body
