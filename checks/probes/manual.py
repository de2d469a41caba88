"""`manual`: what a person says. Nothing is asked, and it stays as it was set."""

from __future__ import annotations

from typing import ClassVar, Literal

from checks.probe import Kind
from checks.spec import MonitorSpec


class ManualSpec(MonitorSpec):
    """Options of a monitor whose status is set: on its page, by `manage.py set_status` or through the API."""

    source: ClassVar[Literal["probed", "pinged", "derived", "set"]] = "set"
    example: ClassVar[str] = """
        description: The telephone line. Its provider has no address that could be asked.
    """

    kind: Literal["manual"] = "manual"
    """Set by a person or through the API."""


MANUAL = Kind(spec=ManualSpec)
