"""The heartbeats that are checks to healthchecks: finding, making and changing them."""

from __future__ import annotations

import itertools
import re
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from pydantic import ValidationError

from checks.probes import KINDS, parse_spec, spec_class
from checks.probes.heartbeat import HEARTBEAT, HeartbeatSpec
from checks.spec import SLUG, MonitorSpec, dump, slugify
from monitoring import groups, publish
from monitoring.api.healthchecks.asked import Asked, Invalid, options, problems_of, shown
from monitoring.api.healthchecks.endpoint import Refused
from monitoring.api.healthchecks.shapes import unique_key
from monitoring.api.healthchecks.told import Told, check_channels
from monitoring.models import Monitor, Owner

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UNIQUE_KEY = re.compile(r"[0-9a-f]{40}")
_TRIES = 5  # somebody else may take the slug meanwhile
_SLUG_LENGTH = 100


def heartbeats() -> QuerySet[Monitor]:
    """All of them, the oldest first."""
    pinged = [name for name in KINDS if spec_class(name).source == "pinged"]
    return Monitor.objects.filter(kind__in=pinged, retired_at=None).order_by("created_at", "uuid")


def spec_of(monitor: Monitor) -> HeartbeatSpec | None:
    """What the monitor is configured to do; None where that can't be read, which its page says."""
    try:
        spec = publish.spec_of(monitor)
    except ValueError:
        return None
    return spec if isinstance(spec, HeartbeatSpec) else None


def find(name: str) -> Monitor:
    """The heartbeat of a UUID, of the code in its ping URL, or of its unique key. Raises Refused."""
    found: Monitor | None = None
    if _UUID.fullmatch(name):
        found = heartbeats().filter(Q(uuid=UUID(name)) | Q(ping_code=UUID(name))).first()
    elif _UNIQUE_KEY.fullmatch(name):
        uuids = heartbeats().values_list("uuid", flat=True)
        uuid = next((each for each in uuids if unique_key(each) == name), None)
        found = None if uuid is None else heartbeats().filter(pk=uuid).first()
    if found is None:
        raise Refused(404, "there is no such check")
    return found


def find_to_change(name: str) -> Monitor:
    """The same for one who changes it, and names it by what a key that only reads is not shown. Raises Refused."""
    if _UNIQUE_KEY.fullmatch(name):
        raise Refused(405, "a unique key is for reading; name the check by its UUID")
    return find(name)


def refuse_what_the_file_owns(monitor: Monitor) -> None:
    """Raise Refused for what is edited elsewhere."""
    if monitor.owner == Owner.FILE:
        raise Refused(
            403, f"{monitor.slug} is kept in the configuration file: edit it there and apply it; here it is read-only"
        )


def make(asked: Asked, *, version: int) -> tuple[Monitor, bool]:
    """A new heartbeat, and True; or the one whose `unique` fields are the same, changed. Raises Invalid and Refused."""
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                # The slug first: whoever makes the same one after we looked for it takes this slug too, and one fails.
                slug = asked.own_slug or _free_slug(slugify(asked.name or "") or "heartbeat")
                taken = Monitor.objects.filter(slug=asked.own_slug).first()
                found = _same(asked)
                if found is not None:
                    return _change(found, asked, version=version), False
                _refuse_taken(taken)
                if asked.name is None and not asked.own_slug:
                    raise Invalid("name is missing; allowed: a name, a slug, or both")
                before = {"kind": HEARTBEAT.spec.model_fields["kind"].default, **settings.NEW_HEARTBEAT}
                named = {"name": asked.own_slug} if asked.name is None else {}
                return publish.change(spec=_spec({**before, **named}, asked, slug)), True
        except IntegrityError:
            continue
    raise Refused(409, "others take the same slug; try again")


def change(monitor: Monitor, asked: Asked, *, version: int) -> Monitor:
    """The heartbeat as asked. Raises Invalid and Refused."""
    try:
        with transaction.atomic():
            return _change(monitor, asked, version=version)
    except IntegrityError:
        raise Refused(409, "somebody else took the same slug; try again") from None


def _change(monitor: Monitor, asked: Asked, *, version: int) -> Monitor:
    locked = heartbeats().select_for_update().filter(pk=monitor.pk).first()
    if locked is None:
        raise Refused(404, "there is no such check")
    refuse_what_the_file_owns(locked)
    spec = spec_of(locked)
    if spec is None:
        raise Refused(409, f"the stored options of {locked.slug} can't be read; write them anew in the admin")
    slug = asked.own_slug or locked.slug
    if version < 3 and not asked.own_slug and asked.name is not None and asked.name.strip() != spec.name:
        slug = _free_slug(slugify(asked.name) or "heartbeat", but=locked)
    if slug != locked.slug and (others := groups.groups_with(locked.slug)):
        raise Invalid(f"slug: {locked.slug} is a member of {', '.join(others)}: take it out there first")
    _refuse_taken(Monitor.objects.filter(slug=slug).exclude(pk=locked.pk).first())
    return publish.change(locked, spec=_spec(dump(spec), asked, slug))


def _refuse_taken(other: Monitor | None) -> None:
    if other is not None:
        raise Invalid(f"slug is {shown(other.slug)}; that of another monitor: {other.name}; allowed: one that is free")


def _spec(before: dict[str, object], asked: Asked, slug: str) -> MonitorSpec:
    """The specification as asked; Invalid where none can be that."""
    try:
        spec = parse_spec(options(asked, before, slug))
    except ValidationError as exc:
        raise Invalid(*problems_of(exc)) from None
    if asked.channels is not None:
        check_channels(asked.channels, Told().about(spec))
    return spec


def _same(asked: Asked) -> Monitor | None:
    """The oldest heartbeat whose fields named by `unique` are those that are asked; None where a field is missing."""
    if not asked.unique or any(getattr(asked, field) is None for field in asked.unique):
        return None
    candidates = heartbeats()
    for field in {"name", "slug"} & set(asked.unique):
        candidates = candidates.filter(**{field: str(getattr(asked, field)).strip()})
    return next((each for each in candidates if _is_same(each, asked)), None)


def _is_same(monitor: Monitor, asked: Asked) -> bool:
    spec = spec_of(monitor)
    if spec is None:
        return False
    fields = {
        "name": True,  # asked of the database
        "slug": True,
        "tags": list(spec.tags) == asked.tag_list,
        "timeout": spec.schedule.every == asked.timeout,
        "grace": spec.grace == asked.grace,
    }
    return all(fields[field] for field in asked.unique or ())


def _free_slug(wanted: str, but: Monitor | None = None) -> str:
    """The slug, or the first of slug-2, slug-3 and so on that nobody has: there, checks may share a name."""
    alike = Monitor.objects.filter(slug__startswith=wanted[: _SLUG_LENGTH - 8]).values_list("slug", flat=True)
    taken = set(alike) - {"" if but is None else but.slug}
    tails = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    return next(slug for tail in tails if (slug := wanted[: _SLUG_LENGTH - len(tail)].strip("-") + tail) not in taken)


def is_slug(text: str) -> bool:
    """Whether a monitor may have it."""
    return re.fullmatch(SLUG, text) is not None
