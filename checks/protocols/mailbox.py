"""What the kinds `smtp`, `imap` and `pop3` share: their options and the course of their probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from checks.address import parse_host_port
from checks.evidence import excerpt
from checks.expect import Subject
from checks.network import dial
from checks.network.route import HostPort, ProxiedSpec, SecuredSpec
from checks.network.securing import spec_tls
from checks.probe import TIMINGS, ProbeContext
from checks.protocols.dialogue import Dialogue
from checks.protocols.mail import Mail
from checks.protocols.starttls import upgrade
from checks.protocols.wire import OVER_TLS
from checks.result import Observation
from checks.spec import Line, Secret


class MailSpec(ProxiedSpec, SecuredSpec):
    """Options of the kinds that ask a mail server."""

    target_option: ClassVar[str] = "address"
    implicit_port: ClassVar[int]  # where TLS is spoken from the first byte on
    known_with: ClassVar[Mapping[str, str]] = {**OVER_TLS, "login": "username"}
    subjects: ClassVar[Mapping[str, Subject]] = {
        "banner": Subject("banner", "text", "What the server says first."),
        "capabilities": Subject("capabilities", "list", "What the server can do, an entry a line, as it said last."),
        "login": Subject("login", "text", "Its answer to the login. A refused login is down in any case."),
        **TIMINGS,
        "certificate": Subject("certificate", "duration", "The time left until the certificate expires (over TLS)."),
    }

    address: HostPort
    """The host and port of the server, as in mail.example.org:587."""
    tls: Literal["auto", "none", "starttls", "implicit"] = "auto"
    """How the connection is secured. auto is implicit on the port made for that (465, 993, 995), else starttls."""
    username: Annotated[Line, Field(max_length=320)] = ""
    """Who logs in. Without it, nobody does."""
    password: Secret = ""
    """The password of the login."""
    login_in_clear: bool = False
    """Allow to send the password over a connection without TLS."""
    noop: bool = False
    """Have the server do nothing at the end, and say so."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @cached_property
    def security(self) -> Literal["none", "starttls", "implicit"]:
        """How the connection is secured, once `auto` is decided."""
        if self.tls != "auto":
            return self.tls
        return "implicit" if self.target[1] == self.implicit_port else "starttls"

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> Self:
        if bool(self.username) != bool(self.password):
            raise ValueError(f"{'password' if self.username else 'username'}: a login needs username and password")
        if self.password and self.security == "none" and not self.login_in_clear:
            raise ValueError("password: would be sent without TLS; set tls, or login_in_clear where that is meant")
        return self


async def ask(spec: MailSpec, context: ProbeContext, make: Callable[[Dialogue], Mail]) -> Observation:
    """Be greeted, secure the connection, ask for capabilities, log in and do nothing, as far as the options say."""
    seen, watch = context.seen, context.stopwatch
    host, port = spec.target
    tls = spec_tls(spec) if spec.security == "implicit" else None
    dialogue = await dial(context, host, port, lambda: Dialogue(watch), tls, route=spec.route)
    seen.explain = lambda: _explanation(dialogue, seen.facts)
    seen.progress = lambda: f"({len(dialogue.heard)} bytes so far)"
    try:
        dialogue.start()
        server, facts = make(dialogue), seen.facts
        facts["banner"] = await server.greet()
        capabilities = await server.capabilities()
        if spec.security == "starttls":
            await server.start_tls(capabilities)
            await upgrade(context, dialogue, host, spec_tls(spec))
            capabilities = await server.capabilities()  # those said in clear may be anybody's
        facts["capabilities"] = list(capabilities)
        if spec.username:
            facts["login"] = await server.login(spec.username, spec.password, capabilities)
        if spec.noop:
            await server.noop()
        dialogue.send(server.farewell)
    finally:
        dialogue.abort()
    seen.complete = True
    watch.phase = "other"
    return seen


def _explanation(dialogue: Dialogue, facts: Mapping[str, Any]) -> dict[str, Any]:
    evidence: dict[str, Any] = {
        name: excerpt(facts[name].encode()) for name in ("banner", "login") if facts.get(name) is not None
    }
    if "capabilities" in facts:
        evidence["capabilities"] = [excerpt(entry.encode()) for entry in facts["capabilities"]]
    if dialogue.heard:
        evidence["unread"] = excerpt(bytes(dialogue.heard))
    if dialogue.certificate is not None:
        evidence["certificate"] = dialogue.certificate.as_dict()
    return evidence
