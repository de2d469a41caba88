"""Real brokers for the tests, on 127.0.0.1, in clear and over TLS: Debian's mosquitto and RabbitMQ, librdkafka's Kafka.

Each is started on first use, once a test process; what a test does with it is up to the test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.daemons import Daemon, free_port, listens
from tests.debian import program
from tests.servers import authority, authority_pem

USER, PASSWORD = "eve", "pass-word-of-eve"

_MOSQUITTO = """
allow_anonymous false
password_file {passwords}
acl_file {rights}
listener {port} 127.0.0.1
listener {tls_port} 127.0.0.1
certfile {certificate}
keyfile {key}
cafile {authority}
"""
_RABBIT = """
listeners.tcp.1 = 127.0.0.1:{port}
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.cacertfile = {authority}
default_user = {user}
default_pass = {password}
loopback_users = none
disk_free_limit.absolute = 1MB
log.file = false
log.console = true
"""
_RABBITS_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # what Debian puts before it wants root


def _secrets(daemon: Daemon) -> dict[str, Path]:
    certificate = authority().issue_cert("localhost", "127.0.0.1")
    chain = "".join(pem.bytes().decode() for pem in certificate.cert_chain_pems)
    return {
        "certificate": daemon.write("cert.pem", chain),
        "key": daemon.write("key.pem", certificate.private_key_pem.bytes().decode()),
        "authority": daemon.write("ca.pem", authority_pem()),
    }


class Mosquitto:
    """A broker of MQTT. Its user may use the topics below `shop/`."""

    def __init__(self) -> None:
        daemon = self.daemon = Daemon("mosquitto", unprivileged=True)
        self.port, self.tls_port = free_port(), free_port()
        passwords = daemon.write("passwords", "")
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), USER, PASSWORD], check=True, capture_output=True)
        daemon.write("passwords", passwords.read_text())
        text = _MOSQUITTO.format(
            passwords=passwords,
            rights=daemon.write("rights", f"user {USER}\ntopic readwrite shop/#\n"),
            port=self.port,
            tls_port=self.tls_port,
            **_secrets(daemon),
        )
        daemon.start([program("mosquitto"), "-c", daemon.write("conf", text)], lambda: listens(self.tls_port))


class RabbitMq:
    """A broker of AMQP, without plugins."""

    def __init__(self) -> None:
        self.port, self.tls_port, names, distribution = (free_port() for _ in range(4))
        # Erlang's nodes find each other by a daemon of their own; this one is ours and ends with us.
        epmd = Daemon("epmd", unprivileged=True)
        epmd.start(["epmd", "-port", str(names), "-address", "127.0.0.1"], lambda: listens(names))
        daemon = self.daemon = Daemon("rabbitmq", unprivileged=True)
        place = daemon.directory
        text = _RABBIT.format(port=self.port, tls_port=self.tls_port, user=USER, password=PASSWORD, **_secrets(daemon))
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": place,
            "ERL_EPMD_PORT": names,
            "RUNNING_UNDER_SYSTEMD": "true",  # the shell becomes the server, which then ends as any process does
            "RABBITMQ_NODENAME": f"stillup{self.port}@localhost",
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_CONFIG_FILE": daemon.write("rabbitmq.conf", text),
            "RABBITMQ_ENABLED_PLUGINS_FILE": daemon.write("enabled_plugins", "[]."),
            "RABBITMQ_MNESIA_BASE": place / "mnesia",
            "RABBITMQ_LOG_BASE": place / "logs",
            "RABBITMQ_PID_FILE": place / "pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        assert program("rabbitmq-server")
        daemon.start(["env", "-i", *given, _RABBITS_SCRIPT], lambda: listens(self.port) and listens(self.tls_port))


class Kafka:
    """A cluster of three brokers that is librdkafka's own idea of Kafka, with the topic `shop` of four partitions."""

    def __init__(self) -> None:
        daemon = self.daemon = Daemon("kafka")
        daemon.start([sys.executable, "-c", _CLUSTER], lambda: "shop" in daemon.log)
        self.ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", daemon.log)]


_CLUSTER = """
import signal
from confluent_kafka import Producer
cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 3, "log_level": 0})
for _ in range(2):
    seen = cluster.list_topics("shop", timeout=20)
print([f"{broker.host}:{broker.port}" for broker in seen.brokers.values()], list(seen.topics), flush=True)
signal.pause()
"""


class HealthServer:
    """A gRPC server whose service `shop` serves and whose service `cellar` does not; `bare` has no health service."""

    def __init__(self) -> None:
        daemon = self.daemon = Daemon("grpc")
        secrets = _secrets(daemon)
        script = _HEALTH.format(key=secrets["key"], certificate=secrets["certificate"], authority=secrets["authority"])
        daemon.start([sys.executable, "-c", script], lambda: "]" in daemon.log)
        self.port, self.tls_port, self.mutual_port, self.bare_port = map(int, re.findall(r"\d+", daemon.log))


_HEALTH = """
import pathlib, signal
from concurrent.futures import ThreadPoolExecutor
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

class Guarded(grpc.ServerInterceptor):
    def intercept_service(self, proceed, details):
        token = dict(details.invocation_metadata).get("authorization")
        if token in (None, "Bearer the-right-token"):
            return proceed(details)
        def refuse(request, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token % is wrong")
        return grpc.unary_unary_rpc_method_handler(refuse)

server = grpc.server(ThreadPoolExecutor(4), interceptors=[Guarded()])
servicer = health.HealthServicer()
servicer.set("shop", health_pb2.HealthCheckResponse.SERVING)
servicer.set("cellar", health_pb2.HealthCheckResponse.NOT_SERVING)
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
key, chain, authority = (
    pathlib.Path(path).read_bytes() for path in ("{key}", "{certificate}", "{authority}")
)
one_sided = grpc.ssl_server_credentials([(key, chain)])
mutual = grpc.ssl_server_credentials([(key, chain)], authority, require_client_auth=True)
bare = grpc.server(ThreadPoolExecutor(1))
ports = [
    server.add_insecure_port("127.0.0.1:0"),
    server.add_secure_port("127.0.0.1:0", one_sided),
    server.add_secure_port("127.0.0.1:0", mutual),
    bare.add_insecure_port("127.0.0.1:0"),
]
server.start()
bare.start()
print(ports, flush=True)
signal.pause()
"""


@cache
def mosquitto() -> Mosquitto:
    """The broker of MQTT of this test process."""
    return Mosquitto()


@cache
def rabbitmq() -> RabbitMq:
    """The broker of AMQP of this test process; it takes some seconds to start."""
    return RabbitMq()


@cache
def kafka() -> Kafka:
    """The cluster of Kafka of this test process."""
    return Kafka()


@cache
def health_server() -> HealthServer:
    """The gRPC server of this test process."""
    return HealthServer()
