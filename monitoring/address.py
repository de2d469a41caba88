"""Where the server listens, and how a browser on this machine finds it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

HOST, PORT = "127.0.0.1", 8000


def address_of(host: str, port: int) -> str:
    """The address at which a browser on this machine finds a server that listens on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise ArgumentTypeError(f"{text!r} is no port; allowed: 1 to 65535")
    return int(text)


def add_server_arguments(parser: ArgumentParser) -> None:
    """Where the server listens."""
    parser.add_argument("--host", default=HOST, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=PORT, help="port to listen on (default: %(default)s)")
