"""What the configuration file owns is read-only here, and says so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.contrib.messages.storage import default_storage
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin

from monitoring.models import Owner

FROM_FILE = "This is kept in the configuration file: edit it there and apply it. Here it is read-only."


def owned_by_file(obj: Any) -> bool:
    """Whether the configuration file owns it."""
    return getattr(obj, "owner", None) == Owner.FILE


class PageAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """An admin with buttons on an object's page: each is a POST to an address of its own.

    Unfold's own actions are links, which a crawler or a prefetch would follow.
    """

    change_form_outer_before_template = "admin/buttons.html"
    # (the word in the address, the method, what the button says)
    buttons: tuple[tuple[str, str, str], ...] = ()

    def get_urls(self) -> list[URLPattern]:
        """The addresses of the buttons before those of the object."""
        options = self.model._meta
        own = [
            path(
                f"<path:object_id>/{word}/",
                self.admin_site.admin_view(self._posted(method)),
                name=f"{options.app_label}_{options.model_name}_{word}",
            )
            for word, method, _ in self.buttons
        ]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    def _posted(self, method: str) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            obj = self.get_object(request, object_id)
            if obj is None:
                redirect: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.model._meta, object_id)
                return redirect
            self.check_may_act(request)
            answer: HttpResponse | None = getattr(self, method)(request, obj)
            return answer or self.to_object(obj)

        return view

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The object; what is about to be saved is locked, because a form writes every column back.

        A notifier may end an incident, or a file be applied, between the reading and the saving.
        """
        if request.method == "POST" and connection.in_atomic_block:
            rows = self.get_queryset(request).select_related(None).select_for_update(no_key=True)
            with suppress(ValidationError, ValueError):  # an address that names nothing
                list(rows.filter(**{from_field or "pk": object_id}).values_list("pk"))
        return super().get_object(request, object_id, from_field)

    def check_may_act(self, request: HttpRequest) -> None:
        """Raise PermissionDenied where this person may not use the buttons."""
        options = self.model._meta
        if not request.user.has_perm(f"{options.app_label}.change_{options.model_name}"):
            raise PermissionDenied(f"your account may not change {options.verbose_name_plural}")

    def to_object(self, obj: Model) -> HttpResponseRedirect:
        """Back to the object's page."""
        options = self.model._meta
        return HttpResponseRedirect(reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[obj.pk]))

    def shown_buttons(self, request: HttpRequest, obj: Any) -> list[str]:
        """The words of the buttons that make sense now."""
        del request, obj
        return [word for word, _, _ in self.buttons]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The object's page with its buttons, and a sentence where the file owns it."""
        obj = self.get_object(request, object_id)
        options = self.model._meta
        shown = self.shown_buttons(request, obj) if obj is not None else []
        context = {
            "buttons": [
                (reverse(f"admin:{options.app_label}_{options.model_name}_{word}", args=[obj.pk]), label)
                for word, _, label in self.buttons
                if obj is not None and word in shown
            ],
            "notice": self.notice_for(obj),
        }
        answer: HttpResponse = super().change_view(request, object_id, form_url, context | (extra_context or {}))
        return answer

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form, taken once more where somebody else saved the same while it was judged: it says then what is wrong."""
        answer: HttpResponse
        try:
            answer = super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            # What the first attempt has to say, that all was saved, is not so. Django has no other way to take it back.
            request._messages = default_storage(request)  # type: ignore[attr-defined]  # noqa: SLF001
            answer = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    def notice_for(self, obj: Any) -> str:
        """What stands above the form: who owns it."""
        return FROM_FILE if owned_by_file(obj) else ""

    def say(self, request: HttpRequest, sentence: str, level: int = messages.SUCCESS) -> None:
        """Show the sentence on the next page."""
        self.message_user(request, sentence, level)


class OwnedAdmin(PageAdmin):
    """An admin of objects that have an owner."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not what the file owns."""
        return not owned_by_file(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not what the file owns: it would come back with the next apply."""
        return not owned_by_file(obj) and bool(super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """What is made here is owned here."""
        if not change:
            obj.owner = Owner.UI
        super().save_model(request, obj, form, change)
