"""Markdown of people, made into HTML that can't run anything: no raw HTML, no images, an allow-list of tags."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import nh3

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST = 50_000  # characters

_TAGS = frozenset(
    [
        "p",
        "br",
        "h1",
        "h2",
        "h3",
        "h4",
        "ul",
        "ol",
        "li",
        "a",
        "strong",
        "em",
        "code",
        "pre",
        "blockquote",
        "hr",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "del",
        "s",
    ],
)


@cache
def _parser() -> MarkdownIt:
    """Loaded when first needed: most processes render no Markdown."""
    from markdown_it import MarkdownIt

    return MarkdownIt("js-default")  # html off; tables and strikethrough on


def render(markdown: str) -> str:
    """Safe HTML of at most the first 50,000 characters. Links open as strangers: `nofollow noopener noreferrer`."""
    return nh3.clean(
        _parser().render(markdown[:LONGEST]),
        tags=set(_TAGS),
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
        strip_comments=True,
    )
