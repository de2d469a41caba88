"""The recipients that one Apprise URL names.

Apprise answers one boolean for all of them, and a retry would repeat the good ones: so each recipient is a delivery of
its own. Works on Apprise's plugin objects and imports nothing of it.
"""

from __future__ import annotations

from typing import Any


class NoSuchRecipient(Exception):
    """The URL names fewer recipients than that: it was changed since the message was queued."""


def count(plugin: Any) -> int:
    """How many deliveries a message by this URL takes; 1 where the service can't be taken apart."""
    return len(getattr(plugin, name)) if (name := _list_of(plugin)) else 1


def pick(plugin: Any, index: int) -> None:
    """Leave only recipient `index` in the plugin. Copies of a mail go out with the first recipient's."""
    name = _list_of(plugin)
    if name is None:
        if index:
            raise NoSuchRecipient
        return
    recipients = getattr(plugin, name)
    if index >= len(recipients):
        raise NoSuchRecipient
    setattr(plugin, name, [recipients[index]])
    if index:
        for copies in ("cc", "bcc"):
            if isinstance(getattr(plugin, copies, None), set):
                setattr(plugin, copies, set())


def _list_of(plugin: Any) -> str | None:
    """The name of the list of recipients: the one by which the plugin counts itself."""
    size = len(plugin)
    if size < 2:
        return None
    for name, value in list(vars(plugin).items()):
        if isinstance(value, list) and len(value) == size:
            setattr(plugin, name, value[:1])
            counts = len(plugin) == 1
            setattr(plugin, name, value)
            if counts:
                return str(name)
    return None
