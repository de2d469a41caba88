"""Incidents: what happened, what is told about it, and the post-mortem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import StackedInline, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from checks import clock
from checks.units import spoken_duration
from monitoring import post_mortems
from monitoring.admin.owned import PageAdmin
from monitoring.markdown import render
from monitoring.models import Incident, IncidentUpdate, PostMortem

if TYPE_CHECKING:
    UpdateModelForm = forms.ModelForm[IncidentUpdate]
    PostMortemModelForm = forms.ModelForm[PostMortem]
else:
    UpdateModelForm = PostMortemModelForm = forms.ModelForm


class UpdateForm(UpdateModelForm):
    """One line of a person's; its time is that of its writing."""

    class Meta:
        model = IncidentUpdate
        fields = ("text", "public")
        widgets = {"text": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def save(self, commit: bool = True) -> IncidentUpdate:
        """The line with its time."""
        if self.instance.at is None:
            self.instance.at, self.instance.kind = clock.utcnow(), IncidentUpdate.Kind.UPDATE
        return super().save(commit=commit)


class UpdateInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    """What people wrote; what Stillup noted stands in the timeline, and can't be changed."""

    model = IncidentUpdate
    form = UpdateForm
    fields = ("text", "public")
    extra = 1
    verbose_name_plural = "updates (public ones stand on the incident's page)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[IncidentUpdate]:
        """Only those of people."""
        updates: QuerySet[IncidentUpdate] = super().get_queryset(request)
        return updates.filter(kind=IncidentUpdate.Kind.UPDATE)


class PostMortemForm(PostMortemModelForm):
    """Markdown."""

    class Meta:
        model = PostMortem
        fields = ("markdown",)
        widgets = {"markdown": UnfoldAdminTextareaWidget(attrs={"rows": 18})}

    def clean_markdown(self) -> str:
        """The text, where there is none yet."""
        if self.instance.pk is None and PostMortem.objects.filter(incident=self.instance.incident_id).exists():
            raise forms.ValidationError(
                "Somebody else has begun this post-mortem meanwhile. Open it in another tab, and put the two together."
            )
        return str(self.cleaned_data["markdown"])

    def save(self, commit: bool = True) -> PostMortem:
        """The text alone: whether it is published is decided by a button, maybe in this very moment."""
        locked = PostMortem.objects.select_for_update().filter(pk=self.instance.pk)
        self.instance.published_at = locked.values_list("published_at", flat=True).first()
        return super().save(commit=commit)


class PostMortemInline(StackedInline):  # type: ignore[misc]  # as above
    """One an incident."""

    model = PostMortem
    form = PostMortemForm
    fields = ("markdown", "published")
    readonly_fields = ("published",)
    extra = 1
    max_num = 1

    @admin.display(description="Published")
    def published(self, post_mortem: PostMortem) -> str:
        """Since when the public sees it."""
        if post_mortem.published_at is None:
            return "not yet: save it, then use the button above"
        return f"{post_mortem.published_at:%Y-%m-%d %H:%M} UTC"


@admin.register(Incident)
class IncidentAdmin(PageAdmin):
    """Incidents open and end by themselves; people explain them."""

    list_display = ("what", "cause", "opened_at", "lasted", "resolution", "has_post_mortem")
    list_filter = ("cause", ("resolved_at", admin.EmptyFieldListFilter))
    search_fields = ("monitor_name", "summary")
    date_hierarchy = "opened_at"
    fields = ("what", "cause", "summary", "opened_at", "detected_at", "resolved_at", "resolution", "timeline")
    readonly_fields = fields
    inlines = (UpdateInline, PostMortemInline)
    change_form_after_template = "admin/monitoring/incident/preview_button.html"
    buttons = (
        ("publish", "publish", "Publish the post-mortem"),
        ("withdraw", "withdraw", "Take the post-mortem off the public page"),
        ("preview", "preview", ""),  # its button stands in the form, whose text it needs
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        """With their post-mortems."""
        incidents: QuerySet[Incident] = super().get_queryset(request).select_related("post_mortem")
        return incidents

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody opens one by hand."""
        del request
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Incident | None = None) -> bool:
        """History is not deleted."""
        del request, obj
        return False

    def view_on_site(self, obj: Incident) -> str:
        """Its page on the dashboard."""
        return reverse("incident", args=[obj.pk])

    @admin.display(description="What", ordering="monitor_name")
    def what(self, incident: Incident) -> str:
        """The monitor's name, or ours."""
        return incident.monitor_name or "Stillup itself"

    @admin.display(description="Lasted")
    def lasted(self, incident: Incident) -> str:
        """From the first failure to its end, or until now."""
        until = incident.resolved_at or clock.utcnow()
        spoken = spoken_duration(max(0.0, (until - incident.opened_at).total_seconds()))
        return spoken if incident.resolved_at else f"{spoken} so far"

    @admin.display(description="Post-mortem")
    def has_post_mortem(self, incident: Incident) -> str:
        """How far it is."""
        post_mortem = getattr(incident, "post_mortem", None)
        return "" if post_mortem is None else "published" if post_mortem.published_at else "draft"

    @admin.display(description="Timeline")
    def timeline(self, incident: Incident) -> SafeString:
        """Everything that was noted, in its order."""
        lines = format_html_join(
            "", "<li>{} UTC: {}</li>", ((f"{u.at:%Y-%m-%d %H:%M:%S}", u.text) for u in incident.updates.all())
        )
        return format_html("<ul>{}</ul>", lines)

    def shown_buttons(self, request: HttpRequest, obj: Incident) -> list[str]:
        """Publish or take back, where there is something to publish."""
        del request
        post_mortem = getattr(obj, "post_mortem", None)
        if post_mortem is None:
            return []
        return ["withdraw" if post_mortem.published_at else "publish"]

    def publish(self, request: HttpRequest, incident: Incident) -> None:
        """Put it on the public page."""
        try:
            post_mortems.publish(incident, clock.utcnow())
        except post_mortems.PostMortemProblem as exc:
            self.say(request, f"Not published: {exc}.", messages.ERROR)
            return
        self.say(request, "The post-mortem stands on the incident's public page.")

    def withdraw(self, request: HttpRequest, incident: Incident) -> None:
        """Take it off the public page."""
        post_mortems.withdraw(incident)
        self.say(request, "The post-mortem is not public any more; its text is kept.")

    def preview(self, request: HttpRequest, incident: Incident) -> HttpResponse:
        """The text in the form as the public would see it; nothing is saved."""
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": f"Preview: {incident}",
            "opts": self.model._meta,
            "html": mark_safe(render(request.POST.get("post_mortem-0-markdown", ""))),  # noqa: S308 - cleaned by render
        }
        return TemplateResponse(request, "admin/monitoring/incident/preview.html", context)
