"""Status pages: groups and components, in the order in which the public sees them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import TabularInline

from monitoring.admin.owned import FROM_FILE, OwnedAdmin, PageAdmin, owned_by_file
from monitoring.models import Component, ComponentGroup, StatusPage


class OwnedInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    """Rows of an object that has an owner: no empty one is offered where none can be saved."""

    extra = 1

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """One to fill in, or none."""
        del request, kwargs
        return 0 if owned_by_file(getattr(obj, "page", obj)) else self.extra


class GroupInline(OwnedInline):
    """The headings of a page; each has its components on a page of its own."""

    model = ComponentGroup
    fields = ("name", "position")
    show_change_link = True


class ComponentInline(OwnedInline):
    """The monitors under a heading, under names of their own."""

    model = Component
    fields = ("monitor", "name", "description", "position")


@admin.register(StatusPage)
class StatusPageAdmin(OwnedAdmin):
    """Nothing is public until it is put on a page by hand."""

    list_display = ("title", "slug", "default", "owner")
    fields = ("title", "slug", "description", "default")
    prepopulated_fields = {"slug": ("title",)}
    inlines = (GroupInline,)

    def get_prepopulated_fields(self, request: HttpRequest, obj: StatusPage | None = None) -> dict[str, Any]:
        """None where nothing can be typed."""
        return {} if obj is not None and not self.has_change_permission(request, obj) else self.prepopulated_fields


@admin.register(ComponentGroup)
class ComponentGroupAdmin(PageAdmin):
    """One heading of a page with its components. The page's owner decides who may change it."""

    list_display = ("name", "page", "position")
    list_filter = ("page",)
    fields = ("page", "name", "position")
    inlines = (ComponentInline,)

    def has_change_permission(self, request: HttpRequest, obj: ComponentGroup | None = None) -> bool:
        """Not on a page that the file owns."""
        return not self._from_file(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: ComponentGroup | None = None) -> bool:
        """Not on a page that the file owns."""
        return not self._from_file(obj) and bool(super().has_delete_permission(request, obj))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Only pages that can be changed here."""
        if db_field.name == "page":
            kwargs["queryset"] = StatusPage.objects.exclude(owner="file")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def notice_for(self, obj: Any) -> str:
        """Who owns it."""
        return FROM_FILE if self._from_file(obj) else ""

    @staticmethod
    def _from_file(group: ComponentGroup | None) -> bool:
        return group is not None and owned_by_file(group.page)
