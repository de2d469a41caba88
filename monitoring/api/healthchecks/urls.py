"""The addresses of the three versions, which differ in what they answer and not in what they are asked."""

from __future__ import annotations

from django.urls import URLPattern, path

from monitoring.api.healthchecks import views

VERSIONS = (1, 2, 3)


def _of(version: int) -> list[URLPattern]:
    base, which = f"api/v{version}/", {"version": version}
    return [
        path(f"{base}checks/", views.checks, which, name="healthchecks_checks"),
        path(f"{base}checks/<str:name>", views.check, which, name="healthchecks_check"),
        path(f"{base}checks/<str:name>/pause", views.pause, which, name="healthchecks_pause"),
        path(f"{base}checks/<str:name>/resume", views.resume, which, name="healthchecks_resume"),
        path(f"{base}checks/<str:name>/pings/", views.pings, which, name="healthchecks_pings"),
        path(f"{base}checks/<str:name>/pings/<int:number>/body", views.ping_body, which, name="healthchecks_body"),
        path(f"{base}checks/<str:name>/flips/", views.flips, which, name="healthchecks_flips"),
        path(f"{base}channels/", views.channels, which, name="healthchecks_channels"),
        path(f"{base}status/", views.status, which, name="healthchecks_status"),
    ]


urlpatterns = [pattern for version in VERSIONS for pattern in _of(version)]
