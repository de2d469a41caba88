"""What a mail says. Pure."""

from __future__ import annotations

import random
import time
from email.message import EmailMessage

import pytest

from checks.heartbeats.letter import PARSED, read_letter


def mail(subject: str = "Backup", text: str = "all is well", **more: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content(text, **more)
    return message


def said(message: EmailMessage | bytes) -> tuple[str, str]:
    raw = message.as_bytes() if isinstance(message, EmailMessage) else message
    letter = read_letter(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return letter.subject, letter.text.decode("utf-8", "replace").replace("\r\n", "\n").strip()


def test_a_plain_mail_has_a_subject_and_a_text():
    assert said(mail()) == ("Backup", "all is well")


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-15"])
def test_words_are_found_whatever_their_letters_were_sent_in(charset: str, encoding: str):
    assert said(mail("Sicherung für Köln", "Fehler: 5 € zu wenig, Ärger", charset=charset, cte=encoding)) == (
        "Sicherung für Köln",
        "Fehler: 5 € zu wenig, Ärger",
    )


def test_the_plain_text_is_read_and_not_its_html_or_what_is_attached():
    message = mail(text="FAILED in plain")
    message.add_alternative("<p>html</p>", subtype="html")
    message.add_attachment("attached", filename="log.txt")
    assert said(message) == ("Backup", "FAILED in plain")


def test_html_is_read_where_there_is_no_plain_text():
    message = EmailMessage()
    message.set_content("<p>only html</p>", subtype="html")
    assert said(message) == ("", "<p>only html</p>")


def test_a_mail_without_text_is_kept_as_it_came():
    message = EmailMessage()
    message["Subject"] = "Picture"
    message.set_content(b"\x89PNG", maintype="image", subtype="png")
    subject, text = said(message)
    assert subject == "Picture"
    assert "image/png" in text


def test_a_text_that_is_all_of_a_large_mail_is_read_from_its_beginning():
    subject, text = said(mail(text="x" * 60 + "\n" + "line\n" * 200_000))
    assert subject == "Backup"
    assert text.startswith("x" * 60)


def test_a_long_subject_may_stand_on_several_lines():
    words = " ".join(f"word{number}" for number in range(60))
    assert said(mail(words))[0] == words


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"", ""),
        (b"\r\n", ""),
        (b"no header at all", ""),
        (b"Subject: raw \xfc and \xc3\xbc\r\n\r\nx", "raw � and ü"),
        (b"Subject: =?utf-8?b?broken!!\r\n\r\nx", "=?utf-8?b?broken!!"),
        (b"Subject: =?no-such-charset?q?hello?=\r\n\r\nx", "=?no-such-charset?q?hello?="),
        (b"SUBJECT: a\0b\r\nSubject: second\r\n\r\nx", "a\0b"),
        (b"Subject: x\r\nContent-Type: text/plain; charset=no-such\r\n\r\ny", "x"),
        (b'Subject: x\r\nContent-Type: text/plain; charset="\xff\xfe"\r\n\r\ny', "x"),
        (b"Subject: x\r\nContent-Type: multipart/mixed\r\n\r\ny", "x"),
        (b'Subject: x\r\nContent-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\ny', "x"),
        (b"Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!", "x"),
        (b"Subject: x\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 6\r\nM", "x"),
        (b"Subject: x\r\nContent-Type: ;;;=;\r\nContent-Disposition: =\r\n\r\ny", "x"),
    ],
)
def test_what_is_no_proper_mail_is_read_all_the_same(raw: bytes, subject: str):
    assert read_letter(raw).subject == subject


def test_no_bytes_at_all_make_it_fail():
    chance = random.Random(4)
    pieces = [
        b"Subject:",
        b"Content-Type: multipart/mixed; boundary=",
        b"--",
        b"=?",
        b"?q?",
        b"?=",
        b"\r\n",
        b'"',
        b";",
    ]
    pieces += [b"message/rfc822", b"Content-Type: ", b"text/plain", b"charset=", b"base64", b"\xff\0", b"(", b"\\"]
    for _ in range(3000):
        read_letter(b"".join(chance.choices(pieces, k=chance.randrange(40))))


HOSTILE = {
    "nested parts": b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(20_000)
    ),
    "nested mails": b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    "a few parts of many lines": b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(9)
    )
    + b"\r\n" * 500_000,
    "a header of semicolons": b"Content-Type: text/plain" + b';a="' * 250_000 + b"\r\n\r\nx",
    "a subject of beginnings": b"Subject: " + b"=?a?q?" * 150_000 + b"\r\n\r\nx",
    "many headers": b"a: b\r\n" * 150_000,
    "one line": b"x" * 1_000_000,
    "a folded subject": b"Subject: a\r\n" + b" b\r\n" * 200_000,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_mail_costs_little_time(raw: bytes):
    begun = time.process_time()
    read_letter(raw)
    assert time.process_time() - begun < 1.0
    assert len(raw) > PARSED
