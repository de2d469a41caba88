"""Small servers of protocols that take turns, line by line: well-behaved where a test needs no more, or hostile."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from tests.servers import Behaviour, Target, Visit

SMTP = {
    b"EHLO": b"250-mail.example.org\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
    b"STARTTLS": b"220 go ahead\r\n",
    b"AUTH": b"334 \r\n",
    b"NOOP": b"250 OK\r\n",
    b"": b"235 welcome\r\n",
}
IMAP = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\n%s OK done\r\n",
    b"STARTTLS": b"%s OK go ahead\r\n",
    b"NOOP": b"%s OK done\r\n",
    b"LOGIN": b"%s OK welcome\r\n",
}
POP3 = {
    b"CAPA": b"+OK\r\nTOP\r\nSTLS\r\nUSER\r\n.\r\n",
    b"STLS": b"+OK go ahead\r\n",
    b"NOOP": b"+OK\r\n",
    b"USER": b"+OK\r\n",
    b"PASS": b"+OK welcome\r\n",
}


def talks(greeting: bytes, replies: Mapping[bytes, bytes], secured: ssl.SSLContext | None = None) -> Behaviour:
    """Greets and answers each line by its command, whatever tag it has; after STARTTLS over TLS.

    `%s` in an answer is the line's tag. The answer for b"" is given to what is no known command.
    """

    def behave(visit: Visit) -> None:
        if greeting:
            visit.send(greeting)
        for line in _lines(visit):
            visit.target.requests.append(line)
            words = line.upper().split()
            command = next((word for word in words[:2] if word in replies), b"")
            if command in replies:
                visit.send(replies[command].replace(b"%s", line.split(b" ")[0]))
            if command in (b"STARTTLS", b"STLS") and secured is not None:
                visit.start_tls(secured)

    return behave


def _lines(visit: Visit) -> Iterator[bytes]:
    heard = b""
    while piece := visit.sock.recv(4096):
        heard += piece
        while b"\n" in heard:
            line, _, heard = heard.partition(b"\n")
            yield line.rstrip(b"\r")


def serving(greeting: bytes, replies: Mapping[bytes, bytes]) -> Callable[[], AbstractContextManager[str]]:
    """Starts such a server in clear and gives its address."""

    @contextmanager
    def start() -> Iterator[str]:
        with Target(talks(greeting, replies)) as target:
            yield target.address

    return start
