from __future__ import annotations

import os
import socket
import sys

import pytest

from monitoring import supervisor
from monitoring.supervisor import (
    AlreadyRunning,
    DataDirectoryLock,
    PortTaken,
    Supervisor,
    check_port,
    describe,
)


def test_a_child_that_can_not_be_started_is_tried_again_and_the_others_run(monkeypatch, caplog):
    """Where the machine has no memory for one process more, the others must not be ended with it."""
    watch = Supervisor({"web": ["/nowhere/python"], "worker": [sys.executable, "-c", ""]}, each_tick=lambda: None)
    web, worker = watch._children
    try:
        for child in (web, worker):
            watch._keep(child)

        assert web.process is None
        assert worker.process is not None
        assert "web can't be started: No such file or directory; trying again in 5 s" in caplog.text
        now = web.start_at
        monkeypatch.setattr(supervisor.clock, "monotonic", lambda: now)
        web.command = [sys.executable, "-c", ""]
        watch._keep(web)
        assert web.process is not None
    finally:
        for child in (web, worker):
            if child.process is not None:
                child.process.wait()


def test_a_data_directory_is_one_processs_until_that_lets_go(tmp_path):
    first = DataDirectoryLock(tmp_path / "data")
    with pytest.raises(AlreadyRunning, match=f"runs on .*data already: process {os.getpid()}; stop that one first"):
        DataDirectoryLock(tmp_path / "data")
    first.close()
    DataDirectoryLock(tmp_path / "data").close()


def test_a_port_that_somebody_listens_on_is_taken_even_where_it_could_be_shared():
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(PortTaken, match=f"can't listen on 127.0.0.1 port {port}: .*; choose another with --port"):
            assert check_port("127.0.0.1", port) == "127.0.0.1"
    assert check_port("localhost", port) == "127.0.0.1"
    assert check_port("127.0.0.1", port) == "127.0.0.1"
    assert check_port("localhost", port) == "127.0.0.1"


@pytest.mark.parametrize(
    ("status", "words"), [(0, "exit status 0"), (70, "exit status 70"), (-9, "SIGKILL"), (-99, "signal 99")]
)
def test_an_exit_status_is_told_in_words(status, words):
    assert describe(status) == words


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 8000), ("192.0.2.1", 8000)])
def test_an_address_that_is_not_ours_is_told_so(host, port):
    with pytest.raises(PortTaken, match=f"can't listen on {host} port {port}: "):
        check_port(host, port)
