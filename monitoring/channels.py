"""A channel's Apprise URL: what is refused, and how it is kept.

The URL holds credentials, so it lies sealed in the database and is never shown again. Refused are services that act on
this machine instead of the network, options that make Apprise read local files, and those that would take delivery
(deadline, retries, verdict) out of our hands: `?optional=yes` calls a failed message a success.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from checks.spec import REDACTED
from monitoring import recipients
from monitoring.models import Channel
from monitoring.publish import secretbox

# They act on the machine that the notifier runs on.
LOCAL_SERVICES = frozenset(
    {"blink1", "dbus", "file", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"},
)
# Apprise's own deadline, retries and verdict; ours decide.
DELIVERY_KEYS = frozenset({"cto", "optional", "redirect", "retry", "rto", "verify", "wait"})
# They make a service read a file of ours, or keep one.
FILE_KEYS = frozenset({"attach", "keyfile", "pgp", "pgpprv", "pgppub", "store", "subfile", "template"})

_SCHEME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]{1,31})://", re.IGNORECASE)
MAX_LENGTH = 4096


class ChannelProblem(ValueError):
    """A channel's URL can't be used. The message names the option or the service and never the URL's secrets."""


def set_url(channel: Channel, url: str) -> None:
    """Seal `url` into the channel, which the caller saves. Raises ChannelProblem where it can't be used."""
    channel.recipients = check_url(url)
    channel.sealed_url = secretbox().encrypt(url.strip())


def url_of(channel: Channel) -> str:
    """The channel's URL in clear: for the sender, and for nobody's eyes."""
    return secretbox().decrypt(channel.sealed_url)


def service_of(channel: Channel) -> str:
    """The service that the channel uses, as its URL begins: `slack`, `mailto`."""
    return scheme_of(url_of(channel))


def scheme_of(url: str) -> str:
    """What stands before `://`, in lower case; empty where nothing does."""
    match = _SCHEME.match(url)
    return match[1].lower() if match else ""


def masked(url: str) -> str:
    """The URL as it may be shown: the service and dots."""
    return f"{scheme_of(url)}://{REDACTED}"


def check_url(url: str) -> int:
    """How many recipients the URL names. Raises ChannelProblem where no message could be sent by it in our way."""
    if len(url) > MAX_LENGTH:
        raise ChannelProblem(f"the URL is {len(url)} characters long; at most {MAX_LENGTH} are allowed")
    if any(ord(character) < 32 or ord(character) == 127 for character in url.strip()):
        raise ChannelProblem("the URL has a control character or a line break; it must be one line")
    scheme = scheme_of(url)
    if not scheme:
        raise ChannelProblem("the URL names no service; expected an Apprise URL such as slack://... or mailto://...")
    if scheme in LOCAL_SERVICES:
        raise ChannelProblem(f"{scheme}:// acts on this machine; a channel must reach people over the network")
    refused = sorted(query_keys(url) & (DELIVERY_KEYS | FILE_KEYS))
    if refused:
        options = ", ".join(f"{key}=" for key in refused)
        why = "Stillup decides about deadlines and retries" if refused[0] in DELIVERY_KEYS else "it names a local file"
        raise ChannelProblem(f"not allowed in a channel's URL: {options}; {why}")
    return _check_service(url, scheme)


def query_keys(url: str) -> set[str]:
    """The names of the URL's options, however they are written: `?OPT%49ONAL=yes` is `optional`.

    Apprise splits at `&` and `;`, decodes names, folds their case and strips them; some services decode twice.
    """
    _, _, query = url.partition("?")
    return {_plain(part.partition("=")[0]) for part in re.split(r"[&;?]", query) if part}


def _plain(name: str) -> str:
    while (decoded := unquote(name)) != name:
        name = decoded
    return name.casefold().strip(" \t+-:")


def _check_service(url: str, scheme: str) -> int:
    """How many recipients it names. Raises ChannelProblem where there is no such service, or it can't read the URL."""
    from apprise import Apprise, AppriseAsset  # takes 0.4 s and 30 MB: only a process that checks a URL pays
    from apprise.manager_plugins import NotificationManager
    from apprise.plugins import url_to_dict

    services = NotificationManager()
    asset = AppriseAsset(plugin_paths=[], storage_mode="memory", pgp_autogen=False, pem_autogen=False)
    # Apprise's own words may hold the token it did not like: they are not passed on.
    with _silenced():
        parsed = url_to_dict(url, secure_logging=True)  # also reads the web addresses that services hand out
        service = parsed["schema"] if parsed else scheme
        if service not in services or services[service].category != "native":
            raise ChannelProblem(f"Apprise knows no service {service}://")
        plugin = services[service]
        if not plugin.enabled:
            raise ChannelProblem(f"{service}:// needs a library that is not installed")
        made = Apprise.instantiate(parsed, asset=asset) if parsed else None
        if made is None:
            forms = ", ".join(form.replace("{schema}", service) for form in plugin.templates[:3])
            raise ChannelProblem(f"{plugin.service_name} can't read this URL; its forms are: {forms}")
        return recipients.count(made)


@contextmanager
def _silenced() -> Iterator[None]:
    """Apprise logs what it could not read, token and all."""
    apprise_log = logging.getLogger("apprise")
    before = apprise_log.disabled
    apprise_log.disabled = True
    try:
        yield
    finally:
        apprise_log.disabled = before
