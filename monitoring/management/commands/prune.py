"""`manage.py prune`: delete now what is too old; a worker does the same by itself, every half minute."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from checks import clock
from checks.housekeeping import BETWEEN_STEPS
from checks.store import retention
from monitoring.publish import store_engine


class Command(BaseCommand):
    help = "Delete measurements that are older than STILLUP_KEEP_... say."

    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say how many rows of which sort that would be")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        engine, now = store_engine(), clock.utcnow()
        found = retention.too_old(engine, now)
        verb = "would go" if options["dry_run"] else "were too old"
        for sort, count in found.items():
            self.stdout.write(f"{count:>12,} {sort} {verb}")
        if options["dry_run"]:
            return
        retention.drop_partitions(engine, now)
        while retention.prune(engine, now):
            time.sleep(BETWEEN_STEPS)  # others write too
        left = sum(retention.too_old(engine, now).values())
        self.stdout.write("All of it is gone." if not left else f"{left:,} are left: not rolled up yet, or in use.")
