"""A real Dovecot for the tests: Debian's, with IMAP and POP3 on 127.0.0.1, in clear (with STARTTLS) and over TLS.

Started once a test process; every user has the same password.
"""

from __future__ import annotations

import grp
import pwd
from functools import cache

from tests.daemons import Daemon, free_port, listens
from tests.debian import program
from tests.servers import authority

PASSWORD = "correct horse"

_CONFIGURATION = """
base_dir = {directory}/run
log_path = /dev/stderr
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_dh =
auth_mechanisms = plain login
auth_failure_delay = 0
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:{directory}/mail
passdb {{
  driver = passwd-file
  args = scheme=plain {passwords}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={directory}/mail
}}
first_valid_uid = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
"""


class Dovecot:
    """A running server: its ports by the names of their services."""

    def __init__(self) -> None:
        daemon = self.daemon = Daemon("dovecot", unprivileged=True)
        self.imap, self.imaps, self.pop3, self.pop3s = (free_port() for _ in range(4))
        user = pwd.getpwuid(daemon.directory.stat().st_uid)
        certificate = authority().issue_cert("localhost", "127.0.0.1")
        chain = "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems)
        text = _CONFIGURATION.format(
            directory=daemon.directory,
            certificate=daemon.write("cert.pem", chain),
            key=daemon.write("key.pem", certificate.private_key_pem.bytes().decode()),
            passwords=daemon.write("passwords", f"eve:{PASSWORD}\n"),
            user=user.pw_name,
            group=grp.getgrgid(user.pw_gid).gr_name,
            imap=self.imap,
            imaps=self.imaps,
            pop3=self.pop3,
            pop3s=self.pop3s,
        )
        ports = (self.imap, self.imaps, self.pop3, self.pop3s)
        command = [program("dovecot"), "-F", "-c", daemon.write("dovecot.conf", text)]
        daemon.start(command, lambda: all(listens(port) for port in ports))


@cache
def server() -> Dovecot:
    """The server of this test process, started on first use."""
    return Dovecot()
