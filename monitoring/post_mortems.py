"""Post-mortems are drafts until somebody publishes them. Saving one renders its Markdown (`PostMortem.save`)."""

from __future__ import annotations

import logging
from datetime import datetime

from monitoring.models import Incident, PostMortem

logger = logging.getLogger(__name__)


class PostMortemProblem(ValueError):
    """It can't be published; the message says why."""


def publish(incident: Incident, now: datetime) -> None:
    """Put the post-mortem on the incident's public page. Raises PostMortemProblem where that is too early."""
    post_mortem = PostMortem.objects.filter(incident=incident).first()
    if post_mortem is None or not post_mortem.markdown.strip():
        raise PostMortemProblem("write the post-mortem and save it first")
    if incident.resolved_at is None:
        raise PostMortemProblem("the incident is not over yet: write an update instead")
    if incident.is_system:
        raise PostMortemProblem("this incident is about Stillup itself, and on no public page")
    PostMortem.objects.filter(pk=post_mortem.pk, published_at=None).update(published_at=now)
    logger.info("The post-mortem of %s is public.", incident, extra={"action": "post_mortem_published"})


def withdraw(incident: Incident) -> None:
    """Take the post-mortem off the public page; its text stays."""
    PostMortem.objects.filter(incident=incident).update(published_at=None)
    logger.info("The post-mortem of %s is not public any more.", incident, extra={"action": "post_mortem_withdrawn"})
