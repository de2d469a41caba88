"""The ssh kind against OpenSSH, against asyncssh's server where a password is asked for, and against neither."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import threading
from functools import partial

import asyncssh
import pytest
from pydantic import ValidationError

from checks.network import Resources
from checks.probes.ssh import SSH
from checks.result import Outcome, Reason
from tests import sshd
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed
from tests.servers import Target, closed_port, greets, reset

pytestmark = pytest.mark.xdist_group("sshd")
ANOTHER_KEY = f"SHA256:{'A' * 43}"
PASSWORD = "correct horse"


def probe_ssh(address=None, **options):
    return probe_once(kind="ssh", address=address or f"127.0.0.1:{sshd.server().port}", explain=True, **options)


def visit(**options):
    server = sshd.server()
    return probe_ssh(**{"host_key": server.host_key, "username": server.user, "key": server.key, **options})


def test_a_banner_is_heard_without_a_login():
    result = probe_ssh(expect=['banner matches "^SSH-2.0-OpenSSH"'])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


def test_a_host_with_the_pinned_key_is_up_and_one_with_another_is_down():
    assert probe_ssh(host_key=sshd.server().host_key, expect=["banner exists"]).outcome is Outcome.UP
    result = probe_ssh(host_key=ANOTHER_KEY)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.HOST_KEY)
    assert result.failure.message == f"the host's key is {sshd.server().host_key}, not the pinned {ANOTHER_KEY}"
    assert result.evidence["host_key"] == sshd.server().host_key


def test_nobody_logs_in_where_the_host_has_another_key():
    logins = sshd.server().daemon.log.count("Accepted")
    assert visit(host_key=ANOTHER_KEY, command="true").failure.reason is Reason.HOST_KEY
    assert sshd.server().daemon.log.count("Accepted") == logins


def test_a_login_by_key_is_up():
    result = visit()
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert sshd.server().key.splitlines()[1] not in repr(result)


def test_a_command_is_judged_by_its_exit_status_and_what_it_wrote():
    lines = ["exit_status == 3", 'output == "öl\\n"', 'errors contains "bad"']
    result = visit(command="echo öl; echo bad >&2; exit 3", expect=lines)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.evidence["output"] == "öl\n"


@pytest.mark.parametrize(("command", "found"), [("exit 7", "7"), ("kill -9 $$", "137")])
def test_a_command_that_fails_is_down_unless_that_is_expected(command, found):
    result = visit(command=command)
    assert (result.outcome, result.failure.message) == (Outcome.DOWN, f"expected exit_status == 0, got {found}")
    assert result.latency_ns is not None
    assert visit(command=command, expect=[f"exit_status == {found}"]).outcome is Outcome.UP


@pytest.mark.parametrize("command", ["yes", "yes >&2"])
def test_endless_output_is_cut(command):
    result = visit(command=command)
    assert (result.failure.reason, result.failure.message) == (
        Reason.TOO_LARGE,
        "the command wrote more than 64 KiB",
    )


def test_a_command_that_does_not_end_costs_the_timeout():
    result = visit(command="sleep 60", timeout="500ms")
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "transfer")


@pytest.mark.parametrize("command", ["", "sleep 60"])
def test_a_cancelled_visit_leaves_nothing_behind(command):
    server, resources = sshd.server(), Resources.open()
    address = f"127.0.0.1:{server.port}"
    options = {"host_key": server.host_key, "username": server.user, "key": server.key, "command": command}

    async def cancel(after):
        task = asyncio.create_task(probed(make_spec(kind="ssh", address=address, **options), resources))
        await asyncio.sleep(after)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for after in (0.005, 0.02, 0.2):
        on_loop(cancel(after), resources)


def test_a_server_that_takes_no_password_refuses_the_login():
    result = visit(key="", password=PASSWORD)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)


class Nonsense(asyncssh.SSHServerSession):
    """Answers a command with a packet that lacks what it is about."""

    def connection_made(self, chan):
        self._connection = chan.get_connection()

    def exec_requested(self, command):
        self._connection.send_packet(93)  # SSH_MSG_CHANNEL_WINDOW_ADJUST
        return True


class Flood(asyncssh.SSHServerSession):
    """Answers a command with more and more that means nothing."""

    def connection_made(self, chan):
        self._connection = chan.get_connection()

    def exec_requested(self, command):
        self._pour(200)
        return True

    def _pour(self, times):
        if times:
            self._connection.send_packet(2, (20_000).to_bytes(4) + bytes(20_000))  # SSH_MSG_IGNORE
            asyncio.get_running_loop().call_later(0.001, self._pour, times - 1)


SESSIONS = {"mallory": Nonsense, "trudy": Flood}


class Door(asyncssh.SSHServer):
    """Lets eve, mallory and trudy in by their password; runs nothing for her, talks nonsense to him, and floods the third."""

    def begin_auth(self, username):
        self._username = username
        return True

    def session_requested(self):
        return SESSIONS[self._username]() if self._username in SESSIONS else False

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return username in ("eve", *SESSIONS) and password == PASSWORD


@pytest.fixture(scope="module")
def door():
    """An address and the fingerprint of its key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    opened, ended = queue.Queue(), []

    async def serve():
        listening = asyncssh.listen("127.0.0.1", 0, server_factory=Door, server_host_keys=[key], config=None)
        async with listening as server:
            ended.append(partial(asyncio.get_running_loop().call_soon_threadsafe, (end := asyncio.Event()).set))
            opened.put(f"127.0.0.1:{server.get_port()}")
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="door", daemon=True)
    thread.start()
    yield opened.get(timeout=10), key.get_fingerprint()
    ended[0]()
    thread.join(10)


def test_a_login_by_password_is_up(door):
    address, host_key = door
    result = probe_ssh(address, host_key=host_key, username="eve", password=PASSWORD)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert PASSWORD not in repr(result)


def test_a_wrong_password_is_refused(door):
    address, host_key = door
    result = probe_ssh(address, host_key=host_key, username="eve", password="wrong horse")
    assert (result.failure.reason, result.failure.message) == (Reason.AUTHENTICATION, "the server refused the login")
    assert result.failure.phase == "transfer"


def test_a_server_that_runs_nothing_is_down_as_such(door):
    address, host_key = door
    result = probe_ssh(address, host_key=host_key, username="eve", password=PASSWORD, command="true")
    assert result.failure.reason is Reason.REJECTED
    assert result.failure.message.startswith("the server refused to run the command")


def test_a_command_that_is_answered_with_nonsense_is_one_failure_and_no_more(door, caplog):
    address, host_key = door
    result = probe_ssh(address, host_key=host_key, username="mallory", password=PASSWORD, command="true")
    gc.collect()
    assert (result.failure.reason, result.failure.phase) == (Reason.PROTOCOL, "transfer")
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize("options", [{}, {"host_key": ANOTHER_KEY}])
@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"SSH-1.5-old\r\n", Reason.PROTOCOL),
        (b"SSH-2.0-" + b"x" * 10_000, {Reason.TOO_LARGE, Reason.PROTOCOL}),
        (b"hello\r\n" * 5000, {Reason.TOO_LARGE, Reason.PROTOCOL}),
        (b"\0" * 70_000, {Reason.TOO_LARGE, Reason.PROTOCOL}),
    ],
)
def test_what_is_no_server_of_ssh_is_down_as_such(options, greeting, reason):
    with Target(greets(greeting)) as target:
        result = probe_ssh(target.address, **options, timeout="5s")
    assert result.outcome is Outcome.DOWN
    assert result.failure.reason in (reason if isinstance(reason, set) else {reason})


KEYS_OFFERED = b"\x14" + bytes(16) + b"\xff" * 40  # SSH_MSG_KEXINIT, with lists that are longer than all of it
PACKET = (len(KEYS_OFFERED) + 5).to_bytes(4, "big") + b"\x04" + KEYS_OFFERED + bytes(4)


@pytest.mark.parametrize("options", [{}, {"username": "eve", "password": "wrong horse"}])
@pytest.mark.parametrize(
    "said",
    [b"SSH-2.0-x\r\n" + b"\xff" * 4000, b"SSH-2.0-\xc8\xff\r\n", b"SSH-2.0-x\r\n" + PACKET],
    ids=["no packet", "a version that is no text", "a packet that ends early"],
)
def test_what_can_not_be_read_is_down_as_such(said, options):
    with Target(greets(said)) as target:
        result = probe_ssh(target.address, host_key=ANOTHER_KEY, **options, timeout="5s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.PROTOCOL)


@pytest.mark.parametrize("options", [{}, {"host_key": ANOTHER_KEY}])
def test_a_connection_that_ends_early_is_down_as_such(options):
    with Target(greets(close=True)) as target:
        assert probe_ssh(target.address, **options).failure.reason is Reason.CLOSED
    with Target(reset) as target:
        assert probe_ssh(target.address, **options).failure.reason in (Reason.RESET, Reason.CLOSED)
    assert probe_ssh(f"127.0.0.1:{closed_port()}", **options).failure.reason is Reason.REFUSED


def test_a_worker_without_a_name_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: {}["uid 12345"])
    result = visit()
    assert (result.outcome, result.failure.reason) == (Outcome.UNKNOWN, Reason.NO_DRIVER)
    assert "set one of LOGNAME, USER" in result.failure.message


def test_only_what_goes_beyond_the_banner_needs_the_extra(monkeypatch):
    monkeypatch.setattr("checks.probe.find_spec", lambda _name: None)
    assert "pip install 'stillup[ssh]'" in SSH.missing(make_spec(kind="ssh", address="a:22", host_key=ANOTHER_KEY))
    assert SSH.missing(make_spec(kind="ssh", address="a:22")) == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"username": "eve"}, "username: a login needs a password or a key"),
        ({"password": "x"}, "password: needs a username"),
        ({"command": "true"}, "command: needs a username"),
        ({"username": "eve", "password": "x"}, "host_key: a login needs it"),
        ({"host_key": "MD5:00:11"}, "String should match pattern"),
        ({"username": "eve", "key": "nonsense", "host_key": ANOTHER_KEY}, "holds no private key"),
        ({"expect": ["status == 0"]}, "unknown subject 'status'"),
    ],
)
def test_a_wrong_option_is_refused_in_words(options, words):
    with pytest.raises(ValidationError) as caught:
        make_spec(**{"kind": "ssh", "address": "shell.example.org:22", **options})
    assert words in str(caught.value)


def test_nothing_is_inflated_and_a_flood_is_cut(door):
    """Asyncssh inflates without bound what a server compresses, and reads on as long as it is sent something."""
    address, host_key = door
    began = threading.active_count()
    result = probe_ssh(address, host_key=host_key, username="trudy", password=PASSWORD, command="true", timeout="20s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.TOO_LARGE)
    assert result.failure.message == "the server sent more than 1024 KiB"
    assert threading.active_count() <= began


def test_a_server_that_only_compresses_is_down_as_such():
    said = queue.Queue()

    async def serve():
        listening = asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Door,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            config=None,
            compression_algs=["zlib@openssh.com"],
        )
        async with listening as server:
            said.put((f"127.0.0.1:{server.get_port()}", asyncio.get_running_loop(), (end := asyncio.Event())))
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    address, loop, end = said.get(timeout=10)
    result = probe_ssh(address, host_key=ANOTHER_KEY, username="eve", password=PASSWORD)
    loop.call_soon_threadsafe(end.set)
    thread.join(10)
    assert result.outcome is Outcome.DOWN
    assert result.failure.reason in (Reason.PROTOCOL, Reason.CLOSED)  # whichever side is the first to say so
