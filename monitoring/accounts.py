"""Who may sign in: the first account is made at the first start."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from checks.environment import read_env

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FirstAccount:
    """The account that was made. `password` is set where it was made up: to be shown once, and kept nowhere."""

    name: str
    password: str | None


def ensure_admin() -> FirstAccount | None:
    """Make the first account that may configure; None where there is one.

    Its name and password are STILLUP_ADMIN_USER (`admin`) and STILLUP_ADMIN_PASSWORD (a random one).
    """
    users = get_user_model().objects
    if users.filter(is_superuser=True, is_active=True).exists():
        return None
    name, given = read_env("STILLUP_ADMIN_USER") or "admin", read_env("STILLUP_ADMIN_PASSWORD")
    password = given or secrets.token_urlsafe(15)
    if given:
        _say_if_weak(given)
    try:
        with transaction.atomic():
            users.create_superuser(username=name, password=password)
    except IntegrityError:
        # Another process was first, or the name is a person's who may not configure: nobody is promoted in silence.
        logger.warning("There is a user %s already; no account was made.", name, extra={"action": "no_account"})
        return None
    logger.info("Made the account %s.", name, extra={"action": "account_made", "user": name})
    return FirstAccount(name, None if given else password)


def _say_if_weak(password: str) -> None:
    try:
        validate_password(password)
    except ValidationError as exc:
        why = " ".join(exc.messages)
        logger.warning("STILLUP_ADMIN_PASSWORD is weak: %s", why, extra={"action": "weak_password"})
