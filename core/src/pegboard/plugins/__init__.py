"""Plugins: which are active in an app, in which order, and what each contributes."""

from pegboard.plugins.assembly import build_registry, examine, may_skip
from pegboard.plugins.commands import Commands
from pegboard.plugins.contributions import Plugin, call_plugin
from pegboard.plugins.core_names import PUBLIC_MODULES
from pegboard.plugins.discovery import (
    FIRST_PARTY,
    LONGEST_NAME,
    Candidate,
    find_exclusion,
    installed_plugins,
    is_plugin_name,
    plugin_name,
    plugins_named,
    select_plugins,
)
from pegboard.plugins.hooks import hookimpl, hookspec
from pegboard.plugins.interfaces import title_of
from pegboard.plugins.last_start import (
    changes_since_start,
    code_digest,
    files_of,
    record_start,
)
from pegboard.plugins.metadata import ENTRY_POINT_GROUP
from pegboard.plugins.parties import Collision, settle, titled
from pegboard.plugins.places import locate_part, locate_route, locate_views, refused_blueprint
from pegboard.plugins.registry import (
    Registry,
    Skipped,
    get_registry,
    init_registry,
    note_endpoints,
)
from pegboard.plugins.requirements import check_requirements, in_order
from pegboard.plugins.routes import Routes, rules_of
from pegboard.plugins.services import provided_by
from pegboard.plugins.unique_names import CORE_BLUEPRINTS, CORE_COMMANDS, RESERVED_NAMES
from pegboard.plugins.wheels import WheelError, plugin_in_wheel

__all__ = [
    "CORE_BLUEPRINTS",
    "CORE_COMMANDS",
    "ENTRY_POINT_GROUP",
    "FIRST_PARTY",
    "LONGEST_NAME",
    "PUBLIC_MODULES",
    "RESERVED_NAMES",
    "Candidate",
    "Collision",
    "Commands",
    "Plugin",
    "Registry",
    "Routes",
    "Skipped",
    "WheelError",
    "build_registry",
    "call_plugin",
    "changes_since_start",
    "check_requirements",
    "code_digest",
    "examine",
    "files_of",
    "find_exclusion",
    "get_registry",
    "hookimpl",
    "hookspec",
    "in_order",
    "init_registry",
    "installed_plugins",
    "is_plugin_name",
    "locate_part",
    "locate_route",
    "locate_views",
    "may_skip",
    "note_endpoints",
    "plugin_in_wheel",
    "plugin_name",
    "plugins_named",
    "provided_by",
    "record_start",
    "refused_blueprint",
    "rules_of",
    "select_plugins",
    "settle",
    "title_of",
    "titled",
]
