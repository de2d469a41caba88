"""What a command line asks for: an address whose scheme picks the kind, or a file that describes monitors."""

from __future__ import annotations

import json
import os
import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from checks.document import DocumentProblems, Node, load
from checks.document import read as read_document
from checks.nearest import did_you_mean
from checks.options import options
from checks.probes import KINDS, spec_class
from checks.spec import MonitorSpec, ProbedSpec, dump, slugify
from checks.validation import validate

MOST_BYTES = 1 << 20  # of a file
_TEXTS = ("text", "choice", "duration")  # what is text, whatever it looks like


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """What a scheme says: the kind, the port where none is given, options. `whole`: the kind takes the address whole."""

    kind: str
    port: int | None = None
    whole: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


SCHEMES: Mapping[str, Scheme] = {
    "http": Scheme(kind="http", whole=True),
    "https": Scheme(kind="http", whole=True),
    "ws": Scheme(kind="websocket", whole=True),
    "wss": Scheme(kind="websocket", whole=True),
    "tcp": Scheme(kind="tcp"),
    "udp": Scheme(kind="udp"),
    "tls": Scheme(kind="tls", port=443),
    "ssl": Scheme(kind="tls", port=443),
    "dns": Scheme(kind="dns"),
    "icmp": Scheme(kind="icmp"),
    "ping": Scheme(kind="icmp"),
    "ntp": Scheme(kind="ntp"),
    "domain": Scheme(kind="domain"),
    "ssh": Scheme(kind="ssh", port=22),
    "smtp": Scheme(kind="smtp", port=25),
    "smtps": Scheme(kind="smtp", port=465, options={"tls": "implicit"}),
    "imap": Scheme(kind="imap", port=143),
    "imaps": Scheme(kind="imap", port=993, options={"tls": "implicit"}),
    "pop3": Scheme(kind="pop3", port=110),
    "pop3s": Scheme(kind="pop3", port=995, options={"tls": "implicit"}),
    "postgres": Scheme(kind="postgres", port=5432),
    "postgresql": Scheme(kind="postgres", port=5432),
    "mysql": Scheme(kind="mysql", port=3306),
    "mariadb": Scheme(kind="mysql", port=3306),
    "redis": Scheme(kind="redis", port=6379),
    "rediss": Scheme(kind="redis", port=6379, options={"tls": True}),
    "mongodb": Scheme(kind="mongodb", port=27017),
    "mqtt": Scheme(kind="mqtt", port=1883),
    "mqtts": Scheme(kind="mqtt", port=8883, options={"tls": True}),
    "amqp": Scheme(kind="amqp", port=5672),
    "amqps": Scheme(kind="amqp", port=5671, options={"tls": True}),
    "kafka": Scheme(kind="kafka", port=9092),
    "grpc": Scheme(kind="grpc"),
    "grpcs": Scheme(kind="grpc", port=443, options={"tls": True}),
}
"""The schemes that pick a kind."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://)?(.+)", re.DOTALL)
_PORT = re.compile(r"(?:\]|^[^:\[\]]+):[0-9]+$")


class WrongUsage(ValueError):
    """The command line, or the file that it names, asks for nothing that can be probed; the message says why."""


def probed_kinds() -> list[str]:
    """The kinds that can be probed once."""
    return [name for name, kind in KINDS.items() if kind.probe is not None]


def read(arguments: Namespace) -> ProbedSpec:
    """The specification that the arguments of `probe` ask for. Raises WrongUsage."""
    given = _given(arguments)
    path = Path(arguments.target)
    if path.is_file():
        if arguments.kind:
            raise WrongUsage(f"--kind {arguments.kind}: the file says of which kind a monitor is")
        spec = _from_file(path, arguments.monitor, given)
    elif arguments.monitor:
        raise WrongUsage(f"--monitor {arguments.monitor}: {arguments.target} is no file")
    elif path.suffix in (".yaml", ".yml") and "://" not in arguments.target:
        raise WrongUsage(f"{arguments.target}: there is no such file")
    else:
        spec = _from_address(arguments.target, arguments.kind, given)
    if not isinstance(spec, ProbedSpec):
        raise WrongUsage(f"{spec.slug} is of the kind {spec.kind}, which is not probed")
    if lacking := KINDS[spec.kind].missing(spec):
        raise WrongUsage(f"{spec.kind} can't be probed here: {lacking}")
    return spec


def _given(arguments: Namespace) -> dict[str, Any]:
    """The options that the command line names one by one."""
    data = {name: value for name in ("expect", "degraded", "timeout") if (value := getattr(arguments, name))}
    for option in arguments.option or ():
        name, equals, value = option.partition("=")
        if not equals:
            raise WrongUsage(f"--option {option}: write NAME=VALUE, as in method=HEAD")
        data[name] = value
    return data


def _read(model: type[MonitorSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the command line names, each as its type has it: text as it stands, the others as JSON."""
    known = options(model)
    return {
        name: value if name in known and known[name].value.shape in _TEXTS else _from_json(value)
        for name, value in given.items()
    }


def _from_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


# An address.


def _from_address(target: str, kind: str | None, given: Mapping[str, Any]) -> MonitorSpec:
    found, data = _by_scheme(target, kind)
    option = cast("type[ProbedSpec]", spec_class(found)).target_option
    if not option:
        raise WrongUsage(f"{found} asks no single address; describe the monitor in a file")
    model = spec_class(found)
    data = {"kind": found, "name": "probe", **data, **_read(model, given)}
    data.setdefault(option, target)
    return _judged(model, data)


def _judged(model: type[MonitorSpec], data: Mapping[str, Any]) -> MonitorSpec:
    """The specification that options make, told what is wrong with them as a file is. Raises WrongUsage."""
    root, problems = read_document(json.dumps(data, ensure_ascii=False).replace("${", "$${"), env={})
    spec, more = validate(root, model) if root is not None else (None, [])
    if spec is None:
        told = (f"{each.path}: {each.message}" if each.path else each.message for each in problems or more)
        raise WrongUsage("; ".join(told))
    return spec


def _by_scheme(target: str, kind: str | None) -> tuple[str, dict[str, Any]]:
    """The kind that an address is for, and the options that it writes."""
    match = _SCHEME.fullmatch(target)
    word = match[1].lower() if match else ""
    scheme = SCHEMES.get(word)
    if match is None or scheme is None or match[2].isdigit() or (kind and kind != scheme.kind):
        if "://" in target and not kind:
            raise WrongUsage(f"{word}: is no scheme that picks a kind{did_you_mean(word, SCHEMES)}; name it by --kind")
        return kind or "tcp", {}
    if scheme.whole:
        return scheme.kind, {}
    return scheme.kind, {**scheme.options, **_parts(scheme, match[2])}


def _parts(scheme: Scheme, rest: str) -> dict[str, Any]:
    """The options in `user@host:port/database`."""
    model = cast("type[ProbedSpec]", spec_class(scheme.kind))
    address, _, path = rest.partition("/")
    user, _, address = address.rpartition("@")
    name, colon, _ = user.partition(":")
    if colon:
        raise WrongUsage("a password on a command line can be read by others: put it into a file, as ${NAME}")
    if scheme.port is not None and not _PORT.search(address):
        address = (
            f"[{address}]:{scheme.port}"
            if address.count(":") > 1 and "[" not in address
            else f"{address}:{scheme.port}"
        )
    data = {model.target_option: address}
    for option, value in (("username", unquote(name)), ("database", unquote(path.strip("/")))):
        if not value:
            continue
        if option not in model.model_fields:
            raise WrongUsage(f"{value!r}: {scheme.kind} has no {option}")
        data[option] = value
    return data


# A file.


def _from_file(path: Path, slug: str | None, given: Mapping[str, Any]) -> MonitorSpec:
    try:
        with path.open("rb") as file:
            root = load(file.read(MOST_BYTES + 1), env=os.environ)
        node, defaults = _chosen(root, slug)
        return _validated(node, defaults, given)
    except DocumentProblems as exc:
        raise WrongUsage("\n".join(f"{path}:{problem}" for problem in exc.problems)) from exc
    except OSError as exc:
        raise WrongUsage(f"{path}: can't be read: {exc.strerror or exc}") from exc


def _chosen(root: Node, slug: str | None) -> tuple[Node, Mapping[str, Node]]:
    """The monitor that is meant, and what the file says of all of them. A file is a list, a section or one monitor."""
    defaults: Mapping[str, Node] = {}
    listed = root.value
    if isinstance(listed, dict) and "monitors" in listed:
        shared = listed.get("defaults")
        defaults = shared.value if shared is not None and isinstance(shared.value, dict) else {}
        listed = listed["monitors"].value
    nodes = listed if isinstance(listed, list) else [root]
    slugs = [_slug(node) for node in nodes]
    if slug is not None and slug not in slugs:
        raise WrongUsage(f"--monitor {slug}: the file has none{did_you_mean(slug, slugs) or _known(slugs)}")
    if slug is None and len(nodes) != 1:
        raise WrongUsage(f"the file has {len(nodes)} monitors: choose one by --monitor{_known(slugs)}")
    return nodes[slugs.index(slug) if slug else 0], defaults


def _known(slugs: list[str]) -> str:
    shown = [slug for slug in slugs if slug][:20]
    return f"; known: {', '.join(shown)}{', …' if len(slugs) > len(shown) else ''}" if shown else ""


def _slug(node: Node) -> str:
    data = node.value if isinstance(node.value, dict) else {}
    slug, name = (data[key].value if key in data else "" for key in ("slug", "name"))
    return slug if isinstance(slug, str) and slug else slugify(name) if isinstance(name, str) else ""


def _validated(node: Node, defaults: Mapping[str, Node], given: Mapping[str, Any]) -> MonitorSpec:
    """The monitor of a node, with the file's defaults under it and the command line's options over it."""
    data = node.value if isinstance(node.value, dict) else {}
    kind = data.get("kind")
    if kind is None:
        raise DocumentProblems([node.missing("kind", f"is required; one of {', '.join(KINDS)}")])
    try:
        model = spec_class(kind.value if isinstance(kind.value, str) else kind.shown())
    except ValueError as exc:
        raise DocumentProblems([kind.problem(str(exc))]) from exc
    shared = {name: child for name, child in defaults.items() if name in model.model_fields}
    spec, problems = validate(replace(node, value={**shared, **data}), model)
    if spec is None:
        raise DocumentProblems(problems)
    return _judged(model, {**dump(spec), **_read(model, given)}) if given else spec
