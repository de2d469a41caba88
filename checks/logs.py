"""One line an event: for people by default, JSON with STILLUP_LOG_FORMAT=json. Never a query string or a password."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import types
from datetime import UTC, datetime
from typing import Any

from checks.environment import read_choice

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_INDISCREET = "mail.log"  # aiosmtpd's: what clients say, in which ping keys stand
_CHATTY = ("alembic", "apprise", "apscheduler", "asyncio", "asyncssh", "httpcore", "httpx")

# Line breaks would forge an event, other control characters would drive a terminal.
_ESCAPES = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
} | {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_WORD = re.compile(r"[^\s=\"]+")
_USER = re.compile(r"(?<=://)[^\s/?#]*@")
# A question mark inside a word is the beginning of a query: `/ping?rid=1`. `Is it up?` stays.
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>()]*[=&%][^\s\"'<>()]*")


def one_line(text: str) -> str:
    """The text with line breaks and other control characters as escapes."""
    return text.translate(_ESCAPES)


def without_secrets(text: str) -> str:
    """The text without the user and the query of the addresses in it."""
    return _QUERY.sub("?...", _USER.sub("", text)) if "?" in text or "://" in text else text


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class _Formatter(logging.Formatter):
    """What both forms share: the instant, the sentence, the traceback."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    def sentence(self, record: logging.LogRecord) -> str:
        """The event in words. A mistake in the call is shown and loses nothing."""
        try:
            return record.getMessage()
        except (TypeError, ValueError, KeyError):
            return f"{record.msg} {record.args!r}"

    def traceback(self, record: logging.LogRecord) -> str:
        """The exception's traceback with its line breaks; empty where there is none."""
        parts = []
        if record.exc_info and record.exc_info[0] is not None:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return "\n".join(parts)

    def instant(self, record: logging.LogRecord) -> str:
        """When it was, in UTC, to the millisecond."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(record.msecs):03d}Z"


class TextFormatter(_Formatter):
    """`2026-11-22T10:00:00.123Z INFO  worker  A sentence. key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as one line for people."""
        where = self.role or record.name.rpartition(".")[2]
        line = f"{self.instant(record)} {record.levelname:<5} {where}  {self.sentence(record)}"
        for name, value in _extras(record).items():
            plain = str(value)
            line += f" {name}={plain if _WORD.fullmatch(plain) else json.dumps(plain, ensure_ascii=False)}"
        if traceback := self.traceback(record):
            line += f" traceback: {traceback}"
        return one_line(without_secrets(line))


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as one line for machines."""
        event = {
            "at": self.instant(record),
            "level": record.levelname.lower(),
            "process": self.role,
            "logger": record.name,
            "message": self.sentence(record),
            **_extras(record),
        }
        if traceback := self.traceback(record):
            event["traceback"] = traceback
        return json.dumps({name: _plain(value) for name, value in event.items()})


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return without_secrets(str(value))


def configure(role: str = "") -> None:
    """Write the events of this process to its standard error; `role` (worker, web) stands in each line."""
    kind = read_choice("STILLUP_LOG_FORMAT", "text", ("text", "json"))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role) if kind == "json" else TextFormatter(role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_INDISCREET).setLevel(logging.CRITICAL + 1)
    logging.raiseExceptions = False  # a full disk under the log must not fill it with tracebacks about itself
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _log_uncaught(kind: type[BaseException], exc: BaseException, traceback: types.TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("process").critical("ended by %s", kind.__name__, exc_info=(kind, exc, traceback))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        thread = args.thread.name if args.thread else "unknown"
        exc_info = (args.exc_type, args.exc_value, args.exc_traceback)
        logging.getLogger("process").critical(
            "thread %s ended by %s", thread, args.exc_type.__name__, exc_info=exc_info
        )
