from __future__ import annotations

import pytest

from monitoring import headers

pytestmark = pytest.mark.django_db


def directives(policy: str) -> dict[str, str]:
    return dict(part.split(" ", 1) for part in policy.split("; "))


@pytest.mark.parametrize(
    ("address", "policy", "framed"),
    [
        ("/", headers.PUBLIC, "SAMEORIGIN"),
        ("/healthz", headers.OURS, "DENY"),
        ("/dashboard/", headers.OURS, "DENY"),
        ("/admin/login/", headers.ADMINS, "DENY"),
        ("/nowhere", headers.OURS, "DENY"),
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(client, address, policy, framed):
    answer = client.get(address)
    assert answer.headers["Content-Security-Policy"] == policy
    assert answer.headers["X-Frame-Options"] == framed
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "geolocation=()" in answer.headers["Permissions-Policy"]


def test_nothing_inline_runs_outside_the_admin():
    for policy in (headers.OURS, headers.PUBLIC):
        assert "unsafe" not in policy
        assert directives(policy)["default-src"] == "'none'"
        assert directives(policy)["base-uri"] == "'none'"


def test_the_admin_runs_no_inline_script_either():
    assert directives(headers.ADMINS)["script-src"] == "'self' 'unsafe-eval'"
    assert directives(headers.ADMINS)["frame-ancestors"] == "'none'"
