"""A real Redis for the tests: Debian's, on 127.0.0.1, in clear on one port and over TLS on another.

Started once a test process. Its default user has a password; another may only read.
"""

from __future__ import annotations

from functools import cache

from tests.daemons import Daemon, free_port, listens
from tests.debian import program
from tests.servers import authority, authority_pem

PASSWORD = "redis-password"
READER, READERS_PASSWORD = "reader", "readers-own-password"

_CONFIGURATION = """
bind 127.0.0.1
port {port}
tls-port {tls_port}
tls-cert-file {place}/cert.pem
tls-key-file {place}/key.pem
tls-ca-cert-file {place}/ca.pem
tls-auth-clients optional
dir {place}
save ""
requirepass {password}
user {reader} on >{readers_password} +@read +ping +select ~*
"""


class Redis:
    """A running server, with a list `jobs` and a number `queued`."""

    def __init__(self) -> None:
        self.port, self.tls_port = free_port(), free_port()
        own = self._daemon = Daemon("redis")
        certificate = authority().issue_cert("localhost", "127.0.0.1")
        own.write("cert.pem", "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems))
        own.write("key.pem", certificate.private_key_pem.bytes().decode())
        own.write("ca.pem", authority_pem())
        configuration = _CONFIGURATION.format(
            port=self.port,
            tls_port=self.tls_port,
            place=own.directory,
            password=PASSWORD,
            reader=READER,
            readers_password=READERS_PASSWORD,
        )
        command = [program("redis-server"), own.write("redis.conf", configuration)]
        own.start(command, lambda: listens(self.tls_port))
        self.client("RPUSH", "jobs", "first", "second", "third")
        self.client("SET", "queued", "42")

    def client(self, *words: str) -> str:
        """What Redis's own client prints to the default user."""
        return self._daemon.run("redis-cli", "-p", str(self.port), "--no-auth-warning", "-a", PASSWORD, *words)


@cache
def server() -> Redis:
    """The server of this test process, started on first use."""
    return Redis()
