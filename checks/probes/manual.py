"""`manual`: what a person says. Nothing is asked, and it stays as it was set."""

from __future__ import annotations

from typing import ClassVar, Literal

from checks.probe import Kind
from checks.spec import MonitorSpec


class ManualSpec(MonitorSpec):
    """Options of a monitor whose status is set: on its page, or by `manage.py set_status SLUG up|degraded|down`."""

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]] = "set"
    example: ClassVar[str] = """
        description: The telephone line. Its provider has no address that could be asked.
    """

    kind: Literal["manual"] = "manual"
    """What a person says it is."""


MANUAL = Kind(spec=ManualSpec)
