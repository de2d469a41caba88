"""The child process that sends one message at a time through Apprise: `python -m monitoring.notifier.sender`.

Reads one JSON line a message from its standard input and answers with one JSON line (`Answer`). Django-free, so that it
starts quickly. Apprise is a formatter and a sender here: deadline, retries and verdict are the parent's
(`monitoring.notifier.pool`), which kills this process when it takes too long or too much memory.
"""

from __future__ import annotations

import http
import json
import logging
import os
import re
import resource
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from checks import clock
from checks.network.guard import Guard
from checks.process import die_with_parent
from monitoring import recipients

MEMORY_LIMIT = 512 * 2**20  # bytes of address space
BODY_LIMIT = 2**20  # bytes read of a destination's answer
BODY_TIME = 3.0  # seconds spent reading it: the status line has been heard already
DESCRIPTORS = 256

# Refused for good, unless someone changes the channel; all other answers of 400 and above may pass.
_MAY_PASS = frozenset({408, 409, 421, 425, 429})


@dataclass(slots=True, kw_only=True)
class Answer:
    """How one attempt ended. `error` is made of our own words, numbers and names of errors: it can hold no secret."""

    sent: bool = False
    error: str = ""
    status: int | None = None  # of HTTP or SMTP
    retry_after: float | None = None  # seconds
    permanent: bool = False  # trying again as it is won't help
    in_doubt: bool = False  # it may have arrived all the same


class Trace:
    """What the hooks saw of the network during one attempt."""

    def __init__(self) -> None:
        self.key = ""
        self.status: int | None = None
        self.retry_after: float | None = None
        self.smtp: int | None = None
        self.error = ""
        self.denied = ""
        self.connected = False
        self.handed_over = False  # the message itself was on its way

    def answer(self, *, sent: bool) -> Answer:
        """The verdict on the attempt."""
        if sent:
            return Answer(sent=True, status=self.status)
        if self.denied:
            return Answer(error=self.denied, permanent=True)
        if self.smtp is not None:
            return Answer(error=f"the mail server answered {self.smtp}", status=self.smtp, permanent=self.smtp >= 500)
        if self.status is not None:
            return Answer(
                error=f"the destination answered {self.status}{_phrase(self.status)}",
                status=self.status,
                retry_after=self.retry_after,
                permanent=400 <= self.status < 500 and self.status not in _MAY_PASS,
                # It said no, yet some take a message and then fail; a plugin that dislikes a 200 is no proof either.
                in_doubt=self.status < 300 or self.status >= 500,
            )
        return Answer(error=self.error or "the service could not be reached", in_doubt=self.handed_over)


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return f" {http.HTTPStatus(status).phrase}"
    return ""


_trace = Trace()


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header: a number or an HTTP date; None where it is neither."""
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value.strip()):
        return float(value)
    try:
        instant = parsedate_to_datetime(value.strip())
    except (ValueError, TypeError):
        return None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return max(0.0, (instant - now).total_seconds())


def _hook_requests() -> None:
    """See every HTTP answer, bound what is read of it, and give every request the message's key."""
    import requests

    original = requests.Session.send

    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        request.headers.setdefault("Idempotency-Key", _trace.key)
        request.headers["Accept-Encoding"] = "identity"
        _trace.status, _trace.handed_over = None, False
        try:
            response = original(self, request, **{**kwargs, "stream": True})
        except requests.RequestException as exc:
            _trace.error, _trace.handed_over = _describe(exc), not _never_connected(exc)
            raise
        _trace.status = response.status_code
        _trace.retry_after = parse_retry_after(response.headers.get("Retry-After"), clock.utcnow())
        if not kwargs.get("stream"):
            response._content = _read_body(response)  # noqa: SLF001 - what `requests` itself does, with bounds
            response._content_consumed = True  # noqa: SLF001
            response.close()
        return response

    requests.Session.send = send  # type: ignore[method-assign]


def _read_body(response: Any) -> bytes:
    """The beginning of an answer; a server that drips, stops or resets after its status line has given its verdict."""
    end, parts, size = clock.monotonic() + BODY_TIME, [], 0
    with suppress(Exception):
        while size < BODY_LIMIT and clock.monotonic() < end and (part := response.raw.read1(65536)):
            parts.append(part)
            size += len(part)
    return b"".join(parts)[:BODY_LIMIT]


def _never_connected(exc: Exception) -> bool:
    """Whether the request can't have reached anyone."""
    import requests

    if isinstance(exc, requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    return "NewConnectionError" in _names(exc) or "NameResolutionError" in _names(exc)


def _names(exc: BaseException) -> set[str]:
    """The names of the errors that led to this one."""
    names: set[str] = set()
    todo = [exc]
    while todo and len(names) < 20:
        error = todo.pop()
        names.add(type(error).__name__)
        inner = (error.__cause__, error.__context__, getattr(error, "reason", None), *error.args)
        todo += [exc for exc in inner if isinstance(exc, BaseException) and type(exc).__name__ not in names]
    return names


def _describe(exc: Exception) -> str:
    """An error in our words; its own text may quote the URL."""
    names = _names(exc)
    for name, words in (
        ("NameResolutionError", "the destination's name can't be resolved"),
        ("gaierror", "the destination's name can't be resolved"),
        ("ConnectionRefusedError", "the destination refused the connection"),
        ("ConnectTimeout", "the destination did not accept the connection in time"),
        ("SSLCertVerificationError", "the destination's certificate is not trusted"),
        ("SSLError", "the TLS handshake with the destination failed"),
        ("ReadTimeout", "the destination did not answer in time"),
        ("TimeoutError", "the destination did not answer in time"),
        ("ConnectionResetError", "the destination reset the connection"),
        ("RemoteDisconnected", "the destination closed the connection without an answer"),
        ("SMTPServerDisconnected", "the mail server closed the connection"),
        ("SMTPNotSupportedError", "the mail server does not offer what the channel asks for (STARTTLS, login)"),
        ("MemoryError", "the destination's answer took more memory than allowed"),
    ):
        if name in names:
            return words
    return f"the service could not be reached ({type(exc).__name__})"


def _hook_smtp() -> None:
    """See the mail server's answers and how far the conversation came."""
    import smtplib

    original_reply, original_data = smtplib.SMTP.getreply, smtplib.SMTP.data

    def getreply(self: Any) -> Any:
        code, text = original_reply(self)
        if code >= 400:
            _trace.smtp = code
        return code, text

    def data(self: Any, message: Any) -> Any:
        _trace.handed_over = True
        answer = original_data(self, message)
        _trace.handed_over = False
        return answer

    def noting(original: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(self, *args, **kwargs)
            except (OSError, smtplib.SMTPException) as exc:
                _trace.error = _trace.error or _describe(exc)
                raise

        return call

    smtplib.SMTP.getreply = getreply  # type: ignore[method-assign]
    smtplib.SMTP.data = data  # type: ignore[method-assign,assignment]  # typeshed names the parameter otherwise
    for name in ("connect", "starttls", "login", "sendmail"):
        setattr(smtplib.SMTP, name, noting(getattr(smtplib.SMTP, name)))


def _hook_sockets() -> None:
    """Refuse addresses that no destination has, however the name was resolved, before a byte is sent."""
    addresses = Guard.from_environment()

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        sock, address = args
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            _trace.denied = "the channel leads to this machine itself and not over the network"
        elif why := addresses.refusal(str(address[0])):
            _trace.denied = f"the channel leads to an address that nobody may reach: it is {why}"
        if _trace.denied:
            raise PermissionError(_trace.denied)
        _trace.connected = _trace.connected or sock.type == socket.SOCK_STREAM

    sys.addaudithook(audit)


def _hook_message_id() -> None:
    """Every copy of a mail has the same Message-ID, made of the message's key."""
    from apprise.plugins.email import base

    def make_msgid(idstring: str | None = None, domain: str | None = None) -> str:  # noqa: ARG001 - email.utils's
        plain = re.sub(r"[^A-Za-z0-9.-]+", ".", _trace.key)
        return f"<{plain}@{domain or 'stillup'}>"

    base.__dict__["make_msgid"] = make_msgid


class Sender:
    """Apprise, secured: no redirects, nothing on disk, no code from paths, no templates, no waiting."""

    def __init__(self) -> None:
        import apprise

        self._apprise = apprise
        self._asset = apprise.AppriseAsset(
            app_id="Stillup",
            app_desc="Stillup",
            app_url="",
            plugin_paths=[],
            storage_mode=apprise.PersistentStoreMode.MEMORY,
            http_redirects=False,
            secure_logging=True,
            async_mode=False,
            interpret_escapes=False,
            interpret_emojis=False,
            allow_templates=False,
            pgp_autogen=False,
            pem_autogen=False,
            service_timeout=0,  # it would leave the thread sending
        )

    def send(self, order: dict[str, Any]) -> Answer:
        """Send one message to one recipient, once."""
        _trace.__init__()  # type: ignore[misc]  # a fresh one under the same name, which the hooks hold
        _trace.key = order["key"]
        plugin = self._apprise.Apprise.instantiate(order["url"], asset=self._asset, suppress_exceptions=True)
        if plugin is None:
            return Answer(error="the channel's URL is not one that Apprise can read", permanent=True)
        try:
            recipients.pick(plugin, order["recipient"])
        except recipients.NoSuchRecipient:
            return Answer(error="the channel has no such recipient any more", permanent=True)
        plugin.request_rate_per_sec = 0
        title, body, body_format = self._fit(plugin, order)
        try:
            sent = plugin.notify(body=body, title=title, notify_type=order["type"], body_format=body_format)
        except Exception as exc:  # noqa: BLE001 - 180 plugins, and each may raise what it likes
            _trace.error = _trace.error or _describe(exc)
            sent = False
        answer = _trace.answer(sent=bool(sent))
        if not answer.sent and _trace.status is None and _trace.smtp is None and not _trace.error:
            answer.in_doubt = _trace.connected  # a protocol that we have no hook for
        return answer

    def _fit(self, plugin: Any, order: dict[str, Any]) -> tuple[str, str, Any]:
        """Title, body and format as the service likes them; what is too long is cut and says so."""
        formats = self._apprise.NotifyFormat
        title, body = order["title"], order["text"]
        if plugin.title_maxlen > 0:
            title = cut(title, plugin.title_maxlen, "…")
        room = plugin.body_maxlen - (len(title) + 2 if plugin.title_maxlen <= 0 else 0)
        wants_html = plugin._format_override or plugin._formats()[0]  # noqa: SLF001 - no other way to ask
        if wants_html == formats.HTML and order["html"] and len(order["html"]) <= room:
            return title, order["html"], formats.HTML
        return title, cut(body, max(room, 40), "… (more)"), formats.TEXT


def cut(text: str, size: int, mark: str) -> str:
    """The text at its full length or, where that is more than `size`, its beginning and the mark."""
    return text if len(text) <= size else text[: max(0, size - len(mark))] + mark


def main() -> None:
    """Serve until the parent closes the pipe."""
    die_with_parent()
    # The pipe is ours alone: what a plugin prints must not be read as an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most) if most > 0 else DESCRIPTORS, most))
    with suppress(ValueError, OSError):  # macOS has no such limit; there the parent's watch is all
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    sender = Sender()
    _hook_requests()
    _hook_smtp()
    _hook_message_id()
    _hook_sockets()
    for line in sys.stdin:
        try:
            answer = sender.send(json.loads(line))
        except MemoryError:
            answer = Answer(error="the destination's answer took more memory than allowed", in_doubt=True)
        answers.write(json.dumps(asdict(answer)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
