"""`manage.py import_crontab [FILE|-]`: monitors for the jobs of a crontab, or of systemd's timers."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import yaml
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from checks.process import WRONG_CONFIGURATION
from checks.schedule import Schedule
from checks.spec import MonitorSpec, dump
from monitoring import publish
from monitoring.imports import crontab, timers
from monitoring.imports.jobs import Job, Skipped, named
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

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        text = _text(options["file"])
        try:
            Schedule.parse({"cron": "@daily", "timezone": options["timezone"]})
        except ValueError as exc:
            raise CommandError(str(exc), returncode=WRONG_CONFIGURATION) from exc
        if timers.is_systemd(text):
            found, skipped = timers.read(text, timezone=options["timezone"])
            jobs = [timer.job for timer in found]
        else:
            system = options["system"] or options["file"].startswith("/etc/cron") or crontab.looks_like_system(text)
            lines, skipped = crontab.read(text, system=system, timezone=options["timezone"])
            jobs = crontab.jobs(lines)
        jobs = named(jobs, Monitor.objects.values_list("slug", flat=True))
        specs = [job.spec() for job in jobs]
        urls = _create(specs) if options["create"] else [LATER.format(slug=job.slug) for job in jobs]
        if timers.is_systemd(text):
            changed = [timers.patched(timer, url, options["beat"]) for timer, url in zip(found, urls, strict=True)]
        else:
            changed = [crontab.patched(line, url, options["beat"]) for line, url in zip(lines, urls, strict=True)]
        self._tell(jobs, specs, changed, skipped, created=options["create"])

    def _tell(
        self, jobs: list[Job], specs: list[MonitorSpec], changed: list[str], skipped: list[Skipped], *, created: bool
    ) -> None:
        if specs and not created:
            self.stdout.write("# For the configuration file; or let `--create` make these monitors.")
            self.stdout.write(yaml.safe_dump({"monitors": [dump(spec) for spec in specs]}, sort_keys=False, width=110))
        if changed:
            self.stdout.write("# The jobs, once they report:")
            for job, line in zip(jobs, changed, strict=True):
                self.stdout.write(f"# {job.slug}, of line {job.line}\n{line}")
        for each in skipped:
            self.stderr.write(f"line {each.line} makes no monitor: {each.why}\n    {each.text}")
        verb = "Created" if created else "Proposed"
        self.stderr.write(f"{verb} {len(specs)} monitor{'s' * (len(specs) != 1)}; {len(skipped)} skipped.")


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


def _create(specs: list[MonitorSpec]) -> list[str]:
    """Make the monitors; the URLs that their jobs ping."""
    with transaction.atomic():
        made = [publish.change(spec=spec) for spec in specs]
    return [f"{settings.BASE_URL}/ping/{monitor.ping_code}" for monitor in made]
