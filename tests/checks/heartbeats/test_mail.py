"""Pings by mail, through real connections. The process is in tests/journeys."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from checks import clock, sight
from checks.heartbeats import limits
from checks.heartbeats import mail as mail_module
from checks.heartbeats.mail import LARGEST, MailPings, serve
from checks.heartbeats.request import digest_of
from checks.sight import MAIL, WEB, last_sign
from checks.store.publishing import PublishedMonitor
from checks.store.schema import ping_key, unknown_ping
from tests.checks.heartbeats.asking import CODE, heard, job, pings, status
from tests.checks.workers import monitor_of, publish
from tests.waiting import wait_until

KEY = "aB3_-xYz0123456789abcd"
TO = f"{CODE}@stillup.example.org"


@contextmanager
def serving(url: str) -> Iterator[tuple[MailPings, int]]:
    """A server that takes mails, on a port of its own."""
    mail, stop = MailPings(url, "stillup.example.org"), asyncio.Event()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(mail, "127.0.0.1", port, stop),))
    thread.start()
    try:
        wait_until(lambda: accepts(port), what="it listens")
        yield mail, port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def heartbeat(store: sa.Engine) -> PublishedMonitor:
    monitor = replace(
        monitor_of(
            kind="heartbeat",
            name="Nightly backup",
            schedule={"every": "60s"},
            failure_keywords=["FAILED"],
            start_keywords=["begins"],
            success_keywords=["done"],
        ),
        ping_codes=(CODE,),
    )
    publish(store, monitor)
    with store.begin() as conn:
        conn.execute(ping_key.insert(), [{"digest": digest_of(KEY), "name": "cron", "creates": True}])
    return monitor


@pytest.fixture
def port(store_url: str, heartbeat: PublishedMonitor) -> Iterator[int]:
    with serving(store_url) as (_, port):
        yield port


def send(port: int, *to: str, subject: str = "", text: str = "", sender: str = "cron@db1.example.org") -> str:
    """The answer to a mail."""
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content(text)
    return said(port, to or (TO,), message.as_bytes(), sender)


def said(port: int, to: tuple[str, ...], raw: bytes, sender: str = "cron@db1.example.org") -> str:
    """The answer to a mail as it comes over the wire, or to the first of its recipients that is refused."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo("db1.example.org")
        assert client.mail(sender)[0] == 250
        for each in to:
            code, words = client.rcpt(each)
            if code != 250:
                return f"{code} {words.decode()}"
        code, words = client.data(raw)
        return f"{code} {words.decode()}"


def test_nobody_is_sent_away_because_the_store_is_not_open_yet(
    store_url: str, heartbeat: PublishedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = MailPings.open

    def later(mail: MailPings) -> None:
        time.sleep(0.3)
        at_once(mail)

    monkeypatch.setattr(MailPings, "open", later)
    with serving(store_url) as (_, port):
        assert send(port).startswith("250")


def test_a_mail_is_a_ping_with_its_text_and_its_sender(port: int, store: sa.Engine) -> None:
    before = clock.utcnow()
    assert send(port, subject="cron", text="copied 3 files") == "250 2.0.0 the ping is stored"
    (stored,) = pings(store)
    assert (stored.action, stored.method, stored.source) == ("success", "MAIL", "127.0.0.1")
    assert stored.user_agent == "mail from cron@db1.example.org"
    assert stored.body.strip() == b"copied 3 files"
    assert stored.body_size > len(stored.body), "that of the whole mail"
    assert before <= stored.received_at <= clock.utcnow()
    assert status(store) == "up"


@pytest.mark.parametrize(
    ("local", "subject", "text", "action", "exit_code"),
    [
        (str(CODE), "", "", "success", None),
        (str(CODE).upper(), "", "", "success", None),
        (f"{CODE}+start", "", "", "start", None),
        (f"{CODE}+fail", "", "", "fail", None),
        (f"{CODE}+log", "FAILED", "", "log", None),
        (f"{CODE}+0", "", "", "success", 0),
        (f"{CODE}+137", "", "", "fail", 137),
        (f"{KEY}+nightly-backup", "", "", "success", None),
        (f"{KEY}+nightly-backup+fail", "", "", "fail", None),
        (f"{KEY}+nightly-backup+3", "", "", "fail", 3),
        (str(CODE), "Backup FAILED", "", "fail", None),
        (str(CODE), "=?utf-8?q?Backup_F=41ILED?=", "", "fail", None),
        (str(CODE), "Backup begins", "", "start", None),
        (str(CODE), "Backup", "first line\n...FAILED to connect", "fail", None),
        (f"{CODE}+start", "all done", "", "success", None),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_address_subject_and_text_say_what_is_reported(
    port: int, store: sa.Engine, *, local: str, subject: str, text: str, action: str, exit_code: int | None
) -> None:
    assert send(port, f"{local}@any.domain", subject=subject, text=text).startswith("250")
    assert [(row.action, row.exit_code) for row in pings(store)] == [(action, exit_code)]


@pytest.mark.parametrize(
    ("to", "answer"),
    [
        ("6f0d3c1e-58a2-4b8e-9d17-0c2b9a7e4f10@x.org", "550 5.1.1 no monitor has this ping code or ping key"),
        (f"nobodys-key-0123456789+{KEY.lower()}@x.org", "550 5.1.1 nobody here"),
        ("nobodys-key-0123456789+nightly-backup@x.org", "550 5.1.1 no monitor has this ping code or ping key"),
        (f"{KEY}+other@x.org", "550 5.1.1 no monitor has this slug, and a mail makes none"),
        (f"{KEY}+shop@x.org", "550 5.1.1 this monitor is not one that is pinged"),
        (f"{CODE}+256@x.org", "550 5.1.1 exit code 256 is not possible; allowed: 0 to 255"),
        (f"{CODE}+stop@x.org", "550 5.1.1 no monitor has this ping code or ping key"),
        (f"{CODE}+Stop@x.org", "550 5.1.1 nobody here"),
        (f"{CODE}/fail@x.org", "550 5.1.1 nobody here"),
        ("root@x.org", "550 5.1.1 nobody here"),
        ("postmaster@elsewhere.example.com", "550 5.1.1 nobody here"),
        ("<>", "5"),
        ("\x00@", "5"),
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_whom_nobody_knows_is_refused_and_nothing_is_sent_on(port: int, store: sa.Engine, to: str, answer: str) -> None:
    publish(store, monitor_of(kind="http", name="Shop"))
    assert send(port, to).startswith(answer)
    assert pings(store) == []


def test_a_mail_to_several_pings_each_and_says_where_one_is_nobodys(port: int, store: sa.Engine) -> None:
    assert send(port, TO, f"{CODE}+start@a.org", TO).startswith("250")
    assert sorted(row.action for row in pings(store)) == ["start", "success"], "one named twice is one"
    nobody = "6f0d3c1e-58a2-4b8e-9d17-0c2b9a7e4f10@x.org"
    answer = send(port, nobody, f"{CODE}+log@a.org")
    assert answer == "550 5.1.1 no monitor has this ping code or ping key; 1 of 2 pings are stored"
    assert len(pings(store)) == 3


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b".",
        b"\r\n",
        b"no header",
        b"\xff\xfe\x00",
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=\r\n\r\n--",
        b"Subject: x\r\n\r\n" + b"y" * 200_000,
        b"Content-Transfer-Encoding: base64\r\n\r\n====",
    ],
)
def test_what_is_no_proper_mail_is_a_ping_all_the_same(port: int, store: sa.Engine, raw: bytes) -> None:
    assert said(port, (TO,), raw).startswith("250")
    (stored,) = pings(store)
    assert len(stored.body) <= 10_000


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_bounce_without_a_sender_is_heard_too(port: int, store: sa.Engine) -> None:
    assert send(port, sender="").startswith("250")
    assert len(pings(store)) == 1


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_leading_dots_and_long_lines_arrive_as_they_were_sent(port: int, store: sa.Engine) -> None:
    text = ".\r\n..\r\n.dot\r\n" + "z" * 9_000 + "\r\n.last"
    assert said(port, (TO,), b"Subject: x\r\n\r\n" + text.encode()).startswith("250")
    assert pings(store)[0].body.rstrip() == text.encode()


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_mail_that_is_too_large_is_refused_whether_it_says_so_or_not(port: int, store: sa.Engine) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        assert client.mail("a@b.org", [f"SIZE={LARGEST + 1}"])[0] == 552
    line = b"x" * 98 + b"\r\n"
    assert said(port, (TO,), line * (LARGEST // 100 + 1)).startswith("552")
    assert said(port, (TO,), line * (LARGEST // 100 - 1)).startswith("250")
    assert len(pings(store)) == 1


def answers_to(port: int, *sent: bytes, lasting: float = 10.0) -> bytes:
    """All that the server says to a client that asks for no answers, until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=lasting) as client:
        heard = b""
        try:
            for part in sent:
                client.sendall(part)
            while part := client.recv(65536):
                heard += part
        except (BrokenPipeError, ConnectionResetError):
            pass
        return heard


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize("endless", [b"x" * 65536, b"\r\n" * 32768], ids=["one line", "many lines"])
def test_an_endless_mail_is_cut_off(port: int, store: sa.Engine, endless: bytes) -> None:
    begin = f"EHLO x\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()
    begun = time.monotonic()
    answers_to(port, begin, *[endless] * 400)
    assert time.monotonic() - begun < 15
    assert pings(store) == []
    assert send(port).startswith("250"), "others are heard all the same"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_pipelined_mails_are_answered_one_by_one(port: int, store: sa.Engine) -> None:
    one = f"MAIL FROM:<a@b.org>\r\nRCPT TO:<{CODE}+log@x.org>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\n".encode()
    said = answers_to(port, b"EHLO x\r\n" + one * 3 + b"QUIT\r\n")
    assert said.count(b"250 2.0.0 the ping is stored\r\n") == 3
    assert said.endswith(b"221 Bye\r\n")
    assert heard(store) == 3


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xfe\r\n",
        b"X" * 100_000 + b"\r\n",
        b"EHLO\r\nMAIL\r\nRCPT\r\nDATA\r\nVRFY root\r\nEXPN x\r\nAUTH PLAIN AAAA\r\nSTARTTLS\r\nHELP DATA\r\n",
        b"HELO x\r\nMAIL FROM:<" + b"(" * 300 + b'>\r\nRCPT TO:<""@[>\r\nDATA now\r\n',
    ],
)
def test_strange_commands_are_answered_and_change_nothing(port: int, store: sa.Engine, sent: bytes) -> None:
    said = answers_to(port, sent, b"QUIT\r\n")
    assert said.startswith(b"220 stillup.example.org")
    assert said.endswith(b"221 Bye\r\n")
    assert b"500 Error: (" not in said, "no mistake of ours"
    assert pings(store) == []


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_who_talks_without_end_or_not_at_all_is_left(
    store_url: str, heartbeat: PublishedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_module, "STEP_WITHIN", 0.5)
    monkeypatch.setattr(mail_module, "MOST_COMMANDS", 5)
    with serving(store_url) as (_, port):
        assert b"421 4.7.0 NOOP sent too many times" in answers_to(port, b"NOOP\r\n" * 10)
        assert answers_to(port).startswith(b"220"), "and then nothing"
        slow = f"EHLO x\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<{TO}>\r\nDATA\r\nSub".encode()
        begun = time.monotonic()
        assert answers_to(port, slow).endswith(b"354 end the mail with a dot on a line of its own\r\n")
        assert time.monotonic() - begun < 5
    monkeypatch.setattr(mail_module, "STEP_WITHIN", 30.0)
    monkeypatch.setattr(mail_module, "CONNECTED_FOR", 0.3)
    with serving(store_url) as (_, port):
        assert b"421 4.3.2" in answers_to(port, b"EHLO x\r\n")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_connections_recipients_and_pings_are_limited(
    store_url: str, heartbeat: PublishedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_module, "MOST_OF_ONE", 3)
    monkeypatch.setattr(mail_module, "MOST_RECIPIENTS", 2)
    monkeypatch.setattr(limits, "PER_SECOND", 0)
    with serving(store_url) as (_, port):
        held = [smtplib.SMTP("127.0.0.1", port) for _ in range(3)]
        assert answers_to(port) == b"421 4.7.0 too many connections; come again\r\n"
        for client in held:
            client.quit()
        wait_until(lambda: not answers_to(port, b"QUIT\r\n").startswith(b"421"), what="there is room again")
        assert send(port).startswith("452 4.7.1 too many pings; send it again in 1 s")
        monkeypatch.setattr(limits, "PER_SECOND", 50)
        assert send(port, *[f"{CODE}+{number}@x.org" for number in range(3)]).startswith("452 4.5.3")


def test_who_guesses_is_slowed_down_and_counted(
    store_url: str, store: sa.Engine, heartbeat: PublishedMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUESSES", 2)
    monkeypatch.setattr(sight, "SIGN_EVERY", 0.2)
    with serving(store_url) as (_, port):
        assert send(port).startswith("250")
        answers = [send(port, f"{UUID(int=number)}@x.org")[:3] for number in range(1, 5)]
        assert answers == ["550", "550", "452", "452"]
        assert send(port).startswith("250"), "who is known is heard all the same"

        def strangers() -> list[tuple[str, int]]:
            with store.begin() as conn:
                rows = conn.execute(sa.select(unknown_ping))
                return [(row.source, row.count) for row in rows]

        wait_until(lambda: strangers() == [("127.0.0.1", 2)], what="strangers are counted")


def test_it_signs_its_own_life_and_not_that_of_web(port: int, store: sa.Engine) -> None:
    def signed(role: str) -> bool:
        with store.begin() as conn:
            return last_sign(conn, role, now=clock.utcnow()) is not None

    wait_until(lambda: signed(MAIL), what="it lives")
    assert send(port).startswith("250")
    assert not signed(WEB), "that pings over HTTP are received is not for it to say"


def test_what_cannot_be_stored_is_to_be_sent_again(tmp_path: Path) -> None:
    with serving(f"sqlite:///{tmp_path / 'none.sqlite3'}") as (_, port):
        assert send(port) == "451 4.3.0 the ping could not be stored; send it again"


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_mistake_of_ours_is_one_of_ours(port: int, monkeypatch: pytest.MonkeyPatch, store: sa.Engine) -> None:
    def mistake(raw: bytes) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(mail_module, "read_letter", mistake)
    assert send(port) == "451 4.3.0 a mistake of ours; send it again"
    monkeypatch.undo()
    assert send(port).startswith("250")


def test_a_mail_that_is_being_sent_when_it_stops_is_stored(
    store_url: str, store: sa.Engine, heartbeat: PublishedMonitor
) -> None:
    with serving(store_url) as (mail, port):
        idle = socket.create_connection(("127.0.0.1", port), timeout=20)
        assert idle.recv(100).startswith(b"220")
        busy = smtplib.SMTP("127.0.0.1", port, timeout=20)
        busy.ehlo()
        busy.mail("a@b.org")
        busy.rcpt(TO)
        assert busy.docmd("DATA")[0] == 354
        busy.send(b"Subject: half a mail\r\n")
        threading.Timer(0.5, busy.send, [b"\r\nthe rest\r\n.\r\n"]).start()
        wait_until(lambda: any(each._taking for each in mail._connections), what="it is being sent")
        loop = next(iter(mail._connections)).loop
        stopping = asyncio.run_coroutine_threadsafe(mail.drain(), loop)
        assert idle.recv(100) == b"421 4.3.2 good-bye; come again\r\n"
        idle.close()
        assert answers_to(port) == b"421 4.7.0 too many connections; come again\r\n", "nobody new is let in"
        assert busy.getreply() == (250, b"2.0.0 the ping is stored")
        stopping.result(5)
        busy.close()
    assert job(store).last_ping_at is not None
