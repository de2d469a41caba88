"""The admin, on django-unfold: what people configure, and what they explain."""

from monitoring.admin import alerting, incidents, keys, maintenance, monitors, notifications, objectives, pages, users

__all__ = ["alerting", "incidents", "keys", "maintenance", "monitors", "notifications", "objectives", "pages", "users"]
