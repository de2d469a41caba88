"""Markdown of people, made into HTML that can't run anything: no raw HTML, no images, an allow-list of tags."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

LONGEST = 50_000  # characters

_MARKDOWN = MarkdownIt("js-default")  # html off; tables and strikethrough on
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


def render(markdown: str) -> str:
    """Safe HTML of at most the first 50,000 characters. Links open as strangers: `nofollow noopener noreferrer`."""
    return nh3.clean(
        _MARKDOWN.render(markdown[:LONGEST]),
        tags=set(_TAGS),
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
        strip_comments=True,
    )
