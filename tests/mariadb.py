"""A real MariaDB for the tests: Debian's, on 127.0.0.1 and a free port, started once a test process.

It speaks TLS by a certificate of the tests' own authority for "localhost" and 127.0.0.1.
"""

from __future__ import annotations

import shutil
import struct
from functools import cache

from tests.daemons import Daemon, free_port, listens
from tests.debian import program
from tests.servers import authority

PASSWORD = "pässword-of-måria"

_CONTENT = f"""
CREATE DATABASE shop;
CREATE TABLE shop.orders (id INT, state VARCHAR(20), price DECIMAL(8, 2), placed DATETIME, picture BLOB);
INSERT INTO shop.orders VALUES
    (1, 'stuck', 12.50, '2026-03-10 12:20:00', x'00FF'),
    (2, 'sent', NULL, NULL, 'plain');
CREATE USER maria@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
CREATE USER only_tls@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;
GRANT ALL ON shop.* TO maria@'127.0.0.1';
GRANT ALL ON shop.* TO only_tls@'127.0.0.1';
"""


class MariaDb:
    """A running server: its `port`, and a `client` for its administrator."""

    def __init__(self) -> None:
        self.port = free_port()
        own = self._daemon = Daemon("mariadb", unprivileged=True)
        self._socket = own.directory / "socket"
        data = ["--no-defaults", f"--datadir={own.directory / 'data'}"]
        own.run(_installed("mariadb-install-db"), *data, "--auth-root-authentication-method=normal", "--skip-test-db")
        certificate = authority().issue_cert("localhost", "127.0.0.1")
        chain = "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems)
        settings = [
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self._socket}",
            f"--pid-file={own.directory / 'pid'}",
            f"--ssl-cert={own.write('cert.pem', chain)}",
            f"--ssl-key={own.write('key.pem', certificate.private_key_pem.bytes().decode())}",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=4M",
            "--innodb-flush-method=nosync",
        ]
        own.start([program("mariadbd"), *data, *settings], lambda: listens(self.port))
        self.client(_CONTENT)

    def client(self, sql: str) -> str:
        """What the administrator's own client prints."""
        command = [_installed("mariadb"), "--no-defaults", f"--socket={self._socket}", "--user=root"]
        return self._daemon.run(*command, "--default-character-set=utf8mb4", "--batch", text=sql)


def _installed(name: str) -> str:
    """The path of a program that comes with the server."""
    path = shutil.which(name)
    assert path, f"{name} is missing beside {program('mariadbd')}"
    return path


def packet(number: int, content: bytes) -> bytes:
    """A packet of MySQL's protocol, for targets that play a server."""
    return struct.pack("<I", len(content))[:3] + bytes([number]) + content


def greeting(*, tls: bool = False, plugin: bytes = b"mysql_native_password") -> bytes:
    """What a server says first."""
    able = 0x00088208 | (0x800 if tls else 0)  # database, protocol 4.1, secure connection, plugins
    salt = b"saltsalt"
    content = b"\x0a8.4.0\0" + struct.pack("<I", 7) + salt + b"\0" + struct.pack("<H", able & 0xFFFF)
    content += struct.pack("<BHHB", 45, 2, able >> 16, 21) + bytes(10) + b"saltsaltsalt\0" + plugin + b"\0"
    return packet(0, content)


def error(number: int, code: int, message: str) -> bytes:
    """How a server refuses."""
    return packet(number, b"\xff" + struct.pack("<H", code) + b"#HY000" + message.encode())


@cache
def server() -> MariaDb:
    """The server of this test process, started on first use."""
    return MariaDb()
