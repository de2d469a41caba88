"""Monitors: choose a kind, then its options; pause, resume, and probe now."""

from __future__ import annotations

from typing import Any

import yaml
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from sqlalchemy.exc import SQLAlchemyError
from unfold.views import ChangeList as UnfoldChangeList

from checks import clock
from checks.environment import EnvironmentProblem
from checks.evidence import hidden
from checks.options import sentence_of
from checks.probes import KINDS, spec_class
from checks.spec_secrets import redact
from checks.store import reader
from checks.store.engine import StoreProblem, reading
from monitoring import publish
from monitoring.admin.monitor_form import MonitorForm, fieldsets_of, form_of, held_secrets
from monitoring.admin.owned import OwnedAdmin
from monitoring.models import Monitor, Owner


class MonitorChangeList(UnfoldChangeList):  # type: ignore[misc]  # unfold ships no types
    """The list with what the store says of each monitor, asked once."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows of this page; without status where the store can't be asked."""
        super().get_results(request)
        try:
            with reading(publish.store_engine()) as conn:
                views = {view.uuid: view for view in reader.overview(conn, clock.utcnow())}
        except (SQLAlchemyError, StoreProblem, EnvironmentProblem):
            views = {}
        for monitor in self.result_list:
            monitor.seen = views.get(monitor.uuid)


@admin.register(Monitor)
class MonitorAdmin(OwnedAdmin):
    """Every change goes through `monitoring.publish`."""

    list_display = ("name", "kind", "status", "tags", "owner", "is_watched")
    list_filter = ("kind", "owner", "paused", ("retired_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "slug")
    buttons = (
        ("probe", "probe", "Probe now"),
        ("pause", "pause", "Pause"),
        ("resume", "resume", "Resume"),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that knows statuses."""
        del request, kwargs
        return MonitorChangeList

    @admin.display(description="Status")
    def status(self, monitor: Any) -> str:
        """What the store says."""
        seen = getattr(monitor, "seen", None)
        return str(seen.status) if seen is not None else "retired" if monitor.retired_at else "not published yet"

    @admin.display(description="Tags")
    def tags(self, monitor: Monitor) -> str:
        """The words by which rules choose it."""
        return ", ".join(monitor.spec.get("tags", ()))

    @admin.display(description="Watched", boolean=True)
    def is_watched(self, monitor: Monitor) -> bool:
        """Whether it is neither paused nor retired."""
        return not monitor.paused and monitor.retired_at is None

    def view_on_site(self, obj: Monitor) -> str:
        """Its page on the dashboard."""
        return reverse("monitor", args=[obj.slug])

    # The form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The kinds to choose from, then the form of the chosen one."""
        if request.GET.get("kind") in KINDS or not self.has_add_permission(request):
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
            return answer
        kinds = [(name, sentence_of(spec_class(name), "kind"), kind.missing()) for name, kind in KINDS.items()]
        context = {
            **self.admin_site.each_context(request),
            "title": "Add monitor",
            "opts": self.model._meta,
            "kinds": kinds,
        }
        return TemplateResponse(request, "admin/monitoring/monitor/choose_kind.html", context)

    def get_form(
        self,
        request: HttpRequest,
        obj: Monitor | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> type[MonitorForm]:
        """The form of the monitor's kind."""
        del change, kwargs
        return form_of(obj.kind, held_secrets(obj)) if obj is not None else form_of(request.GET["kind"])

    def get_fieldsets(self, request: HttpRequest, obj: Monitor | None = None) -> Any:
        """The options in groups; as the file would say them where they can't be changed here."""
        shown: list[tuple[str, dict[str, Any]]]
        if obj is not None and not self.has_change_permission(request, obj):
            shown = [("Options", {"fields": ("configuration",)})]
        else:
            shown = fieldsets_of(self.get_form(request, obj))
        if obj is not None and spec_class(obj.kind).source == "pinged":
            shown.append(("Where the job reports", {"fields": ("ping_url",)}))
        return shown

    def get_readonly_fields(self, request: HttpRequest, obj: Monitor | None = None) -> Any:
        """What is shown and never typed."""
        del request, obj
        return ("configuration", "ping_url")

    @admin.display(description="Configuration")
    def configuration(self, monitor: Monitor) -> SafeString:
        """The options as the file says them, secrets as dots."""
        shown = redact(spec_class(monitor.kind), monitor.spec)
        return format_html("<pre>{}</pre>", hidden(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)))

    @admin.display(description="Ping URL")
    def ping_url(self, monitor: Monitor) -> SafeString:
        """What the job asks when it is done."""
        return format_html("<code>{}/ping/{}</code>", settings.BASE_URL, monitor.ping_code)

    # What is saved

    def save_model(self, request: HttpRequest, obj: Monitor, form: Any, change: bool) -> None:
        """Write and publish."""
        del request
        publish.change(obj, spec=form.spec, owner=None if change else Owner.UI)

    def delete_model(self, request: HttpRequest, obj: Monitor) -> None:
        """Delete here, and leave a tombstone in the store."""
        del request
        publish.delete(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Monitor]) -> None:
        """Each with its tombstone, save those of the file."""
        for monitor in queryset.exclude(owner=Owner.FILE):
            self.delete_model(request, monitor)

    # The buttons

    def shown_buttons(self, request: HttpRequest, obj: Monitor) -> list[str]:
        """What a retired monitor can't do is not offered."""
        del request
        if obj.retired_at is not None:
            return []
        return [*(["probe"] if KINDS[obj.kind].probe else []), "resume" if obj.paused else "pause"]

    def pause(self, request: HttpRequest, monitor: Monitor) -> None:
        """Stop watching. Pausing is no option: it is also for those that the file owns."""
        publish.change(monitor, paused=True)
        self.say(request, f"{monitor.name} is paused: it is not watched, and nobody is told.")

    def resume(self, request: HttpRequest, monitor: Monitor) -> None:
        """Watch again."""
        publish.change(monitor, paused=False)
        self.say(request, f"{monitor.name} is watched again.")

    def probe(self, request: HttpRequest, monitor: Monitor) -> HttpResponse:
        """One probe from this process, shown and not recorded."""
        from monitoring.admin.probing import probe_now  # the machinery of probes, which only this page needs

        context = {
            **self.admin_site.each_context(request),
            "title": f"One probe of {monitor.name}",
            "opts": self.model._meta,
            "original": monitor,
            "probed": probe_now(publish.spec_of(monitor)),
        }
        return TemplateResponse(request, "admin/monitoring/monitor/probe.html", context)
