"""Pegboard, a Flask platform that a team assembles from plugins.

What every plugin needs is here. The rest of the public API is in `pegboard.stages`,
`pegboard.cache`, `pegboard.redis`, `pegboard.clients`, `pegboard.resources`,
`pegboard.annotations`, `pegboard.background`, `pegboard.clock`, `pegboard.deprecation` and
`pegboard.testing`.
"""

from typing import TYPE_CHECKING

from pegboard.annotations import rate_limit
from pegboard.api import Blueprint, HealthCheck, NotReadyError, get_health
from pegboard.app import create_app
from pegboard.cache import cached
from pegboard.clock import utcnow
from pegboard.database import Model, Statement, db, transactional
from pegboard.deprecation import Deprecation, moved_names
from pegboard.forking import after_fork
from pegboard.http import abort, require_preconditions
from pegboard.plugins import get_registry, hookimpl, hookspec
from pegboard.problems import Problem, ProblemCode, StartupError
from pegboard.resources import Resource
from pegboard.settings import (
    CoreSettings,
    DevelopmentConfig,
    ProductionConfig,
    Settings,
    TestingConfig,
    get_settings,
    setting,
)
from pegboard.transfer import transfer_commands

__all__ = [
    "Blueprint",
    "CoreSettings",
    "DevelopmentConfig",
    "HealthCheck",
    "Model",
    "NotReadyError",
    "Problem",
    "ProblemCode",
    "ProductionConfig",
    "Resource",
    "Settings",
    "StartupError",
    "Statement",
    "TestingConfig",
    "abort",
    "after_fork",
    "cached",
    "create_app",
    "db",
    "get_health",
    "get_registry",
    "get_settings",
    "hookimpl",
    "hookspec",
    "rate_limit",
    "require_preconditions",
    "setting",
    "transactional",
    "transfer_commands",
    "utcnow",
]

if not TYPE_CHECKING:
    __getattr__ = moved_names(
        __name__, {"no_time_limit": Deprecation("pegboard.resources.no_time_limit", "0.2")}
    )
