"""The kafka kind against librdkafka's cluster of three brokers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from checks.result import Outcome, Reason
from tests import brokers
from tests.factories import make_spec
from tests.probing import probe_once

pytestmark = pytest.mark.xdist_group("brokers")


def probe_kafka(**options):
    return probe_once(kind="kafka", address=f"127.0.0.1:{brokers.kafka().ports[0]}", explain=True, **options)


def test_a_cluster_is_asked_for_its_brokers():
    result = probe_kafka(expect=["brokers == 3"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()
    assert result.evidence["brokers"] == 3


def test_a_topic_is_looked_at():
    result = probe_kafka(topic="shop", expect=["partitions == 4", "leaderless == 0", "under_replicated == 0"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.evidence["leaderless"] == []


@pytest.mark.parametrize("partition", [0, 1, 2, 3])
def test_a_record_comes_back_from_whoever_leads_its_partition(partition):
    result = probe_kafka(
        topic="shop", round_trip=True, partition=partition, expect=["round_trip > 0s", "round_trip < 9s"]
    )
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert result.latency_ns == result.phases.total()


def test_the_record_is_one_that_other_clients_can_read_and_no_group_is_left_behind():
    probe_kafka(topic="shop", round_trip=True, partition=2)
    read = subprocess.run(
        [sys.executable, "-c", _READER, str(brokers.kafka().ports[0])], capture_output=True, check=True, text=True
    )
    assert read.stdout.startswith("b'stillup' b'stillup ")
    assert read.stdout.rstrip().endswith("groups: 0")


def test_an_unknown_topic_is_refused_and_not_created():
    for _ in range(2):
        result = probe_kafka(topic="cellar")
        assert (result.outcome, result.failure.reason) == (Outcome.DOWN, Reason.REJECTED)
        assert result.failure.message.startswith("the broker refused the topic cellar: UNKNOWN_TOPIC_OR_PARTITION")


def test_an_unknown_partition_is_told_as_such():
    result = probe_kafka(topic="shop", round_trip=True, partition=4)
    assert (result.failure.reason, result.failure.message) == (
        Reason.REJECTED,
        "the topic shop has no partition 4",
    )


def test_a_login_where_there_is_none_is_told_as_such():
    result = probe_kafka(username="eve", password="pass-word")
    assert (result.failure.reason, result.failure.message) == (
        Reason.AUTHENTICATION,
        "the broker takes no login (SASL)",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"topic": "a b"}, "topic"),
        ({"round_trip": True}, "round_trip: needs a topic"),
        ({"password": "secret"}, "password: needs a username"),
        ({"mechanism": "GSSAPI"}, "SCRAM-SHA-512"),
        ({"topic": "a", "partition": -1}, "greater than or equal to 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        make_spec(kind="kafka", **options)


_READER = """
import sys
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
at = {"bootstrap.servers": "127.0.0.1:" + sys.argv[1]}
reader = Consumer({**at, "group.id": "reader", "enable.auto.commit": False})
reader.assign([TopicPartition("shop", 2, 0)])
record = reader.poll(20)
print(record.key(), record.value(), "groups:", len(AdminClient(at).list_consumer_groups().result(20).valid))
reader.close()
"""
