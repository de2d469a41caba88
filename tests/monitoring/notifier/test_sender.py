"""The sending child against destinations of every kind: each costs its own slot and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import psutil
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from apprise import Apprise

from monitoring import recipients
from monitoring.notifier.pool import Order, Pool
from monitoring.notifier.sender import Answer, cut, parse_retry_after
from tests.monitoring.notifier.conftest import SLOWEST


def order(url: str, **fields: Any) -> Order:
    defaults = {
        "key": "down:incident:channel:0",
        "recipient": 0,
        "type": "failure",
        "title": "Shop is down",
        "text": "It does not answer.\n",
        "html": "<p>It does <b>not</b> answer.</p>",
    }
    return Order(url=url, **{**defaults, **fields})


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(deadline=SLOWEST)
    yield made
    made.close()


@pytest.mark.parametrize("scheme", ["json", "mmost"])
def test_a_message_arrives_with_its_key(warm_pool, receiver, scheme):
    path = "hook" if scheme == "json" else "abcdefghijklmnopqrst"
    assert warm_pool.send(order(receiver.url(path, scheme))) == Answer(sent=True, status=200)
    [request] = receiver.requests
    assert "Shop is down" in request.text
    assert "It does not answer." in request.text
    assert request.key == "down:incident:channel:0"


@pytest.mark.parametrize(
    ("status", "permanent", "in_doubt"),
    [
        (302, False, False),
        (400, True, False),
        (401, True, False),
        (403, True, False),
        (404, True, False),
        (408, False, False),
        (410, True, False),
        (429, False, False),
        (500, False, True),
        (503, False, True),
    ],
)
def test_a_status_says_whether_trying_again_helps_and_whether_it_may_have_arrived(
    warm_pool, receiver, status, permanent, in_doubt
):
    receiver.mode = status
    answer = warm_pool.send(order(receiver.url()))
    assert (answer.sent, answer.status, answer.permanent, answer.in_doubt) == (False, status, permanent, in_doubt)
    assert answer.error.startswith(f"the destination answered {status} ")
    assert len(receiver.requests) == 1


def test_the_time_that_a_destination_asks_for_is_read(warm_pool, receiver):
    receiver.mode, receiver.retry_after = 429, "7"
    assert warm_pool.send(order(receiver.url())).retry_after == 7.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Tue, 10 Mar 2026 12:01:00 GMT", 60.0),
        ("Tue, 10 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header, seconds):
    assert parse_retry_after(header, datetime(2026, 3, 10, 12, tzinfo=UTC)) == seconds


def test_a_destination_that_hangs_is_cut_off_and_may_have_got_the_message(warm_pool, receiver, monkeypatch):
    monkeypatch.setattr(warm_pool, "deadline", 5.0)
    receiver.mode = "hang"
    began = time.monotonic()
    answer = warm_pool.send(order(receiver.url()))
    assert time.monotonic() - began < 15
    assert (answer.sent, answer.in_doubt) == (False, True)
    assert answer.error in ("the destination did not answer in time", "the destination did not answer within 5 s")


def test_a_destination_that_drips_its_headers_is_cut_off_at_the_deadline(pool, receiver):
    pool.deadline = 8.0
    receiver.mode = "drip_header"
    began = time.monotonic()
    answer = pool.send(order(receiver.url()))
    assert time.monotonic() - began < 20
    assert (answer.sent, answer.in_doubt) == (False, True)
    assert pool.processes() == [], "the child that was stuck is gone"


@pytest.mark.parametrize("mode", ["drip", "endless"])
def test_an_answer_without_end_counts_by_its_status_and_takes_no_memory(pool, receiver, mode):
    receiver.mode = mode
    began = time.monotonic()
    assert pool.send(order(receiver.url())).sent
    assert time.monotonic() - began < 15
    [pid] = pool.processes()
    assert psutil.Process(pid).memory_info().rss < 150 * 2**20


@pytest.mark.parametrize("mode", ["reset", "drop"])
def test_a_connection_that_breaks_after_the_request_leaves_a_doubt(warm_pool, receiver, mode):
    receiver.mode = mode
    answer = warm_pool.send(order(receiver.url()))
    assert (answer.sent, answer.in_doubt, answer.permanent) == (False, True, False)
    assert "connection" in answer.error


def test_a_refused_connection_leaves_no_doubt(warm_pool):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        answer = warm_pool.send(order(f"json://127.0.0.1:{taken.getsockname()[1]}/"))
    assert answer == Answer(error="the destination refused the connection")


def test_a_name_that_does_not_exist_leaves_no_doubt(warm_pool):
    assert warm_pool.send(order("json://nowhere.invalid/")) == Answer(error="the destination's name can't be resolved")


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "100.100.100.200"])
def test_addresses_that_hand_out_credentials_are_refused_before_a_byte_is_sent(warm_pool, host):
    answer = warm_pool.send(order(f"json://{host}/latest/meta-data"))
    assert (answer.sent, answer.permanent, answer.in_doubt) == (False, True, False)
    assert answer.error.startswith("the channel leads to an address that nobody may reach: it is ")


def test_a_redirect_is_not_followed(warm_pool, receiver):
    receiver.mode = 307
    assert not warm_pool.send(order(receiver.url())).sent
    assert len(receiver.requests) == 1


def test_no_error_holds_a_secret_of_the_url(warm_pool, receiver):
    url = f"json://user:topsecret@127.0.0.1:{receiver.port}/tokentoken?+X-Key=keykeykey"
    for mode in (500, 404, "reset"):
        receiver.mode = mode
        answer = warm_pool.send(order(url))
        assert not any(secret in str(answer) for secret in ("topsecret", "tokentoken", "keykeykey"))


def test_a_url_that_apprise_can_not_read_is_refused_for_good(warm_pool):
    answer = warm_pool.send(order("nonsense://secret"))
    assert answer == Answer(error="the channel's URL is not one that Apprise can read", permanent=True)


def test_a_child_that_is_killed_is_an_unanswered_attempt_and_the_next_message_gets_another(pool, warm_pool, receiver):
    receiver.mode = "hang"
    others = {child.pid for child in psutil.Process().children()}
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(pool.send(order(receiver.url()))))
    thread.start()
    receiver.wait_for(1)
    [child] = [process for process in psutil.Process().children() if process.pid not in others]
    os.kill(child.pid, signal.SIGKILL)
    thread.join()

    assert answers == [Answer(error="the sending process ended while it was sending", in_doubt=True)]
    receiver.mode = 200
    assert pool.send(order(receiver.url())).sent


# Plugins that do what plugins must not: by the path of the URL.
MISBEHAVIOUR = """
import os, signal, sys, time
from apprise.plugins.custom_json import NotifyJSON

def send(self, body, **kwargs):
    what = self.fullpath.strip("/")
    if what == "bomb":
        hoard = []
        while True:
            hoard.append(bytearray(2**24))
    elif what == "exit":
        os._exit(1)
    elif what == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "print":
        for _ in range(100):
            print("x" * 100_000, flush=True)
            sys.stderr.write("x" * 100_000)
        return True
    elif what == "raise":
        raise RuntimeError(f"no way to {self.host}, {self.password}")
    elif what == "sleep":
        time.sleep(60)

NotifyJSON.send = send
"""


@pytest.fixture
def misbehaving(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(MISBEHAVIOUR)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = Pool(deadline=SLOWEST)
    yield pool
    pool.close()


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("bomb", "the destination's answer took more memory than allowed"),
        ("exit", "the sending process ended while it was sending"),
        ("segv", "the sending process ended while it was sending"),
        ("raise", "the service could not be reached (RuntimeError)"),
        ("sleep", "the destination did not answer within 4 s"),
    ],
)
def test_a_plugin_that_misbehaves_fails_its_own_message_only(misbehaving, receiver, what, error):
    misbehaving.deadline = 4.0 if what == "sleep" else SLOWEST
    answer = misbehaving.send(order(f"json://user:secret@127.0.0.1:{receiver.port}/{what}"))
    misbehaving.deadline = SLOWEST
    assert (answer.sent, answer.error) == (False, error)
    assert misbehaving.send(order(receiver.url("print"))).sent


def test_what_a_plugin_prints_is_not_read_as_an_answer(misbehaving, receiver):
    assert misbehaving.send(order(receiver.url("print"))) == Answer(sent=True)


def test_a_child_that_died_while_it_waited_is_replaced(pool, receiver):
    pool.send(order(receiver.url()))
    [pid] = pool.processes()
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)], timeout=20)

    assert pool.send(order(receiver.url())).sent
    assert pool.processes() != [pid]


def test_a_child_is_kept_warm_replaced_after_its_hundredth_message_and_gone_when_idle(receiver):
    pool = Pool(messages=3, idle=0.2)
    seen = []
    for _ in range(4):
        assert pool.send(order(receiver.url())).sent
        seen.append(pool.processes())
    assert seen[0] == seen[1] != []
    assert seen[2] == []
    assert seen[3] not in ([], seen[0])

    pool.tidy()
    assert pool.processes() == seen[3]
    time.sleep(0.25)
    pool.tidy()
    assert pool.processes() == []
    assert not psutil.pid_exists(seen[3][0])


def test_what_is_too_long_for_a_service_is_cut_and_says_so(warm_pool, receiver):
    path = "abcdefghijklmnopqrst"
    assert warm_pool.send(order(receiver.url(path, "mmost"), text="0123456789" * 2000)).sent
    said = receiver.requests[0].body["text"]
    assert len(said) <= 4000
    assert said.endswith("… (more)")
    assert cut("12345", 5, "…") == "12345"
    assert cut("123456", 5, "…") == "1234…"


class Letters(MessageHandler):
    """A mail server's letters; refuses recipients by name, with the status they are called by."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.letters.append(message)

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        name = address.partition("@")[0]
        if name.isdigit():
            return f"{name} no"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture
def letters() -> Iterator[tuple[Letters, int]]:
    handler = Letters()
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def test_a_mail_whose_html_could_not_be_made_has_its_text(warm_pool, letters):
    handler, port = letters
    url = f"mailto://127.0.0.1:{port}/ann@example.org?from=stillup@example.org"
    assert warm_pool.send(order(url, html="")).sent
    [letter] = handler.letters
    told = b"".join(part.get_payload(decode=True) or b"" for part in letter.walk())
    assert b"It does not answer." in told


def test_a_mail_has_text_and_html_and_the_keys_message_id(warm_pool, letters):
    handler, port = letters
    url = f"mailto://127.0.0.1:{port}/ann@example.org?from=stillup@example.org"
    assert warm_pool.send(order(url)).sent
    [letter] = handler.letters
    assert letter["Subject"] == "Shop is down"
    assert letter["Message-ID"] == "<down.incident.channel.0@127.0.0.1>"
    assert letter["To"] == "ann@example.org"
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in letter.walk()}
    assert b"not</b> answer" in parts["text/html"]
    assert b"not answer" in parts["text/plain"]


def test_each_recipient_of_a_mail_is_a_delivery_of_its_own(warm_pool, letters):
    handler, port = letters
    url = f"mailto://127.0.0.1:{port}/ann@example.org/bob@example.org?from=s@example.org&cc=boss@example.org"
    assert warm_pool.send(order(url, recipient=0)).sent
    assert warm_pool.send(order(url, recipient=1)).sent
    assert [(letter["To"], letter["Cc"]) for letter in handler.letters] == [
        ("ann@example.org", "boss@example.org"),
        ("bob@example.org", None),
    ]
    gone = warm_pool.send(order(url, recipient=2))
    assert gone == Answer(error="the channel has no such recipient any more", permanent=True)


@pytest.mark.parametrize(("status", "permanent"), [(421, False), (450, False), (550, True)])
def test_a_mail_servers_no_is_read(warm_pool, letters, status, permanent):
    _, port = letters
    answer = warm_pool.send(order(f"mailto://127.0.0.1:{port}/{status}@example.org?from=s@example.org"))
    assert answer == Answer(error=f"the mail server answered {status}", status=status, permanent=permanent)


def test_a_mail_is_never_sent_in_clear_when_encryption_is_asked_for(warm_pool, letters):
    handler, port = letters
    url = f"mailtos://127.0.0.1:{port}/ann@example.org?from=s@example.org&mode=starttls"
    answer = warm_pool.send(order(url))
    assert not answer.sent
    assert handler.letters == []
    assert answer.error


@pytest.mark.parametrize(
    ("url", "count"),
    [
        ("json://127.0.0.1/hook", 1),
        ("mailto://localhost/ann@example.org?from=s@example.org", 1),
        ("mailto://localhost/ann@example.org/bob@example.org?from=s@example.org", 2),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops/#dev", 2),
        ("tgram://123456789:abcdefg_hijklmnop/111/222/333", 3),
    ],
)
def test_the_recipients_of_a_url_are_counted_and_picked_apart(url, count):
    plugin = Apprise.instantiate(url)
    assert recipients.count(plugin) == count
    recipients.pick(plugin, count - 1)
    assert len(plugin) == 1
    with pytest.raises(recipients.NoSuchRecipient):
        recipients.pick(Apprise.instantiate(url), count)


def test_the_child_starts_without_django(warm_pool):
    import subprocess
    import sys

    code = "import sys, monitoring.notifier.sender; assert not [m for m in sys.modules if m.startswith('django')]"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
