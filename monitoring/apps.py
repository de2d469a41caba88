"""The one Django app."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """What to watch, whom to tell, what to show."""

    name = "monitoring"
    verbose_name = "Stillup"

    def ready(self) -> None:
        """Register the system checks."""
        from monitoring import system_checks

        system_checks.install()
