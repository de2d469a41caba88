"""What a target said when it was last well lies beside it, and in the evidence of what came after."""

from __future__ import annotations

from dataclasses import replace

from checks.result import Outcome
from checks.store import lastgood
from checks.store.engine import reading
from checks.store.publishing import publish
from checks.store.schema import transition
from tests.checks.store.acts import publish_one, rows, run_probe
from tests.factories import at

GOOD = {"status": 200, "size": 14_200}
BAD = {"status": 502, "size": 1_100, "server": "nginx"}


def kept_of(store, monitor):
    with reading(store) as conn:
        return [(good.location, good.at, good.facts) for good in lastgood.of_monitor(conn, monitor.uuid)]


def test_a_transition_says_what_was_before(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP, at(60), facts=GOOD)
    run_probe(store, Outcome.UP, at(80))
    run_probe(store, Outcome.DOWN, at(100), facts=BAD)

    written = rows(store, transition, transition.c.monitor == monitor.uuid)
    up, down = (row.evidence for row in sorted(written, key=lambda row: row.seq))
    assert "last_good" not in up
    assert down["last_good"] == {"at": at(60).isoformat(), "facts": GOOD}
    assert down["difference"] == "was 200, 14.2 kB; now 502, 1.1 kB, served by nginx"
    assert kept_of(store, monitor) == [("local", at(60), GOOD)]


def test_the_latest_good_facts_stay_and_bad_ones_never_become_them(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP, at(60), facts=GOOD)
    run_probe(store, Outcome.UP, at(80), facts={"status": 204})
    run_probe(store, Outcome.DOWN, at(100), facts=BAD)
    assert kept_of(store, monitor) == [("local", at(80), {"status": 204})]


def test_a_target_that_never_was_well_has_no_difference(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.DOWN, at(60), facts=BAD)
    [down] = rows(store, transition, transition.c.monitor == monitor.uuid)
    assert "difference" not in down.evidence


def test_what_is_asked_otherwise_or_gone_is_forgotten(store):
    monitor = publish_one(store)
    run_probe(store, Outcome.UP, at(60), facts=GOOD)
    renamed = replace(monitor, revision=2, name="Other")
    with store.begin() as conn:
        publish(conn, [renamed], at(70))
    assert kept_of(store, monitor) == [("local", at(60), GOOD)]
    with store.begin() as conn:
        publish(conn, [replace(renamed, revision=3, spec={**monitor.spec, "url": "http://127.0.0.1/other"})], at(70))
    assert kept_of(store, monitor) == []
