"""What the public sees."""

from __future__ import annotations

from django.db import models

from monitoring.models.monitor import Monitor, Owner


class StatusPage(models.Model):
    """A public page. Nothing is public until it is put on one by hand."""

    slug = models.SlugField(max_length=100, unique=True)
    title = models.CharField(max_length=200)
    description = models.TextField(max_length=2000, blank=True)
    owner = models.CharField(max_length=8, choices=Owner, default=Owner.UI)
    default = models.BooleanField(default=False, help_text="Shown at the root address.")

    class Meta:
        ordering = ("-default", "slug")
        constraints = [
            models.UniqueConstraint(
                fields=("default",), condition=models.Q(default=True), name="one_default_status_page"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class ComponentGroup(models.Model):
    """A heading on a page."""

    page = models.ForeignKey(StatusPage, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position", "pk")

    def __str__(self) -> str:
        return self.name


class Component(models.Model):
    """A monitor as the public knows it, under a name of its own."""

    group = models.ForeignKey(ComponentGroup, on_delete=models.CASCADE, related_name="components")
    monitor = models.ForeignKey(Monitor, on_delete=models.CASCADE, related_name="components")
    name = models.CharField(max_length=200)
    description = models.CharField(max_length=500, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position", "pk")
        constraints = [models.UniqueConstraint(fields=("group", "monitor"), name="one_component_a_group")]

    def __str__(self) -> str:
        return self.name


class PageSnapshot(models.Model):
    """What a page shows, rendered by the notifier from an allow-list type; served without asking the store."""

    page = models.OneToOneField(StatusPage, on_delete=models.CASCADE, related_name="snapshot")
    payload = models.JSONField()  # monitoring.status.snapshot.PublicPage
    rendered_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.page} at {self.rendered_at:%H:%M:%S}"
