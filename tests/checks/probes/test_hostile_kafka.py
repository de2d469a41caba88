"""The kafka kind against brokers of our own making: logins, clusters in trouble, and nonsense."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from io import BytesIO

import pytest
from aiokafka.protocol.admin import (
    ApiVersionResponse_v0,
    SaslAuthenticateRequest_v1,
    SaslAuthenticateResponse_v1,
    SaslHandShakeResponse_v1,
)
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.fetch import FetchResponse_v11
from aiokafka.protocol.metadata import MetadataResponse_v5
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7

from checks.result import Outcome, Reason
from tests.probing import probe_once
from tests.servers import Target, greets, hangs

PRODUCE, FETCH, METADATA, HANDSHAKE, VERSIONS, AUTHENTICATE = 0, 1, 3, 17, 18, 36
KNOWN = [(PRODUCE, 0, 7), (FETCH, 0, 11), (METADATA, 0, 5), (HANDSHAKE, 0, 1), (VERSIONS, 0, 2), (AUTHENTICATE, 0, 1)]
SALT, ROUNDS = b"salt of the sea", 4096


class Broker:
    """Answers each request by its key with what `say` gives: the body of an answer, or None to hang up."""

    def __init__(self, **said):
        self.said = said
        self.records = b""
        self.login = []

    def __call__(self, visit):
        self.visit = visit
        while head := visit.sock.recv(4, 0x100):  # MSG_WAITALL
            request = BytesIO(visit.sock.recv(struct.unpack(">i", head)[0], 0x100))
            header = RequestHeader_v1.SCHEMA.decode(request)
            answer = self.answer(header[0], request)
            if answer is None:
                return
            visit.send(struct.pack(">ii", len(answer) + 4, header[2]) + answer)

    def answer(self, key, request):
        match key:
            case 18:
                return ApiVersionResponse_v0(self.said.get("error", 0), self.said.get("versions", KNOWN)).encode()
            case 17:
                offered = self.said.get("mechanisms", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
                mechanism = request.read()[2:].decode()
                self.login = [mechanism]
                return SaslHandShakeResponse_v1(0 if mechanism in offered else 33, offered).encode()
            case 36:
                said = self.authenticate(SaslAuthenticateRequest_v1.decode(request).sasl_auth_bytes)
                code = 0 if isinstance(said, bytes) else 58
                return SaslAuthenticateResponse_v1(code, said if code else None, b"" if code else said, 0).encode()
            case 3:
                return self.metadata()
            case 0:
                ((_topic, ((partition, batch),)),) = ProduceRequest_v7.decode(request).topics
                self.records = self.said.get("records", struct.pack(">q", 7) + batch[8:])
                rows = [("shop", [(partition, self.said.get("produce_error", 0), 7, -1, 0)])]
                return ProduceResponse_v7(self.said.get("produced", rows), 0).encode()
            case 1:
                row = (0, self.said.get("fetch_error", 0), 8, 8, 0, None, -1, self.records)
                return FetchResponse_v11(0, 0, 0, [("shop", [row])]).encode()

    def authenticate(self, token):
        if self.login[0] == "PLAIN":
            return b"" if token == b"\0eve\0pass-word" else "Authentication failed: Invalid username or password"
        if token.startswith(b"n,,"):
            self.login += [token[3:], b"r=" + token.split(b"r=")[1] + b"server,s=" + base64.b64encode(SALT)]
            self.login[2] += b",i=%d" % self.said.get("rounds", ROUNDS)
            return self.said.get("challenge", self.login[2])
        return self.prove(token)

    def prove(self, token):
        """The server's half of SCRAM (RFC 5802)."""
        digest = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[self.login[0]]
        salted = hashlib.pbkdf2_hmac(digest, b"pass-word", SALT, ROUNDS)
        plain, proof = token.split(b",p=")
        everything = b",".join((self.login[1], self.login[2], plain))
        client = hmac.digest(salted, b"Client Key", digest)
        mask = hmac.digest(hashlib.new(digest, client).digest(), everything, digest)
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(client, mask, strict=True)):
            return "Authentication failed during authentication due to invalid credentials"
        signature = hmac.digest(hmac.digest(salted, b"Server Key", digest), everything, digest)
        return self.said.get("signature", b"v=" + base64.b64encode(signature))

    def metadata(self):
        host, port = self.said.get("leader", ("127.0.0.1", self.visit.target.port))
        brokers = self.said.get("brokers", [(1, host, port, None)])
        partitions = self.said.get("partitions", [(0, 0, 1, [1], [1], [])])
        topics = self.said.get("topics", [(self.said.get("topic_error", 0), "shop", False, partitions)])
        return MetadataResponse_v5(0, brokers, "cluster", 1, topics).encode()


def probe_broker(broker, **options):
    with Target(broker) as target:
        return probe_once(
            **{
                "kind": "kafka",
                "address": target.address,
                "explain": True,
                "timeout": "10s",
                "topic": "shop",
                **options,
            }
        )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_is_made_and_a_wrong_password_is_told_as_such(mechanism):
    good = probe_broker(Broker(), username="eve", password="pass-word", mechanism=mechanism, round_trip=True)
    assert (good.outcome, good.failure) == (Outcome.UP, None)
    bad = probe_broker(Broker(), username="eve", password="wrong-word", mechanism=mechanism)
    assert (bad.outcome, bad.failure.reason) == (Outcome.DOWN, Reason.AUTHENTICATION)
    assert bad.failure.message.startswith("the broker refused our login: SASL_AUTHENTICATION_FAILED: Authentication f")
    assert "wrong-word" not in repr(bad)


def test_a_mechanism_that_is_not_offered_is_told_with_those_that_are():
    result = probe_broker(Broker(mechanisms=["OAUTHBEARER", "GSSAPI"]), username="eve", password="pass-word")
    assert (result.failure.reason, result.failure.message) == (
        Reason.AUTHENTICATION,
        "the broker does not take PLAIN; it offers OAUTHBEARER, GSSAPI",
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"rounds": 2_000_000_000}, "the server asks for 2000000000 iterations"),
        ({"challenge": b"r=other,s=c2FsdA==,i=4096"}, "is not for our login"),
        ({"challenge": b"\xff\xfe"}, "is not for our login"),
        ({"signature": b"v=AAAA"}, "does not prove that it knows our password"),
        ({"signature": b""}, "does not prove that it knows our password"),
    ],
)
def test_a_broker_that_cheats_at_the_login_is_found_out(said, words):
    result = probe_broker(Broker(**said), username="eve", password="pass-word", mechanism="SCRAM-SHA-256")
    assert result.failure.reason is Reason.PROTOCOL
    assert words in result.failure.message


def test_a_cluster_in_trouble_is_counted():
    partitions = [(0, 0, 1, [1, 2], [1, 2], []), (0, 1, 1, [1, 2], [1], [2]), (5, 2, -1, [1, 2], [], [1, 2])]
    expected = ["partitions == 3", "leaderless == 1", "under_replicated == 2", "brokers == 1"]
    result = probe_broker(Broker(partitions=partitions), expect=expected)
    assert (result.outcome, result.failure) == (Outcome.UP, None)
    assert (result.evidence["leaderless"], result.evidence["under_replicated"]) == ([2], [1, 2])
    written = probe_broker(Broker(partitions=partitions), round_trip=True, partition=2)
    assert (written.failure.reason, written.failure.message) == (Reason.REJECTED, "partition 2 of shop has no leader")


@pytest.mark.parametrize(
    ("leader", "reason", "words"),
    [
        (("169.254.169.254", 80), Reason.DENIED, "169.254.169.254 is link-local"),
        (("::ffff:169.254.169.254", 80), Reason.DENIED, "link-local"),
        (("127.0.0.1", 0), Reason.PROTOCOL, "the cluster advertises a leader whose address has the port '0'"),
        (("127.0.0.1", -9), Reason.PROTOCOL, "whose address has the port '-9'"),
        (("a b\r\nc", 9092), Reason.PROTOCOL, "has a space"),
        ((None, 9092), Reason.PROTOCOL, "has no port"),
        (("", 9092), Reason.PROTOCOL, "has no port"),
    ],
)
def test_an_advertised_leader_is_dialled_like_any_address(leader, reason, words):
    result = probe_broker(Broker(leader=leader), round_trip=True)
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        ({"error": 35}, Reason.REJECTED, "refused the greeting: UNSUPPORTED_VERSION"),
        ({"versions": [(METADATA, 0, 1)]}, Reason.PROTOCOL, "older than Kafka 0.11"),
        ({"versions": None}, Reason.PROTOCOL, "older than Kafka 0.11"),
        ({"versions": [*KNOWN[:2], (METADATA, 99, 120)]}, Reason.PROTOCOL, "knows no MetadataRequest that we know"),
        ({"topics": [(0, "shop", False, [(0, 0, 1, [1] * 40_000, [], [])])]}, Reason.TOO_LARGE, "131072 are read"),
        ({"produced": [("shop", [(9, 0, 0, 0, 0)] * 300)]}, Reason.TOO_LARGE, "8192 are read"),
        ({"topic_error": 29}, Reason.AUTHENTICATION, "refused the topic shop: TOPIC_AUTHORIZATION_FAILED"),
        ({"topic_error": 12345}, Reason.REJECTED, "refused the topic shop: UNKNOWN"),
        ({"topics": []}, Reason.PROTOCOL, "says nothing of the topic shop"),
        ({"topics": None, "brokers": None}, Reason.PROTOCOL, "says nothing of the topic shop"),
        ({"topics": [(0, "shop", False, None)]}, Reason.REJECTED, "the topic shop has no partition 0"),
        ({"brokers": None}, Reason.REJECTED, "partition 0 of shop has no leader"),
        ({"produce_error": 19}, Reason.REJECTED, "refused our record: NOT_ENOUGH_REPLICAS"),
        ({"produced": None}, Reason.PROTOCOL, "says nothing of the partition"),
        ({"fetch_error": 29}, Reason.AUTHENTICATION, "refused to give our record back"),
        ({"records": b""}, Reason.TIMEOUT, "timed out"),
        ({"records": b"something else that is longer than a head"}, Reason.PROTOCOL, "another record back than ours"),
        ({"records": b"short"}, Reason.PROTOCOL, "another record back than ours"),
    ],
)
def test_what_a_broker_refuses_is_named(said, reason, words):
    result = probe_broker(Broker(**said), round_trip=True, timeout="500ms" if reason is Reason.TIMEOUT else "10s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message


def test_a_record_that_the_topic_compresses_is_known_by_its_place():
    zstd = struct.pack(">qiiBIh", 7, 50, 0, 2, 0, 4) + b"\x28\xb5\x2f\xfd nobody unpacks this"
    result = probe_broker(Broker(records=zstd), round_trip=True, expect=["round_trip < 5s"])
    assert (result.outcome, result.failure) == (Outcome.UP, None)


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL, "does not speak Kafka in clear; it begins with 'HTTP'"),
        (b"\x15\x03\x03\x00\x02\x02\x46", Reason.PROTOCOL, "does not speak Kafka in clear"),
        (struct.pack(">ii", 1 << 30, 1), Reason.PROTOCOL, "does not speak Kafka"),
        (struct.pack(">ii", -1, 1), Reason.PROTOCOL, "does not speak Kafka"),
        (struct.pack(">ii", 4, 1), Reason.PROTOCOL, "can't be read"),
        (struct.pack(">iihi", 10, 1, 0, 0x7FFFFFFF), Reason.PROTOCOL, "can't be read"),
        (struct.pack(">iihi", 10, 9, 0, 0), Reason.PROTOCOL, "answered another request"),
        (struct.pack(">ii", 1000, 1) + b"x" * 99, Reason.TIMEOUT, "timed out"),
    ],
)
def test_what_is_no_kafka_is_a_named_failure(said, reason, words):
    result = probe_broker(greets(said), timeout="400ms" if reason is Reason.TIMEOUT else "10s")
    assert (result.outcome, result.failure.reason) == (Outcome.DOWN, reason)
    assert words in result.failure.message


@pytest.mark.parametrize(
    ("behave", "reason"),
    [(hangs, Reason.TIMEOUT), (greets(close=True), Reason.CLOSED), (greets(b"\0\0\0", close=True), Reason.CLOSED)],
)
def test_a_broker_that_hangs_or_hangs_up_is_told_as_such(behave, reason):
    timeout = "300ms" if reason is Reason.TIMEOUT else "10s"
    assert probe_broker(behave, timeout=timeout).failure.reason is reason
