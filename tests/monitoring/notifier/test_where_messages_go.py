"""Messages go where probes may go: one guard judges both."""

from __future__ import annotations

from contextlib import closing

from monitoring.notifier.pool import Pool
from tests.monitoring.notifier.test_sender import order


def test_what_the_environment_forbids_to_probes_is_forbidden_to_messages_too(monkeypatch, receiver):
    monkeypatch.setenv("STILLUP_PROBE_DENY", "127.0.0.0/8")
    with closing(Pool(deadline=8.0)) as pool:
        answer = pool.send(order(receiver.url()))
    assert (answer.sent, answer.permanent, receiver.requests) == (False, True, [])
    assert answer.error.endswith("it is in 127.0.0.0/8, which STILLUP_PROBE_DENY names")


def test_what_the_environment_allows_to_probes_is_allowed_to_messages_too(monkeypatch, tmp_path, receiver):
    (tmp_path / "networks").write_text("127.0.0.1/32\n")
    monkeypatch.setenv("STILLUP_PROBE_DENY", "127.0.0.0/8")
    monkeypatch.setenv("STILLUP_PROBE_ALLOW_FILE", str(tmp_path / "networks"))
    with closing(Pool(deadline=8.0)) as pool:
        assert pool.send(order(receiver.url())).sent
