"""What to watch, whom to tell, what to show. The store of measurements is `checks.store`; Django keeps no status."""

from monitoring.models.access import ApiKey, PingKey
from monitoring.models.alerting import AlertRule, AlertRuleChannel, Channel
from monitoring.models.configuration import ConfigurationFile
from monitoring.models.incident import Incident, IncidentUpdate, PostMortem
from monitoring.models.maintenance import MaintenanceWindow
from monitoring.models.monitor import Monitor, Owner
from monitoring.models.notification import ConsumedTransition, KnownStore, Notification
from monitoring.models.objective import Objective, PromisedHour
from monitoring.models.status_page import Component, ComponentGroup, PageSnapshot, StatusPage

__all__ = [
    "AlertRule",
    "AlertRuleChannel",
    "ApiKey",
    "Channel",
    "Component",
    "ComponentGroup",
    "ConfigurationFile",
    "ConsumedTransition",
    "Incident",
    "IncidentUpdate",
    "KnownStore",
    "MaintenanceWindow",
    "Monitor",
    "Notification",
    "Objective",
    "Owner",
    "PageSnapshot",
    "PingKey",
    "PostMortem",
    "PromisedHour",
    "StatusPage",
]
