"""YAML -> nodes that know where they stand, so that every problem has its line, its column and its path.

Read with care for people: no anchors, aliases, tags or merge keys, no key twice, `${NAME}` from the environment, caps on
size and depth. Plain values are what YAML 1.2 says: `no`, `1:30`, `0777` and dates are text, where YAML 1.1 would make
false, 90, 511 and a date of them; a note on the node says so when text is not what was wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 100_000
SHOWN = 60  # characters of a value that a problem quotes

Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times faster, where it is built in

type_words = {dict: "a mapping", list: "a list", bool: "true or false", int: "a whole number", float: "a number"}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a document: where it stands, what is wrong, what is allowed."""

    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.line}:{self.column}: "
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class DocumentProblems(Exception):
    """A document is wrong; all its problems, in their order."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


class WrittenFloat(float):
    """A number of a document. Where a duration is wanted it lacks its unit, which a plain float of Python's has."""


@dataclass(slots=True, kw_only=True)
class Node:
    """A value with its place. `value` is a scalar, a list of nodes, or a dict of nodes by key."""

    value: Any
    line: int
    column: int
    path: str
    raw: str = ""  # of a scalar: as written, variables not replaced
    quoted: bool = False
    broken: bool = False  # a problem was reported here already; `value` is a stand-in
    key_place: tuple[int, int] | None = None  # line and column of the key under which it stands

    def plain(self) -> Any:
        """The value as plain Python, without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return WrittenFloat(self.value) if isinstance(self.value, float) else self.value

    def problem(self, message: str) -> Problem:
        """A problem with this node."""
        return Problem(self.line, self.column, self.path, message)

    def missing(self, key: str, message: str) -> Problem:
        """A problem with a key that this mapping does not have."""
        return Problem(self.line, self.column, join(self.path, key), message)

    def key_problem(self, message: str) -> Problem:
        """A problem with the key under which this node stands."""
        line, column = self.key_place or (self.line, self.column)
        return Problem(line, column, self.path, message)

    def shown(self) -> str:
        """The value as a problem quotes it: as it is written in the file, never what a variable stood for."""
        if isinstance(self.value, dict | list):
            return type_words[type(self.value)]
        if self.value is None:
            return "nothing"
        text = self.raw if len(self.raw) <= SHOWN else self.raw[:SHOWN] + "…"
        shown = repr(text) if isinstance(self.value, str) else text
        return f"{shown} ({note})" if (note := self.note()) else shown

    def note(self) -> str:
        """What YAML 1.1 would have made of this text; empty where that is text, too."""
        if self.quoted or not isinstance(self.value, str) or len(self.raw) > SHOWN:
            return ""
        return next(
            (f"some YAML readers make {says} of it" for form, says in _OLD_FORMS if form.fullmatch(self.raw)), ""
        )

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        children = self.value.values() if isinstance(self.value, dict) else self.value
        if isinstance(self.value, dict | list):
            for child in children:
                yield from child.walk()


_OLD_FORMS = (
    (re.compile(r"(?i:yes|on|y)"), "true"),
    (re.compile(r"(?i:no|off|n)"), "false"),
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number"),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+"), "a hexadecimal number"),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number"),
    (re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number of base 60"),
    (re.compile(r"[-+]?[0-9]+_[0-9_]*"), "a number"),
    (re.compile(r"[-+]?\.(?i:inf|nan)"), "a number"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"), "a date"),
)


def join(path: str, key: str | int) -> str:
    """The path of what stands under `key`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def load(text: bytes | str, *, env: Mapping[str, str]) -> Node:
    """The document's root. Raises DocumentProblems with everything that is wrong with it as YAML."""
    root, problems = read(text, env=env)
    if problems or root is None:
        raise DocumentProblems(problems)
    return root


def read(text: bytes | str, *, env: Mapping[str, str]) -> tuple[Node | None, list[Problem]]:
    """The document's root as far as it can be read, and everything that is wrong with it as YAML.

    Where a root is returned beside problems, the broken nodes are marked, so that a second look finds the other ones.
    """
    try:
        return _Builder(_decoded(text), env).build()
    except _Stop as stop:
        return None, [stop.problem]


class _Stop(Exception):
    """The rest of the document can't be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


# All that YAML allows (the specification, 5.1), without the next-line character, which editors don't show as one.
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def _decoded(text: bytes | str) -> str:
    if len(text) > MAX_BYTES:
        raise _Stop(Problem(1, 1, "", f"the file has {len(text):,} bytes; at most {MAX_BYTES:,} are allowed"))
    if isinstance(text, bytes):
        if text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise _Stop(Problem(1, 1, "", "the file is UTF-16; save it as UTF-8"))
        data = text
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            before = data[: exc.start].decode("utf-8", errors="replace")
            message = f"the file is not UTF-8 text: the byte 0x{data[exc.start]:02x} stands here"
            raise _Stop(Problem(*_place(before), "", message)) from exc
    bad = _NOT_TEXT.search(text)
    if bad is not None:
        message = f"the control character U+{ord(bad[0]):04X} stands here; only text is allowed"
        raise _Stop(Problem(*_place(text[: bad.start()]), "", message))
    return text


def _place(before: str) -> tuple[int, int]:
    """Line and column of what follows `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Builder:
    """Builds nodes from the parser's events; nothing is ever constructed by tag."""

    def __init__(self, text: str, env: Mapping[str, str]) -> None:
        self.text, self.env = text, env
        self.problems: list[Problem] = []
        self.count = 0
        self.events = iter(yaml.parse(text, Loader=Parser))

    def build(self) -> tuple[Node | None, list[Problem]]:
        """The root and the problems."""
        root: Node | None = None
        while (event := self._next()) is not None:
            if isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
                continue
            if not isinstance(event, yaml.DocumentStartEvent):
                root = self._node(event, "", 0)
            elif root is not None:
                message = "a second document begins here; a configuration is one document"
                self.problems.append(Problem(*_mark(event), "", message))
                break
        if root is None or (root.value is None and not root.broken):
            self.problems.append(Problem(1, 1, "", "the file is empty"))
            return None, self.problems
        return root, self.problems

    def _next(self) -> Any:
        try:
            return next(self.events, None)
        except yaml.MarkedYAMLError as exc:
            raise _Stop(_syntax_problem(exc, self.text)) from exc
        except yaml.YAMLError as exc:
            raise _Stop(Problem(1, 1, "", f"not YAML: {str(exc)[:200]}")) from exc

    def _node(self, event: Any, path: str, depth: int) -> Node:
        line, column = _mark(event)
        self.count += 1
        if self.count > MAX_NODES:
            raise _Stop(Problem(line, column, "", f"more than {MAX_NODES:,} values"))
        if depth > MAX_DEPTH:
            raise _Stop(Problem(line, column, "", f"nested too deep: more than {MAX_DEPTH} levels"))
        node = Node(value=None, line=line, column=column, path=path)
        if isinstance(event, yaml.AliasEvent):
            name = f"*{event.anchor}"[:SHOWN]
            return self._broken(node, f"aliases are not allowed; if {name} is text, quote it: '{name}'")
        if event.anchor is not None:
            self._broken(node, f"anchors are not allowed, found &{event.anchor[:SHOWN]}; if it is text, quote it")
        if event.tag is not None and event.tag != "!":
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:SHOWN]
            self._broken(node, f"tags are not allowed, found {tag}; if it is text, quote it")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(node, event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node.value = []
            while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
                node.value.append(self._node(inner, join(path, len(node.value)), depth + 1))
        else:
            self._mapping(node, depth)
        return node

    def _broken(self, node: Node, message: str) -> Node:
        self.problems.append(node.problem(message))
        node.broken = True
        return node

    def _mapping(self, node: Node, depth: int) -> None:
        node.value = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            place = _mark(event)
            if not isinstance(event, yaml.ScalarEvent):
                key = self._node(event, node.path, depth + 1)
                if not key.broken:
                    self._broken(key, f"{type_words[type(key.value)]} can't be a key; if it is text, quote it")
                self._node(self._next(), node.path, depth + 1)
                continue
            name = event.value
            path = join(node.path, name[:SHOWN])
            value = self._node(self._next(), path, depth + 1)
            if event.anchor is not None or event.tag is not None:
                self.problems.append(Problem(*place, path, "a key takes no anchor and no tag"))
            elif name == "<<" and event.implicit[0]:
                self.problems.append(Problem(*place, path, "merge keys are not allowed"))
            elif not name:
                self.problems.append(Problem(*place, path, "a key is missing before the colon"))
            elif name in node.value:
                first = node.value[name].key_place[0]
                self.problems.append(Problem(*place, path, f"the key stands twice, first in line {first}"))
            else:
                node.value[name], value.key_place = value, place

    def _scalar(self, node: Node, event: Any) -> None:
        node.raw, node.quoted = event.value, bool(event.style)
        if "${" in event.value:
            try:
                node.value = substitute(event.value, self.env)
            except ValueError as exc:
                self._broken(node, str(exc))
        else:
            node.value = event.value if node.quoted else resolve(event.value)


def _mark(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}


def resolve(text: str) -> Any:
    """What a plain scalar is: null, true or false, a number of the usual form; text otherwise."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    # A leading zero makes a code, a date or an octal number, never a decimal one.
    if _FLOAT.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return float(text)
    return text


_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]{0,99})\}|\$\{")


def substitute(text: str, env: Mapping[str, str]) -> str:
    """`text` with each ${NAME} replaced, and $${ as a plain ${. Always text. Raises ValueError that names NAME."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            raise ValueError("a variable is written ${NAME}; write $${ for a plain ${")
        return variable(match[1], env)

    return _VARIABLE.sub(value, text)


def variable(name: str, env: Mapping[str, str]) -> str:
    """The variable NAME, or what the file named by NAME_FILE holds. Raises ValueError where there is none."""
    path = env.get(f"{name}_FILE")
    if name in env:
        return env[name]
    if path is None:
        raise ValueError(f"the environment variable {name} is not set; set it, or {name}_FILE to a file that holds it")
    try:
        found = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise ValueError(f"{name}_FILE names {path}, which can't be read: {reason}") from exc
    if not found:
        raise ValueError(f"{name}_FILE names {path}, which is empty")
    return found


# What the parsers say (libyaml's words and PyYAML's own), and what it means.
_SYNTAX = (
    (r"a tab character|found character '\\t'", "a tab stands here; indent with spaces"),
    (
        r"mapping values are not allowed",
        "a second ': ' in one value, or an indentation that does not fit; quote a value that has ': ' in it",
    ),
    (
        r"unknown escape character",
        "an unknown escape in double quotes; write \\\\ for a backslash, or use single quotes",
    ),
    (r"quoted scalar", "this quote is never closed"),
    (r"expected ',' or '\]'", "a list that was opened with [ is not closed here; expected , or ]"),
    (r"expected ',' or '\}'", "a mapping that was opened with { is not closed here; expected , or }"),
    (r"directive|<document start>", "a value can't begin with %; quote it"),
    (r"could not find expected ':'", "a key without ': ' after it; expected key: value"),
    (
        r"sequence entries are not allowed",
        "a list can't begin on the line of its key; begin it on the next line, or use [ ]",
    ),
    (r"mapping keys are not allowed", "a value can't begin with '? '; quote it"),
    (r"comment or line break|chomping or indentation", "nothing may follow | or > on its line"),
    (r"node content", "a value is missing here, or begins with a sign that YAML uses; quote it"),
    (r"expected <block end>|did not find expected (key|'-' indicator)", "the indentation does not fit the lines above"),
)


def _syntax_problem(exc: yaml.MarkedYAMLError, text: str) -> Problem:
    """The parser's complaint in words that say what to do."""
    said = f"{exc.context or ''} {exc.problem or ''}"
    mark = exc.problem_mark or exc.context_mark
    if "quoted scalar" in said and "escape" not in said:
        mark = exc.context_mark or mark  # where the quote was opened
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    message = next((says for form, says in _SYNTAX if re.search(form, said)), exc.problem or "not YAML")
    char = (text.split("\n")[line - 1 : line] or [""])[0][column - 1 : column]
    if "cannot start any token" in said:
        message = _SYNTAX[0][1] if char == "\t" else f"a value can't begin with {char}; quote it"
    elif char == ":" and "block" in said:
        message = "a key is missing before the colon"
    return Problem(line, column, "", message)
