"""Plugins: which are active in an app, in which order, and what each contributes."""

from pegboard.plugins.assembly import build_registry, examine, may_skip
from pegboard.plugins.contributions import Plugin, call_plugin
from pegboard.plugins.discovery import Candidate, installed_plugins, select_plugins
from pegboard.plugins.hooks import hookimpl, hookspec
from pegboard.plugins.parties import Collision, settle, titled
from pegboard.plugins.registry import Registry, Skipped, get_registry, init_registry
from pegboard.plugins.requirements import in_order
from pegboard.plugins.routes import Routes, rules_of

__all__ = [
    "Candidate",
    "Collision",
    "Plugin",
    "Registry",
    "Routes",
    "Skipped",
    "build_registry",
    "call_plugin",
    "examine",
    "get_registry",
    "hookimpl",
    "hookspec",
    "in_order",
    "init_registry",
    "installed_plugins",
    "may_skip",
    "rules_of",
    "select_plugins",
    "settle",
    "titled",
]
