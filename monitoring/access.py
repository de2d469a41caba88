"""Who may see what: the one table of the project's URLs. What does not stand in it is denied.

Public answers are made without looking at cookies or the session, so that they can be cached by anybody; all others are
never stored by a browser or a proxy.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import ResolverMatch
from django.utils.cache import patch_cache_control

ADMIN = "admin"  # the namespace of every page of the admin


class Access(StrEnum):
    """Who may see a page."""

    PUBLIC = "public"  # everybody
    SIGNED_IN = "signed in"  # every user with a password here
    STAFF = "staff"  # those who may configure; the admin asks for its own permissions beside
    KEY = "key"  # programs with an API key: the view asks for it, and knows no sessions


# By the name of the URL pattern; `namespace:*` stands for all of a namespace that have no line of their own.
TABLE: dict[str, Access] = {
    "status": Access.PUBLIC,
    "status_page": Access.PUBLIC,
    "public_incident": Access.PUBLIC,
    "healthz": Access.PUBLIC,
    "readyz": Access.PUBLIC,
    "api_figures": Access.KEY,
    "api_monitor_figures": Access.KEY,
    "api_monitor_series": Access.KEY,
    "healthchecks_checks": Access.KEY,
    "healthchecks_check": Access.KEY,
    "healthchecks_pause": Access.KEY,
    "healthchecks_resume": Access.KEY,
    "healthchecks_pings": Access.KEY,
    "healthchecks_body": Access.KEY,
    "healthchecks_flips": Access.KEY,
    "healthchecks_channels": Access.KEY,
    "healthchecks_status": Access.PUBLIC,
    "dashboard": Access.SIGNED_IN,
    "monitor": Access.SIGNED_IN,
    "set_status": Access.STAFF,
    "rotate_ping_url": Access.STAFF,
    "unknown_pings": Access.STAFF,
    "incident": Access.SIGNED_IN,
    "intervals": Access.SIGNED_IN,
    "report": Access.SIGNED_IN,
    "objectives": Access.SIGNED_IN,
    "objective": Access.SIGNED_IN,
    "export": Access.SIGNED_IN,
    "export_report": Access.SIGNED_IN,
    "api_objectives": Access.KEY,
    "api_export": Access.KEY,
    "api_report": Access.KEY,
    "admin:login": Access.PUBLIC,
    "admin:logout": Access.SIGNED_IN,
    "admin:password_change": Access.SIGNED_IN,
    "admin:password_change_done": Access.SIGNED_IN,
    "admin:*": Access.STAFF,
}


def access_of(match: ResolverMatch) -> Access | None:
    """Who may see the page; None where the table does not say, which means nobody."""
    return of_name(match.view_name)


def of_name(name: str) -> Access | None:
    """The same by a pattern's name, its namespaces before it."""
    namespace, separator, _ = name.rpartition(":")
    return TABLE.get(name) or (TABLE.get(f"{namespace}:*") if separator else None)


class AccessMiddleware:
    """Denies what the table does not allow, before the view runs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The view's answer; one that is not public is kept by nobody."""
        response = self.get_response(request)
        match = request.resolver_match
        if match is None or access_of(match) is not Access.PUBLIC or match.namespaces:
            patch_cache_control(response, no_store=True)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        """None where this person may see the page; else the way to sign in, or 403."""
        del view, args, kwargs
        assert request.resolver_match is not None  # noqa: S101 - Django resolved it before it called us
        access = access_of(request.resolver_match)
        if access in (Access.PUBLIC, Access.KEY):
            return None
        if access is None:
            raise PermissionDenied("this page is not in the table of who may see what")
        if not request.user.is_authenticated:
            if request.method not in ("GET", "HEAD"):
                raise PermissionDenied("sign in first")
            return redirect_to_login(request.get_full_path())
        if access is Access.STAFF and not request.user.is_staff:
            raise PermissionDenied("your account may look at the dashboard, and not configure")
        return None
