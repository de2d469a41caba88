"""`ssh`: hears what a server calls itself, and where asked to, judges its key, logs in and runs one command."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from pydantic import AfterValidator, Field, model_validator

from checks import expect
from checks.address import parse_host_port
from checks.evidence import excerpt
from checks.expect import Subject
from checks.network import dial
from checks.network.route import HostPort, ProxiedSpec
from checks.probe import TIMINGS, Kind, ProbeContext
from checks.protocols.dialogue import Dialogue, lines, nonsense, spoken
from checks.protocols.wire import importing
from checks.result import Observation
from checks.spec import Line, Secret, SecretMark, Text

_FINGERPRINT = r"^(SHA256:[A-Za-z0-9+/]{43})?$"
_SUCCESS = ("exit_status == 0",)  # of a command about which nothing is expected


def _is_private_key(text: str) -> str:
    if text:
        load = load_ssh_private_key if "OPENSSH" in text[:60] else load_pem_private_key
        try:
            load(text.encode() + b"\n", password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
            raise ValueError(
                "holds no private key without a passphrase; expected a file such as ~/.ssh/id_ed25519"
            ) from exc
    return text


class SshSpec(ProxiedSpec):
    """Options of a monitor that asks a server of SSH."""

    target_option: ClassVar[str] = "address"
    example: ClassVar[str] = """
        address: shell.example.org:22
        host_key: SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDTr5eWBpDvLjD1xNo
        username: monitor
        password: ${SSH_PASSWORD}
        command: df --output=pcent / | tail -1
        expect:
          - exit_status == 0
          - output not matches "9[0-9]%|100%"
    """
    known_with: ClassVar[Mapping[str, str]] = {
        "host_key": "host_key",
        **dict.fromkeys(("exit_status", "output", "errors"), "command"),
    }
    subjects: ClassVar[Mapping[str, Subject]] = {
        "banner": Subject("banner", "text", "What the server calls itself, as in SSH-2.0-OpenSSH_9.2p1."),
        "host_key": Subject("host_key", "text", "The fingerprint of the host's key (with host_key)."),
        "exit_status": Subject(
            "exit_status",
            "number",
            "The exit status of the command; 128 and the signal's number where a signal ended it.",
        ),
        "output": Subject("output", "bytes", "What the command wrote to its standard output, at most 64 KiB."),
        "errors": Subject("errors", "bytes", "What it wrote to its standard error, at most 64 KiB."),
        **TIMINGS,
        "first_byte": Subject(
            "first_byte", "duration", "The time from the connection to the banner, or the host's key."
        ),
        "transfer": Subject("transfer", "duration", "The time of the login and the command."),
    }

    kind: Literal["ssh"] = "ssh"
    """Asks a server of SSH what it is, or logs in and runs a command."""
    address: HostPort
    """The host and port of the server, as in shell.example.org:22."""
    host_key: Annotated[Line, Field(max_length=50, pattern=_FINGERPRINT)] = ""
    """The fingerprint that the host's key must have, as ssh-keygen -lf prints it: SHA256:... A login needs it."""
    username: Annotated[Line, Field(max_length=200)] = ""
    """Who logs in. Without it, nobody does."""
    password: Secret = ""
    """The password of the login."""
    key: Annotated[Text, Field(max_length=16384), AfterValidator(_is_private_key), SecretMark()] = ""
    """The private key of the login, as in ~/.ssh/id_ed25519, without a passphrase."""
    command: Annotated[Line, Field(max_length=4096)] = ""
    """What is run after the login, by the shell of the user."""

    @cached_property
    def target(self) -> tuple[str, int]:
        """The host and the port."""
        return parse_host_port(self.address)

    @property
    def is_visited(self) -> bool:
        """Whether more is asked than the banner."""
        return bool(self.host_key or self.username)

    @model_validator(mode="after")
    def _login_is_whole_and_safe(self) -> Self:
        if self.username and not (self.password or self.key):
            raise ValueError("username: a login needs a password or a key")
        for name in ("password", "key", "command"):
            if getattr(self, name) and not self.username:
                raise ValueError(f"{name}: needs a username")
        if self.username and not self.host_key:
            raise ValueError("host_key: a login needs it, so that no other host gets the password or runs the command")
        return self


async def probe(spec: SshSpec, context: ProbeContext) -> Observation:
    """Ask as far as the options say."""
    seen, watch = context.seen, context.stopwatch
    seen.explain = lambda: _explanation(seen.facts)
    if spec.is_visited:
        await _visit(spec, context)
    else:
        await _hear_banner(spec, context)
    seen.complete = True
    watch.phase = "other"
    return seen


async def _hear_banner(spec: SshSpec, context: ProbeContext) -> None:
    dialogue = await dial(context, *spec.target, lambda: Dialogue(context.stopwatch), route=spec.route)
    try:
        dialogue.start()
        said = await dialogue.read(_UP_TO_BANNER)
        banner = context.seen.facts["banner"] = spoken(said.splitlines()[-1])
        if not banner.startswith(("SSH-2.0-", "SSH-1.99-")):
            raise nonsense(f"a version that nobody should speak any more: {banner[:100]!r}")
        dialogue.send(b"SSH-2.0-Stillup\r\n")  # or the server takes us for somebody who scans
    finally:
        dialogue.abort()


# RFC 4253, 4.2: other lines may come before the one that counts.
_UP_TO_BANNER = lines(lambda line: line.startswith(b"SSH-"))


async def _visit(spec: SshSpec, context: ProbeContext) -> None:
    with importing("ssh", context.stopwatch):
        from checks.protocols.ssh import Passage, Visitor, login, run, show_key  # noqa: PLC0415 - needs the extra

    watch, facts = context.stopwatch, context.seen.facts
    passage = await dial(context, *spec.target, Passage, route=spec.route)
    visitor = Visitor(passage, spec.host_key, watch)
    try:
        if not spec.username:
            await show_key(visitor)
            return
        user = {"username": spec.username, "password": spec.password, "key": spec.key}
        async with login(visitor, **user) as connection:
            if spec.command:
                ran = await run(connection, spec.command)
                facts |= {"output": bytes(ran.output), "errors": bytes(ran.errors)}
                if ran.exit_status is not None:
                    facts["exit_status"] = ran.exit_status
                if not spec.expect:
                    context.seen.failure = expect.first_unmet(_SUCCESS, spec.subjects, facts)
            watch.mark("transfer", "other", passage.last_ns)
    finally:
        passage.abort()
        facts |= {name: said for name in ("banner", "host_key") if (said := getattr(visitor, name))}


def _explanation(facts: Mapping[str, Any]) -> dict[str, Any]:
    evidence = {name: facts[name] for name in ("banner", "host_key", "exit_status") if name in facts}
    return evidence | {name: excerpt(facts[name]) for name in ("output", "errors") if facts.get(name)}


SSH = Kind(
    spec=SshSpec,
    probe=probe,
    extra="ssh",
    modules=("asyncssh",),
    needs_modules=lambda spec: spec.is_visited,  # the banner needs no library
)
