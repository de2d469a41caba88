"""The sign-in page's form. Not in `monitoring.admin`: the admin's site is made with it, before the admin registers."""

from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from unfold.forms import AuthenticationForm as StyledAuthenticationForm


class SignInForm(StyledAuthenticationForm):  # type: ignore[misc]  # unfold ships no types
    """Lets everybody in who has a password here; what they may see is decided page by page (`monitoring.access`)."""

    def confirm_login_allowed(self, user: User) -> None:
        """Active accounts, not only those of staff as the admin would have it."""
        AuthenticationForm.confirm_login_allowed(self, user)
