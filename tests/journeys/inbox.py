"""Where a journey's messages arrive: a mail server, a webhook, and an incoming webhook as Slack and Mattermost have it."""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.journeys.ports import free_port


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived."""

    at: float
    via: str  # mail, json, chat
    text: str  # everything a reader could see
    data: Any = None


@dataclass
class Inbox:
    """Collects messages. `answer` is the status that the webhooks answer with."""

    answer: int = 200
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._web: ThreadingHTTPServer | None = None
        self._mail: Controller | None = None
        self.web_port, self.mail_port = free_port(), free_port()

    @property
    def mail_url(self) -> str:
        return f"mailto://127.0.0.1:{self.mail_port}/?from=stillup@example.org&to=ops@example.org&mode=insecure"

    @property
    def json_url(self) -> str:
        return f"json://127.0.0.1:{self.web_port}/json"

    @property
    def chat_url(self) -> str:
        return f"mmost://127.0.0.1:{self.web_port}/abcdefghijklmnop"

    def __enter__(self) -> Self:
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if inbox.answer < 300:
                    inbox.take("chat" if self.path.startswith("/hooks/") else "json", body)
                self.send_response(inbox.answer)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        class Collector:
            async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
                inbox.take("mail", envelope.content if isinstance(envelope.content, bytes) else b"")
                return "250 OK"

        self._web = Server(("127.0.0.1", self.web_port), Handler)
        threading.Thread(target=self._web.serve_forever, args=(0.05,), daemon=True).start()
        self._mail = Controller(Collector(), hostname="127.0.0.1", port=self.mail_port)
        self._mail.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._web is not None:
            self._web.shutdown()
            self._web.server_close()
        if self._mail is not None:
            self._mail.stop()

    def take(self, via: str, body: bytes) -> None:
        data: Any = None
        if via == "mail":
            mail = email.message_from_bytes(body, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            parts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
            text = "\n".join([str(mail["subject"]), *parts])
        else:
            data = json.loads(body)
            text = json.dumps(data, ensure_ascii=False)
        with self._lock:
            self.messages.append(Message(time.monotonic(), via, text, data))

    def of(self, via: str, word: str = "") -> list[Message]:
        """The messages that came that way and hold the word, in the order in which they came."""
        with self._lock:
            return [m for m in self.messages if m.via == via and word.lower() in m.text.lower()]
