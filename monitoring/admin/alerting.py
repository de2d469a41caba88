"""Channels and alert rules: when to tell, and whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from unfold import widgets

from checks.environment import EnvironmentProblem
from checks.probes import KINDS
from checks.units import format_duration, parse_duration
from monitoring import channels
from monitoring.admin.owned import OwnedAdmin, owned_by_file
from monitoring.models import AlertRule, AlertRuleChannel, Channel, Monitor
from monitoring.notifier.delivery import queue_test

SHORTEST_REMINDER = 60.0  # seconds

if TYPE_CHECKING:
    ChannelModelForm = forms.ModelForm[Channel]
    AlertRuleModelForm = forms.ModelForm[AlertRule]
else:
    ChannelModelForm = AlertRuleModelForm = forms.ModelForm


class ChannelForm(ChannelModelForm):
    """The URL is written here and never shown."""

    url = forms.CharField(
        label="URL",
        required=False,
        max_length=channels.MAX_LENGTH,
        widget=widgets.UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="An Apprise URL, such as slack://... or mailto://... It is never shown again;"
        " leave it empty to keep what is set.",
    )

    class Meta:
        model = Channel
        fields = ("name", "fallback")

    def clean_url(self) -> str:
        """The URL, if messages can be sent by it."""
        url: str = self.cleaned_data["url"].strip()
        if not url and not self.instance.sealed_url:
            raise forms.ValidationError("a channel needs a URL")
        if url:
            try:
                channels.check_url(url)
            except channels.ChannelProblem as exc:
                raise forms.ValidationError(str(exc)) from exc
        return url


@admin.register(Channel)
class ChannelAdmin(OwnedAdmin):
    """Apprise URLs with names."""

    form = ChannelForm
    list_display = ("name", "service", "fallback", "owner", "works")
    list_filter = ("owner",)
    search_fields = ("name",)
    readonly_fields = ("service", "works")
    fields = ("name", "url", "fallback", "service", "works")
    buttons = (("test", "test", "Send a test message"),)

    def get_fields(self, request: HttpRequest, obj: Channel | None = None) -> tuple[str, ...]:
        """The URL has no place where it can't be written."""
        if obj is not None and not self.has_change_permission(request, obj):
            return tuple(name for name in self.fields if name != "url")
        return self.fields

    @admin.display(description="Service")
    def service(self, channel: Channel) -> str:
        """The service that the URL names, and nothing more of it."""
        if not channel.sealed_url:
            return ""
        try:
            return channels.service_of(channel)
        except EnvironmentProblem:
            return "sealed with another key"

    @admin.display(description="Works")
    def works(self, channel: Channel) -> str:
        """The last trouble, if it is not over."""
        if channel.broken_since is None:
            return "yes, as far as is known"
        return f"broken since {channel.broken_since:%Y-%m-%d %H:%M} UTC: {channel.last_error}"

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        """Seal the URL if a new one was written."""
        if form.cleaned_data["url"]:
            channels.set_url(obj, form.cleaned_data["url"])
        super().save_model(request, obj, form, change)

    def test(self, request: HttpRequest, channel: Channel) -> HttpResponseRedirect:
        """A message on the way that alerts take; its page shows how it fares."""
        notification = queue_test(channel)
        self.say(request, f"A test message to {channel.name} is on its way. Reload this page to see how it fares.")
        return HttpResponseRedirect(reverse("admin:monitoring_notification_change", args=[notification.pk]))


class AlertRuleForm(AlertRuleModelForm):
    """`match` as three fields, the reminder as a duration."""

    tags = forms.CharField(
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Monitors that have any of these tags, separated by spaces.",
    )
    monitors = forms.MultipleChoiceField(
        required=False,
        widget=widgets.UnfoldAdminSelectMultipleWidget(),
        help_text="These monitors. Where several of the three are given, a monitor must match each.",
    )
    kinds = forms.MultipleChoiceField(
        required=False,
        choices=[(kind, kind) for kind in KINDS],
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="Monitors of these kinds. A rule without tags, monitors and kinds is for all.",
    )
    notify = forms.ModelMultipleChoiceField(
        queryset=Channel.objects.all(),
        widget=widgets.UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="The channels that are told.",
    )
    remind = forms.CharField(
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="Tell again so often while it lasts, as in 1h. Empty: once.",
    )

    class Meta:
        model = AlertRule
        fields = ("name", "when")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule = self.instance
        slugs = list(Monitor.objects.filter(retired_at=None).values_list("slug", "name"))
        # One that left the configuration stays chosen until somebody takes it out.
        slugs += [(slug, f"{slug} (gone)") for slug in rule.match.get("monitors", ()) if slug not in dict(slugs)]
        self.fields["monitors"].choices = slugs  # type: ignore[attr-defined]  # it is a choice field
        self.initial = {
            **self.initial,
            "tags": " ".join(rule.match.get("tags", ())),
            "monitors": rule.match.get("monitors", ()),
            "kinds": rule.match.get("kinds", ()),
            "notify": list(rule.channels.all()) if rule.name else [],
            "remind": "" if rule.remind_seconds is None else format_duration(rule.remind_seconds),
        }

    def clean_remind(self) -> float | None:
        """Seconds, or None."""
        text = self.cleaned_data["remind"].strip()
        if not text:
            return None
        try:
            seconds = parse_duration(text)
        except ValueError as exc:
            raise forms.ValidationError(str(exc)) from exc
        if seconds < SHORTEST_REMINDER:
            raise forms.ValidationError(f"at least {format_duration(SHORTEST_REMINDER)}")
        return seconds

    def save(self, commit: bool = True) -> AlertRule:
        """The rule with its columns set."""
        lists = {
            "tags": self.cleaned_data["tags"].split(),
            "monitors": self.cleaned_data["monitors"],
            "kinds": self.cleaned_data["kinds"],
        }
        self.instance.match = {name: values for name, values in lists.items() if values}
        self.instance.remind_seconds = self.cleaned_data["remind"]
        return super().save(commit=commit)


@admin.register(AlertRule)
class AlertRuleAdmin(OwnedAdmin):
    """When to tell which channels about which monitors."""

    form = AlertRuleForm
    list_display = ("name", "when", "about", "told", "owner")
    list_filter = ("owner",)
    search_fields = ("name",)
    readonly_fields = ("about", "told", "reminds")

    def get_fields(self, request: HttpRequest, obj: AlertRule | None = None) -> tuple[str, ...]:
        """Fields to write, or sentences to read."""
        if obj is not None and not self.has_change_permission(request, obj):
            return ("name", "when", "about", "told", "reminds")
        return ("name", "when", "tags", "monitors", "kinds", "notify", "remind")

    @admin.display(description="About")
    def about(self, rule: AlertRule) -> str:
        """What it matches, in words."""
        words = [f"{name} {', '.join(values)}" for name, values in rule.match.items() if values]
        return "; ".join(words) or "every monitor"

    @admin.display(description="Told")
    def told(self, rule: AlertRule) -> str:
        """The channels."""
        return ", ".join(channel.name for channel in rule.channels.all())

    @admin.display(description="Reminds")
    def reminds(self, rule: AlertRule) -> str:
        """How often, in words."""
        return "once only" if rule.remind_seconds is None else f"every {format_duration(rule.remind_seconds)}"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The channels, in the order in which they are shown."""
        super().save_related(request, form, formsets, change)
        rule: AlertRule = form.instance
        if owned_by_file(rule):
            return
        AlertRuleChannel.objects.filter(rule=rule).delete()
        AlertRuleChannel.objects.bulk_create(
            AlertRuleChannel(rule=rule, channel=channel, position=position)
            for position, channel in enumerate(form.cleaned_data["notify"])
        )
