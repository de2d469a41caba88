"""How each probed kind asks an address: one record a kind, by which it gets the tests of `test_every_kind`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from logging import getLogger
from threading import Thread
from typing import Any, Literal

from pamqp.commands import Connection
from pamqp.frame import marshal
from websockets.sync.server import serve

from checks.network.echoes import lacks as echoes_are_missing
from tests import brokers, dialogues, mariadb, mongo
from tests.datagrams import answering, serving_time
from tests.nameservers import Namer, knows
from tests.servers import Target, answers, authority, closed_port, echoes, greets, hangs, trusted


@contextmanager
def echoing() -> Iterator[str]:
    """The address of a server of HTTP that answers with the request itself."""
    with Target(echoes) as target:
        yield target.address


@dataclass(frozen=True, kw_only=True)
class Example:
    """How one kind asks, in a way that waits for an answer.

    `ask` makes the options (without kind and name) that ask "host:port". `over` says what that is to this kind: a port
    of TCP (`stream`) or of UDP (`datagram`), a host alone, or nothing that it asks; then `ask` makes options that
    wait for ever. What asks `others` about its target blames nobody when they say nothing. `serves` starts a server that answers those options well, where that is cheap, and gives its address.
    `secrets` has what must stand beside a secret option so that the options are valid, or its value where not every
    text is one.
    """

    ask: Callable[[str], dict[str, Any]]
    over: Literal["stream", "datagram", "host", "nothing", "others"] = "stream"
    serves: Callable[[], AbstractContextManager[str]] | None = None
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@contextmanager
def saying_all_is_well() -> Iterator[str]:
    """The address of a vendor's status page."""
    with Target(answers(b'{"status": {"indicator": "none", "description": "All Systems Operational"}}')) as target:
        yield target.address


@contextmanager
def answering_websockets() -> Iterator[str]:
    """The address of a server that opens WebSockets and waits."""
    logger = getLogger("websockets.quiet")
    logger.disabled = True
    with serve(lambda visit: visit.wait_closed(), "127.0.0.1", 0, logger=logger) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def greeting_in_amqp() -> Iterator[str]:
    """The address of a broker of AMQP that says what it is, and nothing more."""
    with Target(greets(marshal(Connection.Start(server_properties={"product": "Hare"}), 0))) as target:
        yield target.address


@contextmanager
def greeting_in_mqtt() -> Iterator[str]:
    """The address of a broker of MQTT that lets everybody in."""
    with Target(greets(b"\x20\x02\x00\x00")) as target:
        yield target.address


@contextmanager
def refusing_in_postgres() -> Iterator[str]:
    """The address of a server of PostgreSQL that speaks no TLS and asks everybody for a password."""
    with Target(greets(b"NR\0\0\0\x08\0\0\0\x03")) as target:
        yield target.address


@contextmanager
def refusing_in_mysql() -> Iterator[str]:
    """The address of a server of MySQL that speaks no TLS and knows nobody."""
    with Target(greets(mariadb.greeting(), mariadb.error(2, 1045, "Access denied"))) as target:
        yield target.address


@contextmanager
def answering_in_redis() -> Iterator[str]:
    """The address of a server of Redis that answers once."""
    with Target(greets(b"+PONG\r\n")) as target:
        yield target.address


@contextmanager
def answering_in_mongodb() -> Iterator[str]:
    """The address of a server of MongoDB that knows everybody."""
    with Target(mongo.Mongo()) as target:
        yield target.address


@contextmanager
def answering_in_dns() -> Iterator[str]:
    """The address of a name server that knows one name."""
    with Namer(knows("shop.example. 60 IN A 127.0.0.1")) as namer:
        yield namer.address


def behind_tls(option: str) -> dict[str, Any]:
    """What stands beside an option that is of use with TLS only."""
    return {option: {"tls": True}}


@contextmanager
def shaking_hands() -> Iterator[str]:
    """The address of a server that speaks TLS and nothing in it."""
    with Target(hangs, tls=trusted()) as target:
        yield target.address


@contextmanager
def greeting_in_ssh() -> Iterator[str]:
    """The address of a server that says that it speaks SSH."""
    with Target(greets(b"SSH-2.0-Door\r\n")) as target:
        yield target.address


SSH_HOST_KEY = f"SHA256:{'A' * 43}"
CLIENT_KEY = authority().issue_cert("client.example").private_key_pem.bytes().decode()


def mail_example(greeting: bytes, replies: Mapping[bytes, bytes]) -> Example:
    """How a kind of mail asks: in clear, which a password does not cross unless that is meant."""
    return Example(
        ask=lambda address: {"address": address, "tls": "none"},
        serves=dialogues.serving(greeting, replies),
        secrets={"password": {"login_in_clear": True}},
    )


EXAMPLES: dict[str, Example] = {
    "amqp": Example(
        ask=lambda address: {"address": address}, serves=greeting_in_amqp, secrets=behind_tls("client_key")
    ),
    "grpc": Example(
        ask=lambda address: {"address": address, "service": "shop"},
        serves=lambda: nullcontext(f"127.0.0.1:{brokers.health_server().port}"),
        secrets={**behind_tls("client_key"), "metadata": {"metadata": {"x-own": "secret-of-metadata"}}},
    ),
    "kafka": Example(
        ask=lambda address: {"address": address},
        serves=lambda: nullcontext(f"127.0.0.1:{brokers.kafka().ports[0]}"),
        secrets=behind_tls("client_key"),
    ),
    "mqtt": Example(
        ask=lambda address: {"address": address},
        serves=greeting_in_mqtt,
        secrets=behind_tls("client_key"),
    ),
    "postgres": Example(ask=lambda address: {"address": address}, serves=refusing_in_postgres),
    "mysql": Example(ask=lambda address: {"address": address}, serves=refusing_in_mysql),
    "redis": Example(
        ask=lambda address: {"address": address}, serves=answering_in_redis, secrets=behind_tls("client_key")
    ),
    "mongodb": Example(
        ask=lambda address: {"address": address}, serves=answering_in_mongodb, secrets=behind_tls("client_key")
    ),
    "http": Example(
        ask=lambda address: {"url": f"http://{address}/"},
        serves=echoing,
        secrets={
            "body": {"method": "POST"},
            "json_body": {"method": "POST", "json_body": '{"pin": "secret-of-json"}'},
            "form": {"method": "POST", "form": {"token": "secret-of-form"}},
            "client_secret": {"token_url": "http://127.0.0.1:9/", "client_id": "eve"},
        },
    ),
    "command": Example(
        ask=lambda seconds: {"program": "sleep", "arguments": [seconds or "60"]},
        over="nothing",
        serves=lambda: nullcontext("0.01"),
        secrets={"environment": {"environment": {"TOKEN": "secret-of-environment"}}},
    ),
    "websocket": Example(ask=lambda address: {"url": f"ws://{address}/"}, serves=answering_websockets),
    "flow": Example(
        ask=lambda address: {"steps": [{"name": "Ask", "url": f"http://{address}/"}]},
        serves=echoing,
        secrets={"client_secret": {"token_url": "http://127.0.0.1:9/", "client_id": "eve"}},
    ),
    "domain": Example(ask=lambda _: {"domain": "example.org"}, over="others"),
    "statuspage": Example(ask=lambda address: {"url": f"http://{address}/"}, serves=saying_all_is_well),
    "tcp": Example(
        ask=lambda address: {"address": address, "send": "GET / HTTP/1.0\r\n\r\n", "expect": ["banner exists"]},
        serves=echoing,
        secrets=behind_tls("client_key"),
    ),
    "dns": Example(
        ask=lambda address: {"query": "shop.example", "resolver": address},
        over="datagram",
        serves=answering_in_dns,
        secrets={"client_key": {"resolver": f"tls://127.0.0.1:{closed_port()}"}},
    ),
    "icmp": Example(
        ask=lambda address: {"host": address.partition(":")[0], "count": 1},
        over="host",
        serves=None if echoes_are_missing() else lambda: nullcontext("127.0.0.1"),
    ),
    "udp": Example(
        ask=lambda address: {"address": address, "send": "ping"},
        over="datagram",
        serves=lambda: answering(lambda data: data),
    ),
    "ntp": Example(ask=lambda address: {"address": address}, over="datagram", serves=serving_time),
    "tls": Example(
        ask=lambda address: {"address": address, "verify": False, "expect": ["version exists"]}, serves=shaking_hands
    ),
    "smtp": mail_example(b"220 mail.example.org ESMTP\r\n", dialogues.SMTP),
    "imap": mail_example(b"* OK ready\r\n", dialogues.IMAP),
    "pop3": mail_example(b"+OK ready\r\n", dialogues.POP3),
    "ssh": Example(
        ask=lambda address: {"address": address},
        serves=greeting_in_ssh,
        secrets={
            "password": {"host_key": SSH_HOST_KEY},
            "key": {"username": "eve", "key": CLIENT_KEY, "host_key": SSH_HOST_KEY},
        },
    ),
}


@contextmanager
def silence(example: Example) -> Iterator[str]:
    """An address at which nothing is ever said."""
    match example.over:
        case "stream":
            with Target(hangs) as target:
                yield target.address
        case "datagram":
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                yield f"127.0.0.1:{sock.getsockname()[1]}"
        case _:
            yield ""


def refusal(example: Example) -> str:
    """An address at which nothing listens."""
    if example.over == "stream":
        return f"127.0.0.1:{closed_port()}"
    with silence(example) as address:
        return address
