"""Reading what a service is made of, and why, also of one that cannot start; prints nothing."""

from pegboard.inspection.activity import Activity, explain_plugin
from pegboard.inspection.building import Partial
from pegboard.inspection.diagnosis import Diagnosis, diagnose
from pegboard.inspection.findings import (
    Finding,
    find_changes,
    find_doubled,
    find_leftovers,
    find_revision_problems,
    find_unread,
)
from pegboard.inspection.plugin_report import KnownPlugin, PluginReport, Plugins, report_plugins
from pegboard.inspection.plugin_state import find_state
from pegboard.inspection.request_report import RequestReport, explain_request
from pegboard.inspection.settings_report import settings_document

__all__ = [
    "Activity",
    "Diagnosis",
    "Finding",
    "KnownPlugin",
    "Partial",
    "PluginReport",
    "Plugins",
    "RequestReport",
    "diagnose",
    "explain_plugin",
    "explain_request",
    "find_changes",
    "find_doubled",
    "find_leftovers",
    "find_revision_problems",
    "find_state",
    "find_unread",
    "report_plugins",
    "settings_document",
]
