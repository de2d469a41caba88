from __future__ import annotations

import re

import pytest

from monitoring.markdown import LONGEST, render

TAGS = "p br h1 h2 h3 h4 ul ol li a strong em code pre blockquote hr table thead tbody tr th td s del"


def test_headings_lists_tables_and_code_are_rendered():
    html = render(
        "# Cause\n\n1. *one*\n2. **two**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx < y\n```\n\n> so\n\n~~not~~"
    )

    for part in (
        "<h1>Cause</h1>",
        "<em>one</em>",
        "<strong>two</strong>",
        "<td>1</td>",
        "x &lt; y",
        "<blockquote>",
        "<s>",
    ):
        assert part in html


def test_links_say_that_they_lead_to_strangers():
    assert render("[a](https://example.org)") == (
        '<p><a href="https://example.org" rel="nofollow noopener noreferrer">a</a></p>\n'
    )


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![pixel](https://tracker.example/p.png)",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "[a](&#106;avascript:alert(1))",
        "<javascript:alert(1)>",
        '[a](https://x "\\" onmouseover=alert(1) x=\\"")',
        "<iframe src=//evil.example></iframe>",
        "<svg/onload=alert(1)>",
        "<style>body{display:none}</style>",
        "<a href='https://x' style='position:fixed'>x</a>",
        "<!-- --><b onclick=alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        "```<script>\n</code></pre><script>alert(1)</script>\n```",
        "`</code><script>alert(1)</script>`",
        "| <script>alert(1)</script> |\n|---|",
        "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
        "\u2028<script>alert(1)</script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
def test_nothing_in_markdown_can_run_load_or_style(markdown: str):
    html = render(markdown)
    tags = re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html)
    attributes = re.findall(r"<[^>]*?\s([a-zA-Z-]+)=\"", html)

    assert set(tags) <= set(TAGS.split())
    assert set(attributes) <= {"href", "title", "rel"}
    assert not re.search(r'href="(?!https?:|mailto:|[/#])', html)


def test_a_text_beyond_the_limit_is_cut():
    assert len(render("a" * (LONGEST + 1000))) <= LONGEST + len("<p></p>\n")
