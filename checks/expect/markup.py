"""XML and HTML from a target, and XPath on it, within bounds: no entity, no network, and no path that can be slow.

libxml2 is quick, but some of what XPath can say takes the square of a document's size, and a hostile target decides on
the size. So a path goes down from the root by at most one `//`, and a predicate looks only at what is right below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checks.expect.jsonpath import BadPath

if TYPE_CHECKING:
    from lxml import etree

MAX_MARKUP = 1024 * 1024  # bytes
MAX_TAGS = 40_000
MAX_ATTRIBUTES = 200  # of an element of HTML; libxml2 takes the square of their number to build it
MAX_PATH = 500  # characters
MAX_NODES = 10_000  # that a path selects

_NONE = ("", "", 0)
_WORDS = re.compile(
    r"""(?P<text>"[^"]*"|'[^']*')|(?P<number>[0-9.]*[0-9])|(?P<name>[^\W\d][\w.-]*)|(?P<sign>[!<>]=|::|//|\.\.|\S)"""
)
_TAKEN_FOR_EMPTY = ("sum", "string", "normalize-space", "string-length")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_DESCENTS = ("//", "descendant", "descendant-or-self")
_AXES = ("child", "attribute", "self", *_DESCENTS[1:])
_OPERATORS = (*_COMPARISONS, "[", "(", ",", "and", "or", "div", "mod", "+", "-", "*")  # a path after one begins at "/"


def _lxml() -> Any:
    """Lxml's etree: 4 MB in each process, which only those need that come across an XPath."""
    from lxml import etree  # noqa: PLC0415

    return etree


class NotMarkup(ValueError):
    """The bytes are no XML or HTML, or some beyond what is sensible."""


@dataclass(frozen=True, slots=True)
class Query:
    """An XPath, and what has to be there for it to say anything: `sum(//queue)` of no queue is no zero."""

    path: etree.XPath
    needed: tuple[etree.XPath, ...]


def compile_xpath(path: str) -> Query:
    """The query. Raises BadPath with the index of the mistake."""
    etree = _lxml()
    if len(path) > MAX_PATH:
        raise BadPath(f"an XPath of {len(path)} characters; at most {MAX_PATH} are allowed")
    _refuse_slow(path)
    try:
        query = etree.XPath(path, smart_strings=False, regexp=False)
        query(etree.Element("root"))  # an unknown function or prefix is told only when it is used
        needed = tuple(etree.XPath(f"boolean({argument})", regexp=False) for argument in _taken_for_empty(path))
    except etree.XPathError as exc:
        raise BadPath(f"not an XPath: {str(exc)[:100].lower()}") from exc
    return Query(query, needed)


def _taken_for_empty(path: str) -> Iterator[str]:
    """The arguments of functions to which nothing is zero or an empty text; not those inside predicates."""
    begun: list[tuple[str, int]] = []  # the brackets that are open: what stands before each, and where it begins
    before = ""
    for match in _WORDS.finditer(path):
        word = match[0]
        if word in ("(", "["):
            begun.append((before if word == "(" else word, match.end()))
        elif word in (")", "]") and begun:
            function, start = begun.pop()
            argument = path[start : match.start()].strip()
            if function in _TAKEN_FOR_EMPTY and argument and all(outer != "[" for outer, _ in begun):
                yield argument
        before = word


def _refuse_slow(path: str) -> None:
    """Raise BadPath for what a document can make slow."""
    words = [(match.lastgroup, match[0], match.start()) for match in _WORDS.finditer(path)]
    depth = descents = 0
    for before, (kind, word, at), after in zip([_NONE, *words], words, [*words[1:], _NONE], strict=False):
        if kind not in ("name", "sign"):
            continue
        depth += (word == "[") - (word == "]")
        is_axis = after[1] == "::"
        if is_axis and word not in _AXES:
            raise BadPath(f"the axis {word} can be slow; allowed: {', '.join(_AXES)}", at)
        if word in ("..", "|", "$"):
            raise BadPath(f"{word} can't be used in an XPath here", at)
        is_descent = word == "//" or (is_axis and word in _DESCENTS)
        descents += is_descent
        if is_descent and (depth or descents > 1):
            raise BadPath("// may stand in an XPath once, and in no predicate", at)
        if depth and word == "/" and before[1] in _OPERATORS:
            raise BadPath("a predicate looks at what is below its own element, and not from the root", at)
        if depth and word in _COMPARISONS and not {"text", "number"} & {before[0], after[0]}:
            raise BadPath(f'{word} in a predicate compares with a text or a number, as in [@id = "main"]', at)


class Document:
    """One body as XML and as HTML, each read once, when it is first asked for."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._read: dict[str, Any] = {}

    def select(self, query: Query, language: str) -> list[str]:
        """The texts of what a query selects: the first of them where it gives one value. Raises NotMarkup."""
        etree = _lxml()
        if language not in self._read:
            try:
                self._read[language] = _parse(self._body, language)
            except NotMarkup as exc:
                self._read[language] = exc
        root = self._read[language]
        if isinstance(root, NotMarkup):
            raise root
        try:
            found = query.path(root) if all(needed(root) for needed in query.needed) else []
        except etree.XPathError as exc:
            raise NotMarkup(f"the path can't be followed in it: {str(exc)[:100].lower()}") from exc
        return _texts(found)


def _texts(found: Any) -> list[str]:
    if not isinstance(found, list):
        return [_text(found)]
    if len(found) > MAX_NODES:
        raise NotMarkup(f"the path selects more than {MAX_NODES:,} nodes")
    texts, size = [], 0
    for node in found:
        texts.append(_text(node))
        size += len(texts[-1])
        if size > 2 * MAX_MARKUP:
            raise NotMarkup("the path selects too much text")
    return texts


def _text(value: Any) -> str:
    etree = _lxml()
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else str(value)
        case str():
            return value.strip()
        case etree._Element():  # noqa: SLF001 - the only name that elements have
            return "".join(value.itertext()).strip()
        case _:  # a pair of a namespace
            return str(value[1])


def _parse(body: bytes, language: str) -> Any:
    etree = _lxml()
    if len(body) > MAX_MARKUP:
        raise NotMarkup("it is over 1 MiB")
    if body.count(b"<") > MAX_TAGS:
        raise NotMarkup(f"it has more than {MAX_TAGS:,} tags")
    options: dict[str, Any] = {"no_network": True, "huge_tree": False, "remove_comments": True, "remove_pis": True}
    try:
        body.decode()
        options["encoding"] = "utf-8"  # whatever it says of itself: it has been read by its Content-Type
    except UnicodeDecodeError:
        pass
    try:
        if language == "html":
            root = etree.fromstring(body, etree.HTMLParser(target=_Builder(), **options))
        else:
            parser = etree.XMLParser(resolve_entities=False, load_dtd=False, attribute_defaults=False, **options)
            root = _without_namespaces(etree.fromstring(body, parser))
    except (etree.LxmlError, ValueError, AssertionError, LookupError) as exc:
        words = str(exc).partition(" (<string>")[0].partition(", use XML_PARSE_HUGE")[0]
        raise NotMarkup(f"it can't be read: {words[:150].lower()}") from exc
    if root is None:
        raise NotMarkup("it is empty")
    return root


class _Builder:
    """Builds the tree of a page, of each element at most so many attributes."""

    def __init__(self) -> None:
        etree = _lxml()
        self._builder = etree.TreeBuilder()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag was opened."""
        self._builder.start(tag, attributes if len(attributes) <= MAX_ATTRIBUTES else {})

    def end(self, tag: str) -> None:
        """A tag was closed."""
        self._builder.end(tag)

    def data(self, text: str) -> None:
        """Text between tags."""
        self._builder.data(text)

    def close(self) -> Any:
        """The root."""
        return self._builder.close()


def _without_namespaces(root: Any) -> Any:
    """The same tree; its names as they stand in the document, without what their prefixes are for."""
    etree = _lxml()
    for element in root.iter(etree.Element):
        if "}" in element.tag:
            element.tag = element.tag.rpartition("}")[2]
    return root
