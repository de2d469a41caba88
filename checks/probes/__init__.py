"""The kinds of monitors: one line a kind. Adding one is a file beside this one, a line here, a test file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checks.nearest import did_you_mean
from checks.probe import Kind
from checks.probes.amqp import AMQP
from checks.probes.command import COMMAND
from checks.probes.dns import DNS
from checks.probes.domain import DOMAIN
from checks.probes.flow import FLOW
from checks.probes.group import GROUP
from checks.probes.grpc import GRPC
from checks.probes.heartbeat import HEARTBEAT
from checks.probes.http import HTTP
from checks.probes.icmp import ICMP
from checks.probes.imap import IMAP
from checks.probes.kafka import KAFKA
from checks.probes.manual import MANUAL
from checks.probes.mongodb import MONGODB
from checks.probes.mqtt import MQTT
from checks.probes.mysql import MYSQL
from checks.probes.ntp import NTP
from checks.probes.pop3 import POP3
from checks.probes.postgres import POSTGRES
from checks.probes.redis import REDIS
from checks.probes.smtp import SMTP
from checks.probes.ssh import SSH
from checks.probes.statuspage import STATUSPAGE
from checks.probes.tcp import TCP
from checks.probes.tls import TLS
from checks.probes.udp import UDP
from checks.probes.websocket import WEBSOCKET
from checks.spec import MonitorSpec

KINDS: dict[str, Kind] = {
    "http": HTTP,
    "flow": FLOW,
    "tcp": TCP,
    "dns": DNS,
    "icmp": ICMP,
    "udp": UDP,
    "ntp": NTP,
    "amqp": AMQP,
    "mqtt": MQTT,
    "kafka": KAFKA,
    "grpc": GRPC,
    "imap": IMAP,
    "pop3": POP3,
    "smtp": SMTP,
    "tls": TLS,
    "postgres": POSTGRES,
    "mysql": MYSQL,
    "redis": REDIS,
    "mongodb": MONGODB,
    "ssh": SSH,
    "heartbeat": HEARTBEAT,
    "group": GROUP,
    "manual": MANUAL,
    "websocket": WEBSOCKET,
    "domain": DOMAIN,
    "statuspage": STATUSPAGE,
    "command": COMMAND,
}


def spec_class(kind: str) -> type[MonitorSpec]:
    """The options of a kind. Raises ValueError that names the known ones."""
    try:
        return KINDS[kind].spec
    except KeyError:
        hint = did_you_mean(kind, KINDS) or f"; allowed: {', '.join(KINDS)}"
        raise ValueError(f"unknown kind {kind!r}{hint}") from None


def parse_spec(data: Mapping[str, Any]) -> MonitorSpec:
    """The specification that `data` writes, secrets in clear. Raises ValueError; pydantic's where an option is wrong."""
    kind = data.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f"a monitor needs a kind; allowed: {', '.join(KINDS)}")
    return spec_class(kind).model_validate(dict(data))
