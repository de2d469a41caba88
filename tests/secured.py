"""Real servers that speak TLS after STARTTLS, for the tests: Debian's slapd, vsftpd and prosody.

Each is started once a test process, on 127.0.0.1, with a certificate of the tests' own authority.
"""

from __future__ import annotations

from functools import cache

from tests.daemons import Daemon, free_port, listens
from tests.debian import program
from tests.servers import authority, authority_pem

_SLAPD = """
pidfile {directory}/pid
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
"""
_VSFTPD = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
run_as_launching_user=YES
anonymous_enable=YES
local_enable=NO
ssl_enable=YES
rsa_cert_file={certificate}
rsa_private_key_file={key}
ssl_ciphers=HIGH
seccomp_sandbox=NO
"""
_PROSODY = """
daemonize = false
pidfile = "{directory}/pid"
data_path = "{directory}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{}}
modules_enabled = {{ "tls", "saslauth" }}
modules_disabled = {{ "s2s" }}
log = {{ warn = "*console" }}
c2s_require_encryption = true
ssl = {{ certificate = "{certificate}"; key = "{key}" }}
VirtualHost "localhost"
"""


def _start(name: str, configuration: str, *command: str) -> int:
    """The port of a server that reads its configuration from the path that ends its command."""
    daemon, port = Daemon(name, unprivileged=True), free_port()
    certificate = authority().issue_cert("localhost", "127.0.0.1")
    text = configuration.format(
        directory=daemon.directory,
        port=port,
        ca=daemon.write("ca.pem", authority_pem()),
        certificate=daemon.write("cert.pem", "".join(p.bytes().decode() for p in certificate.cert_chain_pems)),
        key=daemon.write("key.pem", certificate.private_key_pem.bytes().decode()),
    )
    words = [word.replace("PORT", str(port)) for word in command]
    path = daemon.write("server.cfg.lua", text)  # prosody reads no other ending
    daemon.start([program(name), *words, path], lambda: listens(port))
    return port


@cache
def slapd() -> int:
    """The port of a server of LDAP."""
    return _start("slapd", _SLAPD, "-d", "0", "-h", "ldap://127.0.0.1:PORT", "-f")


@cache
def vsftpd() -> int:
    """The port of a server of FTP."""
    return _start("vsftpd", _VSFTPD)


@cache
def prosody() -> int:
    """The port of a server of XMPP."""
    return _start("prosody", _PROSODY, "-F", "--config")
