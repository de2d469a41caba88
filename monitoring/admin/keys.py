"""Keys of jobs and of programs: made and deleted here, never changed. The text of one is shown once, when it is made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from sqlalchemy.exc import SQLAlchemyError
from unfold.admin import ModelAdmin
from unfold.views import ChangeList as UnfoldChangeList

from checks import clock
from checks.environment import EnvironmentProblem
from checks.store.engine import StoreProblem, reading
from checks.store.ping_codes import key_uses
from monitoring import ping_keys, publish
from monitoring.models import ApiKey, PingKey
from monitoring.models.access import digest_of, random_key
from monitoring.operator.recipes import CURL


class KeyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """What both sorts of keys have in common."""

    search_fields = ("name",)
    # How a program uses the key, with the key in place of `{}`.
    usage = ""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A key is made and deleted; what it may do is what it was made for."""
        del request, obj
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep what the new key hashes to; its text goes into this answer only."""
        del request, form, change
        obj.text = random_key()
        obj.digest, obj.created_at = digest_of(obj.text), clock.utcnow()
        obj.save()
        self.was_changed()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """From now on it opens nothing."""
        super().delete_model(request, obj)
        self.was_changed()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """The same for several."""
        super().delete_queryset(request, queryset)
        self.was_changed()

    def was_changed(self) -> None:
        """Tell whoever else keeps these keys."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The key itself, this once: a redirect would have to carry it."""
        del post_url_continue
        context = {
            **self.admin_site.each_context(request),
            "title": f"The key {obj.name}",
            "opts": self.model._meta,
            "original": obj,
            "text": obj.text,
            "usage": self.usage.format(settings.BASE_URL, obj.text),
        }
        return TemplateResponse(request, "admin/monitoring/key_made.html", context)


class PingKeyChangeList(UnfoldChangeList):  # type: ignore[misc]  # unfold ships no types
    """The list with when each key was used last, asked once."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows of this page; without their use where the store can't be asked."""
        super().get_results(request)
        try:
            with reading(publish.store_engine()) as conn:
                uses = key_uses(conn)
        except (SQLAlchemyError, StoreProblem, EnvironmentProblem):
            uses = {}
        for key in self.result_list:
            key.used_at = uses.get(bytes.fromhex(key.digest))


@admin.register(PingKey)
class PingKeyAdmin(KeyAdmin):
    """Keys with which jobs ping monitors by their slugs."""

    list_display = ("name", "creates", "created_at", "last_used")
    fields = ("name", "creates")
    usage = CURL + " {}/ping/{}/your-slug"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that knows when they were used."""
        del request, kwargs
        return PingKeyChangeList

    @admin.display(description="Last used", empty_value="never")
    def last_used(self, key: Any) -> datetime | None:
        """By what the store says, to about a minute."""
        used_at: datetime | None = key.used_at
        return used_at

    def was_changed(self) -> None:
        """The store judges pings by these keys."""
        transaction.on_commit(ping_keys.tell_store)


@admin.register(ApiKey)
class ApiKeyAdmin(KeyAdmin):
    """Keys with which programs use the API."""

    list_display = ("name", "role", "created_at", "last_used")
    fields = ("name", "role")
    usage = "curl --fail --header 'X-Api-Key: {1}' {0}/api/v3/checks/"

    @admin.display(description="Last used", empty_value="never", ordering="last_used_at")
    def last_used(self, key: ApiKey) -> datetime | None:
        """To about a minute."""
        return key.last_used_at
