"""How django-unfold shows the admin: our name, our colour, our words in the sidebar."""

from __future__ import annotations

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

# The accent of static/stillup.css, lighter and darker.
_ACCENT = {
    "50": "#eef7f8",
    "100": "#d5ebee",
    "200": "#aed8de",
    "300": "#8fd0dc",
    "400": "#74c7d6",
    "500": "#2b8392",
    "600": "#0a5866",
    "700": "#084955",
    "800": "#0a3c46",
    "900": "#0b323a",
    "950": "#041f25",
}


def _link(title: str, icon: str, name: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(name), **more}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Stillup",
    "SITE_HEADER": "Stillup",
    "SITE_URL": "/dashboard/",
    "SITE_SYMBOL": "monitor_heart",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: static("mark.svg")}],
    "COLORS": {"primary": _ACCENT},
    "SHOW_HISTORY": True,
    "LOGIN": {"form": "monitoring.sign_in.SignInForm"},
    "SIDEBAR": {
        "navigation": [
            {
                "items": [
                    _link("Dashboard", "dashboard", "dashboard"),
                    # Every address begins with its own, so it would always be shown as the present one.
                    _link("Status page", "public", "status", active=False),
                ],
            },
            {
                "title": "Watch",
                "items": [
                    _link("Monitors", "monitor_heart", "admin:monitoring_monitor_changelist"),
                    _link("Incidents", "emergency_home", "admin:monitoring_incident_changelist"),
                    _link("Maintenance", "construction", "admin:monitoring_maintenancewindow_changelist"),
                    _link("Objectives", "target", "admin:monitoring_objective_changelist"),
                ],
            },
            {
                "title": "Tell",
                "items": [
                    _link("Alert rules", "rule", "admin:monitoring_alertrule_changelist"),
                    _link("Channels", "campaign", "admin:monitoring_channel_changelist"),
                    _link("Notifications", "outgoing_mail", "admin:monitoring_notification_changelist"),
                ],
            },
            {
                "title": "Show",
                "items": [
                    _link("Status pages", "web", "admin:monitoring_statuspage_changelist"),
                    _link("Groups and components", "view_list", "admin:monitoring_componentgroup_changelist"),
                ],
            },
            {
                "title": "Access",
                "items": [
                    _link("Users", "group", "admin:auth_user_changelist"),
                    _link("Ping keys", "key", "admin:monitoring_pingkey_changelist"),
                    _link("API keys", "api", "admin:monitoring_apikey_changelist"),
                    _link("Unknown pings", "help", "unknown_pings"),
                ],
            },
        ],
    },
}
