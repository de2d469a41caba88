"""`manage.py import_crontab [FILE|-]`: monitors for the jobs of a crontab, or of systemd's timers."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from checks.probes import parse_spec
from checks.probes.heartbeat import HeartbeatSpec
from checks.process import WRONG_CONFIGURATION
from checks.schedule import Schedule
from checks.spec import MonitorSpec, dump
from monitoring import publish
from monitoring.config.writing import as_yaml
from monitoring.imports import crontab, timers
from monitoring.imports.crontab import Line
from monitoring.imports.jobs import Job, Skipped, named
from monitoring.imports.timers import Timer
from monitoring.models import Monitor

LARGEST = 1 << 20  # bytes
LATER = "PING-URL-OF-{slug}"  # stands in a line whose monitor is not there yet


class Command(BaseCommand):
    help = "Propose monitors for the jobs of a crontab or of systemd timers, and print the lines that report to them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", nargs="?", default="-", help="a crontab, or what `systemctl cat` prints; - reads it here"
        )
        parser.add_argument("--create", action="store_true", help="make the monitors; without it nothing is changed")
        parser.add_argument(
            "--system", action="store_true", help="the crontab has the user in a column, as /etc/crontab"
        )
        parser.add_argument(
            "--timezone", default=_timezone(), help="of the machine that runs the jobs; by default this machine's"
        )
        parser.add_argument(
            "--beat", default="/usr/local/bin/beat", help="where the jobs' machine has the script clients/beat"
        )
        parser.add_argument("--prefix", default="", help="put before every slug, as the name of the jobs' machine")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        text = _text(options["file"])
        try:
            Schedule.parse({"cron": "@daily", "timezone": options["timezone"]})
        except ValueError as exc:
            raise CommandError(str(exc), returncode=WRONG_CONFIGURATION) from exc
        sources, skipped = _read(text, options)
        if not sources and not skipped:
            raise CommandError(
                f"{options['file']} has no job; expected a crontab, or what `systemctl cat NAME.timer NAME.service` prints",
                returncode=WRONG_CONFIGURATION,
            )
        proposals = _proposals(sources, options["prefix"])
        if options["create"]:
            _create(proposals)
        self._tell(proposals, skipped, options)

    def _tell(self, proposals: Sequence[_Proposal], skipped: Sequence[Skipped], options: dict[str, Any]) -> None:
        new = [each for each in proposals if each.is_new]
        if new and not options["create"]:
            self.stdout.write("# For the configuration file; or let `--create` make these monitors.")
            written = {"monitors": [dump(each.job.spec()) for each in new]}
            self.stdout.write(as_yaml(written))
        if proposals:
            self.stdout.write("# The jobs, once they report:")
        for each in proposals:
            known = "" if each.is_new else "; its monitor is there already"
            self.stdout.write(f"# {each.job.slug}, of line {each.job.line}{known}\n{each.patched(options['beat'])}")
        for line in skipped:
            self.stderr.write(f"line {line.line} makes no monitor: {line.why}\n    {line.text}")
        verb, there = "Created" if options["create"] else "Proposed", len(proposals) - len(new)
        self.stderr.write(
            f"{verb} {len(new)} monitor{'s' * (len(new) != 1)}; {there} there already; {len(skipped)} skipped."
        )


@dataclass(slots=True, kw_only=True)
class _Proposal:
    """A job, and the monitor that it reports to: one that is there, or one that is proposed."""

    source: Line | Timer
    job: Job
    monitor: Monitor | None
    is_new: bool

    def patched(self, beat: str) -> str:
        """What the crontab or the drop-in of systemd says once the job reports."""
        monitor = self.monitor
        url = LATER.format(slug=self.job.slug) if monitor is None else f"{settings.BASE_URL}/ping/{monitor.ping_code}"
        if isinstance(self.source, Line):
            return crontab.patched(self.source, url, beat)
        return timers.patched(self.source, url, beat)


def _read(text: str, options: dict[str, Any]) -> tuple[Sequence[Line | Timer], list[Skipped]]:
    """What starts jobs, in a crontab or in systemd's units."""
    if timers.is_systemd(text):
        return timers.read(text, timezone=options["timezone"])
    system = options["system"] or options["file"].startswith("/etc/cron") or crontab.looks_like_system(text)
    return crontab.read(text, system=system, timezone=options["timezone"])


def _proposals(sources: Sequence[Line | Timer], prefix: str) -> list[_Proposal]:
    """A monitor for each job. A job is known again by its command and schedule, and by the beginning of its slug."""
    there: dict[Any, list[Monitor]] = {}
    for monitor in Monitor.objects.filter(kind="heartbeat", retired_at=None).order_by("created_at", "slug"):
        there.setdefault(_identity(parse_spec(monitor.spec)), []).append(monitor)
    proposals = []
    for source in sources:
        (job,) = named([source.job], prefix=prefix)
        same = there.get(_identity(job.spec()), [])
        known = next((each for each in same if re.fullmatch(rf"{re.escape(job.slug)}(-[0-9]+)?", each.slug)), None)
        if known is not None:
            same.remove(known)
            job = replace(job, slug=known.slug)
        proposals.append(_Proposal(source=source, job=job, monitor=known, is_new=known is None))
    new = [each for each in proposals if each.is_new]
    taken = Monitor.objects.values_list("slug", flat=True)
    for each, job in zip(new, named((each.source.job for each in new), taken, prefix), strict=True):
        each.job = job
    return proposals


def _identity(spec: MonitorSpec) -> Any:
    return (spec.description, spec.schedule) if isinstance(spec, HeartbeatSpec) else None


def _timezone() -> str:
    """The time zone of this machine, as far as it says one."""
    link = Path("/etc/localtime")
    names = (os.environ.get("TZ", ""), str(link.resolve()).partition("zoneinfo/")[2] if link.exists() else "")
    return next((name for name in names if name in available_timezones()), "UTC")


def _text(name: str) -> str:
    """What is to be read. Raises CommandError."""
    try:
        data = sys.stdin.buffer.read(LARGEST + 1) if name == "-" else Path(name).read_bytes()
        if len(data) > LARGEST:
            raise CommandError(
                f"{name} has more than {LARGEST} bytes; a crontab is smaller", returncode=WRONG_CONFIGURATION
            )
        return data.decode()
    except OSError as exc:
        raise CommandError(f"{name} can't be read: {exc.strerror}", returncode=WRONG_CONFIGURATION) from exc
    except UnicodeDecodeError as exc:
        raise CommandError(f"{name} is not UTF-8 at byte {exc.start}", returncode=WRONG_CONFIGURATION) from exc


def _create(proposals: Sequence[_Proposal]) -> None:
    """Make the monitors that are not there."""
    with transaction.atomic():
        for each in proposals:
            if each.is_new:
                each.monitor = publish.change(spec=each.job.spec())
