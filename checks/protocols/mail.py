"""The three protocols of mail as far as a probe speaks them: greeting, capabilities, STARTTLS, login, NOOP.

Each is a dialogue of bounded replies; what the server refuses is a failure with the server's own words.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from checks.probe import ProbeFailure
from checks.protocols.dialogue import Dialogue, lines, nonsense, spoken
from checks.result import Failure, Reason

SHOWN = 200  # characters of a server's words that a failure quotes


class Mail(ABC):
    """One side of a dialogue with a mail server: ours."""

    farewell: bytes

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = dialogue

    @abstractmethod
    async def greet(self) -> str:
        """What the server says first. Raises ProbeFailure where it is no greeting of this protocol or a refusal."""

    @abstractmethod
    async def capabilities(self) -> tuple[str, ...]:
        """What the server can do, a line each, as it spells it."""

    @abstractmethod
    async def start_tls(self, capabilities: Sequence[str]) -> None:
        """Have the server expect a TLS handshake. Raises ProbeFailure where it does not offer that."""

    @abstractmethod
    async def login(self, username: str, password: str, capabilities: Sequence[str]) -> str:
        """The server's answer to a login that it accepted. Raises ProbeFailure where it refused."""

    @abstractmethod
    async def noop(self) -> None:
        """Have the server do nothing, and say so."""


class Smtp(Mail):
    """SMTP (RFC 5321), with STARTTLS (RFC 3207) and AUTH (RFC 4954)."""

    farewell = b"QUIT\r\n"

    def __init__(self, dialogue: Dialogue, helo: str = "") -> None:
        super().__init__(dialogue)
        self._helo = helo

    async def greet(self) -> str:
        """The greeting, as in `220 mail.example.org ESMTP`."""
        return "\n".join(await self._reply("the connection", "220"))

    async def capabilities(self) -> tuple[str, ...]:
        """The extensions that EHLO lists."""
        said = await self._ask(f"EHLO {self._helo or self._own_literal()}", "EHLO", "250")
        return tuple(line[4:] for line in said[1:])

    async def start_tls(self, capabilities: Sequence[str]) -> None:
        """STARTTLS."""
        if "STARTTLS" not in (line.upper().strip() for line in capabilities):
            raise _no_starttls()
        await self._ask("STARTTLS", "STARTTLS", "220")

    async def login(self, username: str, password: str, capabilities: Sequence[str]) -> str:
        """AUTH PLAIN, or LOGIN where the server has no other."""
        offered = [word for line in capabilities if line.upper().startswith("AUTH ") for word in line.upper().split()]
        if "PLAIN" in offered:
            await self._ask("AUTH PLAIN", "the login", "334")
            said = await self._ask(plain(username, password), "the login", "235")
        elif "LOGIN" in offered:
            await self._ask("AUTH LOGIN", "the login", "334")
            await self._ask(_base64(username), "the login", "334")
            said = await self._ask(_base64(password), "the login", "235")
        else:
            raise _no_login(offered[1:])
        return "\n".join(said)

    async def noop(self) -> None:
        """NOOP."""
        await self._ask("NOOP", "NOOP", "250")

    def _own_literal(self) -> str:
        """Our address as RFC 5321, 4.1.3 writes it: what a client without a name of its own says."""
        address = self.dialogue.own_address
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    async def _ask(self, command: str, what: str, wanted: str) -> list[str]:
        self.dialogue.send(f"{command}\r\n".encode())
        return await self._reply(what, wanted)

    async def _reply(self, what: str, wanted: str) -> list[str]:
        reply = await self.dialogue.read(_SMTP_REPLY)
        said = [spoken(line) for line in reply.splitlines()]
        code = said[-1][:3]
        if code == wanted:
            return said
        words = " ".join([said[-1]] if len(said) == 1 else [code, *(line[4:] for line in said)])
        # RFC 4954, 6: 530 wants a login first, 534 another mechanism, 535 is refused, 538 wants encryption.
        refused = what == "the login" and code in ("501", "504", "530", "534", "535", "538")
        raise refusal(what, words, Reason.AUTHENTICATION if refused else Reason.REJECTED)


def _ends_smtp_reply(line: bytes) -> bool:
    if not line[:3].isdigit() or line[3:4] not in (b" ", b"-", b"\r", b"\n"):
        raise nonsense(f"what is no answer of SMTP: {spoken(line)[:SHOWN]!r}")
    return line[3:4] != b"-"


_SMTP_REPLY = lines(_ends_smtp_reply)


class Imap(Mail):
    """IMAP (RFC 9051 and RFC 3501)."""

    farewell = b"bye LOGOUT\r\n"

    def __init__(self, dialogue: Dialogue) -> None:
        super().__init__(dialogue)
        self._commands = 0

    async def greet(self) -> str:
        """The greeting, as in `* OK ready`."""
        said = spoken(await self.dialogue.read(_ONE_LINE))
        state = said.upper().split(" ", 2)
        if state[0] != "*" or len(state) < 2 or state[1] not in ("OK", "PREAUTH", "BYE"):
            raise nonsense(f"what is no greeting of IMAP: {said[:SHOWN]!r}")
        if state[1] == "BYE":
            raise refusal("the connection", said, Reason.REJECTED)
        return said

    async def capabilities(self) -> tuple[str, ...]:
        """What CAPABILITY lists."""
        said = await self._ask("CAPABILITY", "CAPABILITY")
        listed = [line for line in said if line.upper().startswith("* CAPABILITY ")]
        return tuple(word for line in listed for word in line.split()[2:])

    async def start_tls(self, capabilities: Sequence[str]) -> None:
        """STARTTLS."""
        if "STARTTLS" not in (word.upper() for word in capabilities):
            raise _no_starttls()
        await self._ask("STARTTLS", "STARTTLS")

    async def login(self, username: str, password: str, capabilities: Sequence[str]) -> str:
        """AUTHENTICATE PLAIN where the server offers it, else LOGIN."""
        offered = [word.upper() for word in capabilities]
        if "AUTH=PLAIN" in offered:
            said = await self._ask("AUTHENTICATE PLAIN", "the login", plain(username, password))
        elif "LOGINDISABLED" not in offered:
            if not (username + password).isascii():
                message = "the server offers only LOGIN, and that takes nothing but ASCII"
                raise ProbeFailure(Failure(reason=Reason.AUTHENTICATION, message=message, phase="transfer"))
            said = await self._ask(f"LOGIN {_quoted(username)} {_quoted(password)}", "the login")
        else:
            raise _no_login([word.removeprefix("AUTH=") for word in offered if word.startswith("AUTH=")])
        return said[-1].partition(" ")[2]

    async def noop(self) -> None:
        """NOOP."""
        await self._ask("NOOP", "NOOP")

    async def _ask(self, command: str, what: str, continued: str = "") -> list[str]:
        """The answer to a command; `continued` is sent where the server asks for more."""
        self._commands += 1
        tag = f"s{self._commands}"
        reply = lines(_ends_imap_reply(tag.encode(), asked=bool(continued)))
        self.dialogue.send(f"{tag} {command}\r\n".encode())
        answer = await self.dialogue.read(reply)
        if answer.splitlines()[-1].startswith(b"+"):
            self.dialogue.send(f"{continued}\r\n".encode())
            reply = lines(_ends_imap_reply(tag.encode(), asked=False))
            answer = await self.dialogue.read(reply)
        said = [spoken(line) for line in answer.splitlines()]
        state, _, words = said[-1].removeprefix(f"{tag} ").partition(" ")
        if state.upper() == "OK":
            return said
        # RFC 5530: UNAVAILABLE is the server's own trouble, the rest of a NO is about us.
        refused = what == "the login" and state.upper() == "NO" and not words.upper().startswith("[UNAVAILABLE]")
        raise refusal(what, said[-1].removeprefix(f"{tag} "), Reason.AUTHENTICATION if refused else Reason.REJECTED)


def _ends_imap_reply(tag: bytes, *, asked: bool) -> Callable[[bytes], bool]:
    def is_last(line: bytes) -> bool:
        if line.startswith(tag + b" ") or (asked and line.startswith(b"+")) or line.upper().startswith(b"* BYE"):
            return True
        if not line.startswith(b"* "):
            raise nonsense(f"what is no answer of IMAP: {spoken(line)[:SHOWN]!r}")
        return False

    return is_last


_ONE_LINE = lines(lambda _: True)


def _quoted(text: str) -> str:
    """A quoted string of IMAP."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Pop3(Mail):
    """POP3 (RFC 1939), with CAPA (RFC 2449), STLS (RFC 2595) and AUTH (RFC 5034)."""

    farewell = b"QUIT\r\n"

    async def greet(self) -> str:
        """The greeting, as in `+OK ready`."""
        return await self._reply("the connection")

    async def capabilities(self) -> tuple[str, ...]:
        """What CAPA lists; nothing from a server that does not know it."""
        self.dialogue.send(b"CAPA\r\n")
        reply = await self.dialogue.read(_measure_capa)
        first, *listed = [spoken(line) for line in reply.splitlines()]
        return tuple(listed[:-1]) if first.startswith("+OK") else ()

    async def start_tls(self, capabilities: Sequence[str]) -> None:
        """STLS."""
        if "STLS" not in (line.upper().strip() for line in capabilities):
            raise _no_starttls()
        await self._ask("STLS", "STLS")

    async def login(self, username: str, password: str, capabilities: Sequence[str]) -> str:
        """AUTH PLAIN where the server offers it, else USER and PASS."""
        listed = [line.upper().split() for line in capabilities]
        offered = [word for words in listed if words[:1] == ["SASL"] for word in words[1:]]
        if "PLAIN" in offered:
            await self._ask("AUTH PLAIN", "the login", "+")
            return await self._ask(plain(username, password), "the login")
        if listed and ["USER"] not in listed:
            raise _no_login(offered)
        await self._ask(f"USER {username}", "the login")
        return await self._ask(f"PASS {password}", "the login")

    async def noop(self) -> None:
        """NOOP."""
        await self._ask("NOOP", "NOOP")

    async def _ask(self, command: str, what: str, wanted: str = "+OK") -> str:
        self.dialogue.send(f"{command}\r\n".encode())
        return await self._reply(what, wanted)

    async def _reply(self, what: str, wanted: str = "+OK") -> str:
        said = spoken(await self.dialogue.read(_ONE_LINE))
        state, _, words = said.partition(" ")
        if state.upper() == wanted:
            return said
        if state.upper() != "-ERR":
            raise nonsense(f"what is no answer of POP3: {said[:SHOWN]!r}")
        # RFC 2449 and 3206: these codes are the server's or the mailbox's own trouble, the rest is about us.
        theirs = words.upper().startswith(("[SYS/", "[IN-USE]", "[LOGIN-DELAY]"))
        refused = what == "the login" and not theirs
        raise refusal(what, said, Reason.AUTHENTICATION if refused else Reason.REJECTED)


_CAPA_LIST = lines(lambda line: line.rstrip(b"\r\n") == b".")


def _measure_capa(heard: bytearray) -> int:
    return (_CAPA_LIST if heard.startswith(b"+") else _ONE_LINE)(heard)


def plain(username: str, password: str) -> str:
    """What SASL PLAIN sends (RFC 4616)."""
    return _base64(f"\0{username}\0{password}")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def refusal(what: str, words: str, reason: Reason) -> ProbeFailure:
    """The failure of a server that said no."""
    message = f"the server refused {what}: {words[:SHOWN]}"
    return ProbeFailure(Failure(reason=reason, message=message, phase="transfer"))


def _no_starttls() -> ProbeFailure:
    return ProbeFailure(Failure(reason=Reason.TLS, message="the server does not offer STARTTLS", phase="tls"))


def _no_login(offered: Sequence[str]) -> ProbeFailure:
    shown = f"only {', '.join(offered)[:SHOWN]}" if offered else "none"
    message = f"the server offers no login by a password in clear, {shown}"
    return ProbeFailure(Failure(reason=Reason.AUTHENTICATION, message=message, phase="transfer"))
