"""Every address of the project. Who may see it stands in `monitoring.access.TABLE`, by the names given here."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.http import HttpResponseBase
from django.urls import path
from django.utils.module_loading import import_string


def _view(dotted: str) -> Callable[..., HttpResponseBase]:
    """A view that is imported when it is first asked: commands then start without the screens."""

    def call(*args: object, **kwargs: object) -> HttpResponseBase:
        response: HttpResponseBase = import_string(f"monitoring.{dotted}")(*args, **kwargs)
        return response

    return call


urlpatterns = [
    path("", _view("status.views.page"), name="status"),
    path("status/<slug:slug>/", _view("status.views.page"), name="status_page"),
    path("incidents/<uuid:uuid>/", _view("status.views.incident"), name="public_incident"),
    path("dashboard/", _view("operator.views.dashboard"), name="dashboard"),
    path("dashboard/monitors/<slug:slug>/", _view("operator.views.monitor"), name="monitor"),
    path("dashboard/incidents/<uuid:uuid>/", _view("operator.views.incident"), name="incident"),
    path("healthz", _view("health.healthz"), name="healthz"),
    path("readyz", _view("health.readyz"), name="readyz"),
    path("admin/", admin.site.urls),
]
