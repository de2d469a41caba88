"""The ASGI application: the front, the receiver of pings, and Django behind them."""

from __future__ import annotations

import os
from typing import cast

from django.core.asgi import get_asgi_application

from checks.environment import measurements_url
from checks.heartbeats.receiver import PingReceiver
from monitoring.front import Application, Front
from monitoring.static_files import StaticFiles
from monitoring.trusted_proxies import TrustedProxies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monitoring.settings")

_django = cast("Application", get_asgi_application())  # its stubs say dict where ASGI says mapping

# What stands on the models can be imported only now.
from monitoring import ping_keys  # noqa: E402

application = Front(
    _django, PingReceiver(measurements_url(), ping_keys.make), StaticFiles(), TrustedProxies.from_environment()
)
