"""Names: one flight a name, a bulkhead a zone, and whose fault it is that nothing answers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from checks.network import Resources
from checks.network import resolver as module
from checks.network.resolver import ZONE_THREADS, Resolver, nameservers
from checks.result import Outcome, Reason
from tests.factories import make_spec
from tests.probing import on_loop, probe_once, probed


class Names:
    """A lookup that counts, and holds back the names of a zone until it is let go."""

    def __init__(self, **failing: int) -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.failing = failing

    def __call__(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        first = name.split(".", maxsplit=1)[0]
        if first in self.failing:
            raise socket.gaierror(self.failing[first], "as told")
        if name.endswith("dead.example"):
            self.gate.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ("127.0.0.1",)


class NameServer(asyncio.DatagramProtocol):
    """Answers every question with one response code; with None, nothing."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.questions: list[bytes] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        self.questions.append(data)
        if self.code is not None:
            self.transport.sendto(data[:2] + bytes([0x81, 0x80 | self.code]) + data[4:12], addr)


async def with_name_server(code, work):
    """What `work(server, address)` returns beside a real name server on loopback."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(code), local_addr=("127.0.0.1", 0)
    )
    try:
        return await work(server, transport.get_extra_info("sockname"))
    finally:
        transport.close()


def resolve(names, *hosts, servers=()):
    async def main():
        resolver = Resolver(lookup=names, servers=servers)
        try:
            return await asyncio.gather(*(resolver.resolve(host) for host in hosts))
        finally:
            resolver.close()

    return on_loop(main())


def test_a_name_asked_by_many_at_once_is_looked_up_once():
    names = Names()
    answers = resolve(names, *["a.example"] * 50)
    assert {answer.addresses for answer in answers} == {("127.0.0.1",)}
    assert names.asked == ["a.example"]


def test_an_answer_is_kept_for_a_while(monkeypatch):
    names = Names()

    async def main():
        resolver = Resolver(lookup=names, servers=())
        await resolver.resolve("a.example")
        await resolver.resolve("a.example")
        assert len(names.asked) == 1
        monkeypatch.setattr(module.clock, "monotonic", lambda: time.monotonic() + module.KEEP + 1)
        await resolver.resolve("a.example")
        assert len(names.asked) == 2
        resolver.forget("a.example")
        await resolver.resolve("a.example")
        resolver.close()

    on_loop(main())
    assert len(names.asked) == 3


def test_the_threads_of_a_dead_zone_are_few_and_other_names_pass():
    names = Names()

    async def main():
        resolver = Resolver(lookup=names, servers=())
        stuck = [asyncio.create_task(resolver.resolve(f"h{n}.dead.example")) for n in range(200)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await asyncio.gather(*(resolver.resolve(f"h{n}.alive{n}.test") for n in range(200)))
        took = time.monotonic() - began
        assert sum(name.endswith("dead.example") for name in names.asked) == ZONE_THREADS
        names.gate.set()
        await asyncio.gather(*stuck)
        resolver.close()
        return took

    assert on_loop(main()) < 10


def test_all_names_of_a_zone_get_their_turn():
    names = Names()
    answers = resolve(names, *(f"h{n}.zone.example" for n in range(100)))
    assert all(answer.addresses for answer in answers)
    assert len(names.asked) == 100


def test_a_waiter_that_gives_up_leaves_the_others_waiting():
    names = Names()

    async def main():
        resolver = Resolver(lookup=names, servers=())
        impatient = asyncio.create_task(resolver.resolve("h.dead.example"))
        patient = asyncio.create_task(resolver.resolve("h.dead.example"))
        await asyncio.sleep(0.02)
        impatient.cancel()
        names.gate.set()
        answer = await patient
        resolver.close()
        return answer

    assert on_loop(main()).failure is not None


def test_a_name_that_does_not_exist_is_the_targets_fault():
    (answer,) = resolve(Names(nope=socket.EAI_NONAME), "nope.example")
    assert answer.failure.reason is Reason.NAME_NOT_FOUND
    assert answer.failure.message == "the name nope.example does not exist or has no address"


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0, Reason.NAME_FAILED), (3, Reason.NAME_FAILED), (5, Reason.NAME_FAILED), (2, Reason.NO_RESOLVER)],
    ids=["answers", "knows no root", "refuses", "fails"],
)
def test_a_name_that_fails_is_the_targets_fault_only_if_our_name_server_is_there(code, reason):
    async def main():
        async def work(server, address):
            resolver = Resolver(lookup=Names(bad=socket.EAI_AGAIN), servers=[address])
            answer = await resolver.resolve("bad.example")
            resolver.close()
            assert len(server.questions) == 1
            return answer

        return await with_name_server(code, work)

    assert on_loop(main()).failure.reason is reason


def test_one_name_server_that_answers_is_enough():
    async def main():
        async def work(_, address):
            resolver = Resolver(lookup=Names(bad=socket.EAI_AGAIN), servers=[("127.0.0.1", 1), address])
            answer = await resolver.resolve("bad.example")
            resolver.close()
            return answer

        return await with_name_server(0, work)

    assert on_loop(main()).failure.reason is Reason.NAME_FAILED


@pytest.mark.parametrize(("code", "outcome"), [(0, Outcome.DOWN), (None, Outcome.UNKNOWN)])
def test_a_timeout_while_resolving_is_unknown_when_our_name_server_is_silent(code, outcome):
    names = Names()

    async def main():
        async def work(_, address):
            resources = Resources(resolver=Resolver(lookup=names, servers=[address]))
            try:
                return await probed(make_spec(url="http://h.dead.example/", timeout="2s"), resources)
            finally:
                names.gate.set()
                resources.close()

        return await with_name_server(code, work)

    result = on_loop(main())
    assert result.outcome is outcome
    assert result.failure.phase == "dns"
    assert result.failure.reason is (Reason.TIMEOUT if outcome is Outcome.DOWN else Reason.NO_RESOLVER)


def test_our_name_servers_are_read_from_the_system(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# comment\nnameserver 10.0.0.1\nsearch example.org\nnameserver ::1\n")
    assert nameservers(path) == (("10.0.0.1", 53), ("::1", 53))
    assert nameservers(tmp_path / "missing") == (("127.0.0.1", 53),)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(24, "Too many open files"), Reason.NO_RESOLVER),
        (MemoryError(), Reason.NO_MEMORY),
        (UnicodeError("label too long"), Reason.NAME_NOT_FOUND),
    ],
)
def test_trouble_of_this_machine_is_told_from_a_wrong_name(error, reason):
    def fails(name):
        raise error

    (answer,) = resolve(fails, "a.example")
    assert answer.failure.reason is reason


def test_a_machine_without_threads_says_so(monkeypatch):
    def refuses(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module.threading.Thread, "start", refuses)
    (answer,) = resolve(Names(), "a.example")
    assert answer.failure.reason is Reason.NO_MEMORY


def test_the_hosts_file_of_this_machine_is_known():
    result = probe_once(url="http://localhost:9/", explain=True)
    assert result.failure.reason is Reason.REFUSED
