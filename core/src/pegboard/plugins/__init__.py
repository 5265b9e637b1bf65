"""Which plugins are active, in which order, and what each contributes."""

from pegboard.plugins.collisions import claimed_routes
from pegboard.plugins.contributions import Plugin, call_plugin
from pegboard.plugins.discovery import installed
from pegboard.plugins.hooks import hookimpl, hookspec
from pegboard.plugins.registry import (
    Registry,
    assemble,
    choose,
    get_registry,
    init_registry,
    may_skip,
)

__all__ = [
    "Plugin",
    "Registry",
    "assemble",
    "call_plugin",
    "choose",
    "claimed_routes",
    "get_registry",
    "hookimpl",
    "hookspec",
    "init_registry",
    "installed",
    "may_skip",
]
