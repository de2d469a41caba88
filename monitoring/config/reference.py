"""docs/configuration.md, written from the code: every option with its type, default, limits and sentence."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from checks import document
from checks.expect import OPERATORS_OF, Subject, jsonpath
from checks.expect import reader as expect_reader
from checks.options import PATTERNS, Option, options
from checks.probes import KINDS
from checks.spec import MonitorSpec, ProbedSpec
from checks.units import format_duration
from monitoring.config.sections import (
    ChannelItem,
    ComponentItem,
    Defaults,
    GroupItem,
    MatchItem,
    ObjectiveItem,
    PageItem,
    RuleItem,
)

_OPERATORS = {
    "==": "is equal; a list: each of its values",
    "!=": "differs",
    "<": "is smaller",
    "<=": "is smaller or equal",
    ">": "is larger",
    ">=": "is larger or equal",
    "in": "is one of a list; numbers, durations and sizes may be ranges, both ends included; of a list each value",
    "not in": "is none of a list; of a list no value",
    "contains": "has this text in it; a list: has this value",
    "not contains": "does not have it",
    "matches": "a regular expression finds something in it; in a list: in a value of it",
    "not matches": "it finds nothing",
    "exists": "is there, whatever it is",
    "not exists": "is not there",
}
_EXAMPLES = {
    "number": "status in 200-299, 304",
    "duration": "latency < 800ms",
    "size": "size < 1MiB",
    "text": 'banner contains "ESMTP"',
    "bytes": 'body not contains "Traceback"',
    "header": 'header Content-Type contains "json"',
    "json": "json $.queue < 100",
    "list": 'answers contains "10.0.0.1"',
    "flag": "ad == true",
}
_OPERANDS = {
    "number": "a number",
    "duration": "a duration",
    "size": "a size",
    "text": "a string in double quotes",
    "bytes": "a string in double quotes",
    "list": "a string in double quotes",
    "flag": "true or false",
    "header": "a string in double quotes; a number, and the text is read as one",
    "json": "a string in double quotes, a number, true, false or null",
}


def reference() -> str:
    """The whole page."""
    return "\n".join(_page()).rstrip() + "\n"


def _page() -> Iterator[str]:
    yield _INTRODUCTION
    yield from _section(
        "defaults",
        "Options of every probed monitor that does not set them itself; a kind with limits of its own keeps to them.",
        Defaults,
    )
    yield "\n## monitors\n\nWhat is watched: a list. Every monitor has these options.\n"
    yield from _table(options(MonitorSpec).values(), without=())
    yield "\n### Probed monitors\n\nKinds that ask a target by themselves have these, too.\n"
    yield from _table(options(ProbedSpec).values(), without=options(MonitorSpec))
    for name, kind in KINDS.items():
        spec = kind.spec
        base = ProbedSpec if issubclass(spec, ProbedSpec) else MonitorSpec
        yield f"\n### kind: {name}\n\n{inspect.getdoc(spec)}\n"
        yield from _example(name, spec)
        inherited = options(base)
        own = [option for option in options(spec).values() if option != inherited.get(option.name)]
        yield from _table(own, without=())
        yield from _nested(spec)
        yield from _subjects(spec)
    yield _LANGUAGE
    yield from _operators()
    yield from _section("channels", "Whom to tell, and how: a list.", ChannelItem)
    yield from _section("alert_rules", "When to tell which channels about which monitors: a list.", RuleItem)
    yield from _table_of("match", MatchItem)
    yield from _section("objectives", "What was promised of monitors (SLOs): a list.", ObjectiveItem)
    yield from _section("status_pages", "What the public sees: a list. Nothing else is public.", PageItem)
    yield from _table_of("groups", GroupItem)
    yield from _table_of("components", ComponentItem)
    yield _COMMANDS
    yield from _environment()


def _example(kind: str, spec: type[MonitorSpec]) -> Iterator[str]:
    if spec.example:
        options_of_kind = textwrap.indent(inspect.cleandoc(spec.example), "  ")
        yield f"```yaml\n- name: An example\n  kind: {kind}\n{options_of_kind}\n```\n"


def _section(name: str, sentence: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"\n## {name}\n\n{sentence}\n"
    yield from _table(options(model).values(), without=())


def _table_of(name: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"\n`{name}`: {inspect.getdoc(model)}\n"
    yield from _table(options(model).values(), without=())


def _nested(spec: type[BaseModel]) -> Iterator[str]:
    for option in options(spec).values():
        model = option.value.model or (option.value.item and option.value.item.model)
        if model:
            yield from _table_of(option.name, model)


def _table(rows: Iterable[Option], *, without: Iterable[str]) -> Iterator[str]:
    hidden = set(without)
    yield "| option | type | default | allowed | what it is |"
    yield "| --- | --- | --- | --- | --- |"
    for option in rows:
        if option.name not in hidden:
            cells = (f"`{option.name}`", _type(option), _default(option), _allowed(option), option.help)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(option: Option) -> str:
    words = "one of" if option.value.shape == "choice" else option.value.words()
    return f"{words}, secret" if option.value.secret else words


def _allowed(option: Option) -> str:
    value = option.value
    if value.shape == "choice":
        return ", ".join(f"`{choice}`" for choice in value.choices)
    inner = value.item or value
    return "; ".join(filter(None, (value.range(), PATTERNS.get(inner.pattern or "", ""))))


def _default(option: Option) -> str:
    if option.required or option.name == "kind":
        return "**required**"
    return _shown(option.default, duration=option.value.shape == "duration")


def _shown(value: Any, *, duration: bool) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case None | "" | () | []:
            return ""
        case float() if duration:
            return f"`{format_duration(value)}`"
        case tuple():
            return f"`[{', '.join(map(str, value))}]`"
        case int() | str():
            return f"`{value}`"
        case _:
            return ""


def _subjects(spec: type[MonitorSpec]) -> Iterator[str]:
    if not spec.subjects:
        return
    default = spec.default_expect if issubclass(spec, ProbedSpec) else ()
    says = " and ".join(f"`{line}`" for line in default) or "that the probe itself succeeds"
    good = spec.default_degraded if issubclass(spec, ProbedSpec) else ()
    if good:
        says += "; without `degraded` as well, good means " + " and ".join(f"`{line}`" for line in good)
    yield f"\nWithout `expect`, healthy means {says}. Its expectations can speak of:\n"
    yield "| subject | what it is | compared with |"
    yield "| --- | --- | --- |"
    for subject in spec.subjects.values():
        yield f"| `{_written(subject)}` | {subject.help} | {_OPERANDS[subject.type]} |"


def _written(subject: Subject) -> str:
    argument = {"jsonpath": " PATH", "xpath": " XPATH", "name": " NAME", "cookie": " NAME", None: ""}[subject.argument]
    return f"{subject.name}{argument}"


def _operators() -> Iterator[str]:
    yield "| operator | meaning | for |"
    yield "| --- | --- | --- |"
    for operator, meaning in _OPERATORS.items():
        types = [name for name, allowed in OPERATORS_OF.items() if operator in allowed]
        everywhere = len(types) == len(OPERATORS_OF)
        yield f"| `{operator}` | {meaning} | {'all' if everywhere else ', '.join(types)} |"
    yield "\n| type | an example |"
    yield "| --- | --- |"
    for name, example in _EXAMPLES.items():
        yield f"| {name} | `{example}` |"


_ENVIRONMENT = {
    "STILLUP_DATABASE_URL": "The database: `postgresql://user:password@host/name`. By default SQLite files in the data directory.",
    "STILLUP_MEASUREMENTS_URL": "Another database for what was measured. By default the same on PostgreSQL. A worker of "
    "a remote location needs only this one and STILLUP_DATA_KEY.",
    "STILLUP_DATA_DIR": "Where SQLite files and keys lie. By default `data`.",
    "STILLUP_SECRET_KEY": "Signs sessions. By default made once, as `secret.key` in the data directory.",
    "STILLUP_DATA_KEY": "Encrypts secrets in the databases; several, separated by commas, allow rotation: the first "
    "encrypts, all decrypt. By default made once, as `data.key` in the data directory.",
    "STILLUP_BASE_URL": "The address at which people find Stillup: stands in messages. By default that of the server.",
    "STILLUP_PORT": "Set by `up`: the port it listens on, for `${STILLUP_PORT}` in a configuration file. 8000 for `plan` and "
    "`apply` by hand, unless it is set.",
    "STILLUP_ALLOWED_HOSTS": "Names that requests may be addressed to, separated by commas. By default that of the base "
    "URL, and this machine's.",
    "STILLUP_ADMIN_USER": "A user that is made at the first start, with STILLUP_ADMIN_PASSWORD. Without them `up` makes "
    "`admin` with a random password and prints it once.",
    "STILLUP_ADMIN_PASSWORD": "The password of that user.",
    "STILLUP_LOG_FORMAT": "`text`, for people, or `json`. By default `text`.",
    "STILLUP_PROBE_ALLOW": "Networks that probes may reach although they are refused by default, separated by spaces.",
    "STILLUP_MAIL_PINGS": "Where `up` takes mails as pings: `host:port`, as in 127.0.0.1:2525. By default nowhere.",
    "STILLUP_NEW_HEARTBEAT_PERIOD": "How often a job is expected that a ping with ?create=1 made. 1d by default.",
    "STILLUP_NEW_HEARTBEAT_GRACE": "How late such a job may be. 1h by default.",
    "STILLUP_TRUSTED_PROXIES": "Networks of your reverse proxies, separated by spaces: from them X-Forwarded-For is believed, "
    "so that pings have their true source. By default nobody's is.",
    "STILLUP_PROBE_DENY": "Networks that probes may not reach.",
    "STILLUP_RDAP_BOOTSTRAP": "Where the kind `domain` finds the list of registries (RFC 9224). By default IANA's.",
    "STILLUP_COMMANDS": "The directory whose programs monitors of the kind `command` may run. By default none may: who "
    "can edit monitors can run those programs. Set it for every process.",
    "STILLUP_KEEP_RESULTS": "How long single results are kept, 1d or more. 7d by default. This one and the next ones are for "
    "every process; what is older goes by itself, and `manage.py prune --dry-run` says how much that is.",
    "STILLUP_KEEP_MINUTES": "How long the figures of minutes are kept, which monitors with an interval up to 15s have. 2d by default.",
    "STILLUP_KEEP_HOURS": "How long the figures of hours are kept. 180d by default.",
    "STILLUP_KEEP_DAYS": "How long the figures of days are kept. 1095d by default. Changes of status and incidents stay for ever.",
    "STILLUP_KEEP_PINGS": "How long pings are kept. 90d by default.",
    "STILLUP_KEEP_PINGS_OF_A_MONITOR": "How many pings of one monitor are kept. 1000 by default.",
}


def _environment() -> Iterator[str]:
    yield "\n## Environment\n\nEach of them also as NAME_FILE: the path of a file that holds the value.\n"
    yield "| variable | what it is |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {sentence} |" for name, sentence in _ENVIRONMENT.items())


_INTRODUCTION = f"""# The configuration file

<!-- Written by `manage.py configuration_reference` from the code. Edit the code, not this page. -->

One YAML file says what is watched, whom to tell and what is shown; `config.example.yaml` is one. It has six sections,
all optional. What stands in it is read-only in the admin; what was made in the admin is left alone by the file.

* **Nothing is guessed.** An unknown key, a value of another type, a name that is not there: each is a problem with its
  line, its column, what was found and what is allowed. A file with problems is refused whole, all of them are told, and
  the running configuration stays.
* **Durations** have a unit: `us`, `ms`, `s`, `m`, `h`, `d`, `w`, as in `90s`, `1h 30m`, `800ms`. **Sizes**, too: `B`,
  `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`.
* **Variables.** `${{NAME}}` in a value is replaced by the environment variable NAME, or by what the file named by
  NAME_FILE holds. The result is text. `$${{` stands for a plain `${{`. Keep secrets there.
* **Plain values** are what YAML 1.2 says: `no`, `1:30` and `0777` are text. Anchors, aliases, tags and merge keys are
  not allowed, nor is one key twice. At most {document.MAX_BYTES // 1024} KiB and {document.MAX_DEPTH} levels.
* **Identity** is the slug of a monitor and of a page, the name of a channel, a rule and an objective. A monitor that is
  renamed keeps its history if it keeps its slug."""

_LANGUAGE = f"""
## Expectations

One line says what healthy means: a subject, an operator, and mostly something to compare with. `expect` decides
between up and down, `degraded` between up and degraded; every line has to hold. A failure says what was expected and
what was found: `expected json $.queue < 100, got 143`.

* **What is not there fails**, whatever the line says: it is never zero and never empty. Only `not exists` wants it so. A list without
  entries is not there, and neither is `sum()` or `string()` of an XPath that finds nothing.
* **Strings** stand in double quotes; `\\"`, `\\\\`, `\\n`, `\\r` and `\\t` are escapes. In YAML, put the whole line into
  single quotes: `- 'body contains "ok"'`.
* **Regular expressions** are RE2: linear in time, without look-around and back references; at most
  {expect_reader.MAX_PATTERN} characters. They find anywhere; `^` and `$` bind them. Their backslashes are their own.
* **JSONPath** is RFC 9535. Where a path selects several values, each has to meet the line. `..` may stand in it once.
  A path with `..`, `*`, a slice or a filter searches documents of up to {jsonpath.MAX_VALUES:,} values.
* **XPath** is version 1.0. Where a path selects several values, each has to meet the line. `//` may stand in it once, a
  predicate looks at what is below its own element (`xml //queue[name = "mail"]/@size < 100`), and names are without
  namespaces.
* **Headers** of one name are one text, joined by `, `. Names have no case; those of cookies do.
* `certificate` is the time left: `certificate > 14d`.
"""

_COMMANDS = """
## Commands

| | |
| --- | --- |
| `manage.py plan FILE` | what applying would create, change, retire; what was changed outside the file; probable renames. With `--exit-code` the exit status is 2 where there is something to do |
| `manage.py apply FILE` | do it, in one transaction |
| `manage.py export` | write the file from the database, with a `${NAME}` for each secret |
| `manage.py up --config FILE` | apply at the start, and again whenever the file changed and was then left alone for a second. A change that would retire more than half of four or more monitors is refused: apply it by hand |

Exit status 78: the file is wrong; nothing was changed.

What left the file is **retired**: not probed, hidden, its history kept, and back with it as soon as its slug is in the
file again. `--prune` deletes it instead. A name that the admin owns is refused; `--adopt` lets the file take it over.
Channels, rules, objectives and pages that left the file are deleted.
"""
