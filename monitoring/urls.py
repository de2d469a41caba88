"""Every address of the project. Who may see it stands in `monitoring.access.TABLE`, by the names given here."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from monitoring import health
from monitoring.api import figures, objectives
from monitoring.api.door import with_key
from monitoring.api.healthchecks.urls import urlpatterns as healthchecks
from monitoring.exports import views as exports
from monitoring.operator import report_views as reports
from monitoring.operator import views as operator
from monitoring.status import views as status

admin.autodiscover()

urlpatterns = [
    path("", status.page, name="status"),
    path("status/<slug:slug>/", status.page, name="status_page"),
    path("incidents/<uuid:uuid>/", status.incident, name="public_incident"),
    path("dashboard/", operator.dashboard, name="dashboard"),
    path("dashboard/monitors/<slug:slug>/", operator.monitor, name="monitor"),
    path("dashboard/monitors/<slug:slug>/status/", operator.set_status, name="set_status"),
    path("dashboard/monitors/<slug:slug>/ping-url/", operator.rotate_ping_url, name="rotate_ping_url"),
    path("dashboard/monitors/<slug:slug>/intervals/", reports.intervals, name="intervals"),
    path("dashboard/monitors/<slug:slug>/<str:what>.<str:form>", exports.of_monitor, name="export"),
    path("dashboard/report/", reports.report, name="report"),
    path("dashboard/report.<str:form>", exports.of_month, name="export_report"),
    path("dashboard/objectives/", reports.objectives, name="objectives"),
    path("dashboard/objectives/<uuid:uuid>/", reports.objective, name="objective"),
    path("dashboard/unknown-pings/", operator.unknown_pings, name="unknown_pings"),
    path("dashboard/incidents/<uuid:uuid>/", operator.incident, name="incident"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    *healthchecks,
    path("api/v1/figures", figures.of_all, name="api_figures"),
    path("api/v1/monitors/<slug:slug>/figures", figures.of_monitor, name="api_monitor_figures"),
    path("api/v1/monitors/<slug:slug>/series", figures.series, name="api_monitor_series"),
    path("api/v1/objectives", objectives.of_all, name="api_objectives"),
    path("api/v1/report.<str:form>", with_key(exports.of_month), name="api_report"),
    path("api/v1/monitors/<slug:slug>/<str:what>.<str:form>", with_key(exports.of_monitor), name="api_export"),
    path("admin/", admin.site.urls),
]
