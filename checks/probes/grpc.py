"""`grpc`: asks the standard health service of a gRPC server (grpc.health.v1.Health/Check)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, Field

from checks.address import parse_url
from checks.expect import Subject
from checks.network import dial, spec_tls
from checks.network.http2 import Http2Exchange
from checks.network.request import Request
from checks.probe import Kind, ProbeContext, ProbeFailure
from checks.protocols.wire import WIRE_SUBJECTS, WireSpec, importing, printable
from checks.result import Failure, Observation, Reason
from checks.spec import Line, SecretMark

_METHOD = "/grpc.health.v1.Health/Check"
_OURS = frozenset({"content-type", "host", "te", "user-agent"})
_OF_CREDENTIALS = (7, 16)  # PERMISSION_DENIED, UNAUTHENTICATED
_CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


def _is_metadata_name(name: str) -> str:
    if name in _OURS or name.startswith("grpc-"):
        raise ValueError(f"{name} is set by the probe itself")
    if name.endswith("-bin"):
        raise ValueError(f"{name} would be binary; only text can be sent")
    return name


MetadataName = Annotated[str, Field(max_length=200, pattern=r"^[0-9a-z_.-]+$"), AfterValidator(_is_metadata_name)]
MetadataValue = Annotated[Line, Field(max_length=4096, pattern=r"^[ -~]*$")]


class GrpcSpec(WireSpec):
    """Options of a monitor that asks a gRPC server for its health."""

    default_expect: ClassVar[tuple[str, ...]] = ('status == "SERVING"',)
    subjects: ClassVar[Mapping[str, Subject]] = {
        "status": Subject("status", "text", "The serving status: SERVING, NOT_SERVING, SERVICE_UNKNOWN or UNKNOWN."),
        **WIRE_SUBJECTS,
    }
    example: ClassVar[str] = """\
address: api.example.org:443
tls: true
service: shop.v1.Orders
metadata:
  authorization: Bearer ${API_TOKEN}
degraded:
  - latency < 200ms
"""

    kind: Literal["grpc"] = "grpc"
    """Asks the standard health service of a gRPC server."""
    service: Annotated[Line, Field(max_length=1000)] = ""
    """The service whose health is asked for. By default the server as a whole."""
    metadata: Annotated[dict[MetadataName, MetadataValue], Field(max_length=50), SecretMark()] = {}
    """Metadata of the call, by name in lower case. Kept like passwords."""

    @cached_property
    def request(self) -> Request:
        """The call, written out once."""
        from grpc_health.v1 import health_pb2  # noqa: PLC0415 - needs the extra

        message = health_pb2.HealthCheckRequest(service=self.service).SerializeToString()
        return Request(
            url=parse_url(f"{'https' if self.tls else 'http'}://{self.address}{_METHOD}"),
            method="POST",
            headers={
                "content-type": "application/grpc",
                "te": "trailers",
                "grpc-timeout": f"{self.timeout * 1000:.0f}m",
                **self.metadata,
            },
            body=b"\0" + len(message).to_bytes(4, "big") + message,
        )


async def probe(spec: GrpcSpec, context: ProbeContext) -> Observation:
    """Ask once, over a connection of our own."""
    with importing("grpc", context.stopwatch):
        request = spec.request
    host, port = spec.target
    watch, seen = context.stopwatch, context.seen

    def make() -> Http2Exchange:
        return Http2Exchange(watch, bodiless=False, skip_redirect_body=False)

    tls = spec_tls(spec, ("h2",)) if spec.tls else None
    exchange = await dial(context, host, port, make, tls, route=spec.route)
    seen.explain = lambda: {"certificate": exchange.certificate.as_dict()} if exchange.certificate is not None else {}
    try:
        if exchange.tls is not None and exchange.tls.selected_alpn_protocol() != "h2":
            raise _failure(Reason.PROTOCOL, "the server does not offer HTTP/2 (no h2 by ALPN), so it can't speak gRPC")
        await exchange.run(request)
    finally:
        exchange.abort()
    seen.facts["status"] = seen.evidence["status"] = _status(exchange)
    seen.complete = True
    return seen


def _status(exchange: Http2Exchange) -> str:
    """The serving status that was answered. Raises ProbeFailure where the call itself failed."""
    _check_http(exchange)
    fields = dict(exchange.headers + exchange.trailers)
    said = printable(unquote(fields.get(b"grpc-message", b"").decode("latin-1")))
    code = fields.get(b"grpc-status", b"")
    match int(code) if code.isdigit() and len(code) < 4 else None:
        case None:
            raise _failure(Reason.PROTOCOL, "the answer is not of gRPC: it has no grpc-status")
        case 0:
            return _read(exchange.body)
        case 5:  # what the health service answers about a service that it does not know
            return "SERVICE_UNKNOWN"
        case 12:
            raise _failure(Reason.REJECTED, _spoken("the server has no health service: UNIMPLEMENTED", said))
        case number:
            name = _CODES[number] if number < len(_CODES) else f"code {number}"
            reason = Reason.AUTHENTICATION if number in _OF_CREDENTIALS else Reason.REJECTED
            raise _failure(reason, _spoken(f"the call failed: {name}", said))


def _check_http(exchange: Http2Exchange) -> None:
    kind = (exchange.header(b"content-type") or b"").decode("latin-1")
    if exchange.status != 200:
        reason = Reason.AUTHENTICATION if exchange.status in (401, 403) else Reason.PROTOCOL
        raise _failure(reason, f"the answer is not of gRPC: HTTP status {exchange.status}")
    if not kind.startswith("application/grpc"):
        raise _failure(Reason.PROTOCOL, f"the answer is not of gRPC: its content type is {printable(kind)!r}")


def _read(body: bytes) -> str:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - needs the extra
    from grpc_health.v1 import health_pb2  # noqa: PLC0415 - needs the extra

    if len(body) < 5 or body[0] != 0 or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise _failure(Reason.PROTOCOL, "the answer is not one message, uncompressed, as we asked for")
    try:
        status = health_pb2.HealthCheckResponse.FromString(body[5:]).status
    except DecodeError:
        raise _failure(Reason.PROTOCOL, "the answer is no message of the health service") from None
    known: dict[int, str] = {number: name for name, number in health_pb2.HealthCheckResponse.ServingStatus.items()}
    return known.get(status, str(status))


def _spoken(what: str, said: str) -> str:
    return f"{what}: {said}" if said else what


def _failure(reason: Reason, message: str) -> ProbeFailure:
    return ProbeFailure(Failure(reason=reason, message=message, phase="transfer"))


GRPC = Kind(spec=GrpcSpec, probe=probe, extra="grpc", modules=("grpc_health",))
