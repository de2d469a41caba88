"""Where the server listens, and how a browser on this machine finds it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

from checks.environment import EnvironmentProblem

HOST, PORT = "127.0.0.1", 8000
MAIL_PORT = 2525


def address_of(host: str, port: int) -> str:
    """The address at which a browser on this machine finds a server that listens on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"


def mail_address(text: str) -> tuple[str, int] | None:
    """Where STILLUP_MAIL_PINGS says that mails are taken; None where nowhere. Raises EnvironmentProblem."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        return host.strip("[]") or HOST, _port(port)
    except ArgumentTypeError as exc:
        raise EnvironmentProblem(
            f"STILLUP_MAIL_PINGS is {text!r}; expected host:port, as in 127.0.0.1:{MAIL_PORT}"
        ) from exc


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise ArgumentTypeError(f"{text!r} is no port; allowed: 1 to 65535")
    return int(text)


def add_server_arguments(parser: ArgumentParser, *, port: int = PORT) -> None:
    """Where a server listens, by default on this port."""
    parser.add_argument("--host", default=HOST, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=port, help="port to listen on (default: %(default)s)")
