"""The headers by which a browser keeps others out: what may be loaded, framed and told."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from monitoring.access import ADMIN

_OURS = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# The admin's Alpine evaluates the expressions in its attributes, and htmx and Chart.js set styles.
_ADMIN = {**_OURS, "script-src": "'self' 'unsafe-eval'", "style-src": "'self' 'unsafe-inline'"}
# A status page may stand in a frame of the same site.
_PUBLIC = {**_OURS, "frame-ancestors": "'self'"}
_FRAMED = frozenset({"status", "status_page", "public_incident"})


def _policy(parts: dict[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in parts.items())


OURS, ADMINS, PUBLIC = _policy(_OURS), _policy(_ADMIN), _policy(_PUBLIC)


class SecurityHeadersMiddleware:
    """Sets on every answer what no view has to remember. Nosniff, HSTS and opener are Django's SecurityMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer with its policy; one that a view set itself stays."""
        response = self.get_response(request)
        match = request.resolver_match
        framed = match is not None and match.view_name in _FRAMED
        admin = match is not None and ADMIN in match.namespaces
        policy = PUBLIC if framed else ADMINS if admin else OURS
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("X-Frame-Options", "SAMEORIGIN" if framed else "DENY")
        response.headers.setdefault("Permissions-Policy", "interest-cohort=(), geolocation=(), camera=()")
        return response
