"""`manage.py unmute`: let a copy that was restored tell people again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from checks.store import muting
from monitoring.publish import store_engine


class Command(BaseCommand):
    help = "Send messages again after `manage.py restore`. What was due until now is not sent any more."

    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        del args, options
        with store_engine().begin() as conn:
            was = muting.unmute(conn)
        self.stdout.write("Messages are sent again." if was else "Nothing was muted.")
