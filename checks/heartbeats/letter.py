"""What a mail says: its subject, and its text in UTF-8. Pure, and never surprised by what is no proper mail."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message

PARSED = 64 * 1024  # bytes: headers and the text come first, what is attached is not looked at
MOST_PARTS = 20  # within each other; the parser's time grows with their depth
_LONGEST_SUBJECT = 1000  # characters
_NESTS = (b"boundary", b"message/")
# What Python's parser raises on parts that lie about themselves.
_STRANGE = (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What of a mail is a ping's."""

    subject: str
    text: bytes


def read_letter(raw: bytes) -> Letter:
    """The subject and the first text of a mail; the mail as it came where it has no text that can be read."""
    head = bytes(raw[:PARSED])
    lowered = head.lower()
    if any(lowered.count(word) > MOST_PARTS for word in _NESTS):
        head, _, _ = head.partition(b"\r\n\r\n")
        return Letter(subject=_subject(message_from_bytes(head)), text=raw)
    try:
        message = message_from_bytes(head)
        text = _text(message)
    except _STRANGE:
        return Letter(subject="", text=raw)
    return Letter(subject=_subject(message), text=raw if text is None else text)


def _subject(message: Message) -> str:
    found = next((str(value) for name, value in message.raw_items() if name.lower() == "subject"), "")
    subject = found[:_LONGEST_SUBJECT].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "=?" in subject:
        try:
            subject = str(make_header(decode_header(subject)))
        except _STRANGE:
            return subject
    return " ".join(subject.split())


def _text(message: Message) -> bytes | None:
    """The first plain text, else the first other one; None where there is none."""
    texts = [
        part
        for part in message.walk()
        if part.get_content_maintype() == "text" and part.get_content_disposition() != "attachment"
    ]
    part = next((part for part in texts if part.get_content_subtype() == "plain"), texts[0] if texts else None)
    payload = None if part is None else part.get_payload(decode=True)
    if part is None or not isinstance(payload, bytes):
        return None
    charset = part.get_content_charset() or "utf-8"
    try:
        return payload.decode(charset, "replace").encode() if charset != "utf-8" else payload
    except _STRANGE:
        return payload
