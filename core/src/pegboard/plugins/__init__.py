"""Plugins: which are active in an app, in which order, and what each contributes."""

from pegboard.plugins.assembly import build_registry, examine, may_skip
from pegboard.plugins.collisions import methods_and_paths
from pegboard.plugins.contributions import Plugin, call_plugin
from pegboard.plugins.discovery import installed_plugins, select_plugins
from pegboard.plugins.hooks import hookimpl, hookspec
from pegboard.plugins.registry import Registry, get_registry, init_registry

__all__ = [
    "Plugin",
    "Registry",
    "build_registry",
    "call_plugin",
    "examine",
    "get_registry",
    "hookimpl",
    "hookspec",
    "init_registry",
    "installed_plugins",
    "may_skip",
    "methods_and_paths",
    "select_plugins",
]
