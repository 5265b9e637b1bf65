"""Pegboard, a Flask platform that a team assembles from plugins."""

from pegboard.annotations import RateLimit, rate_limit, rate_limit_of
from pegboard.api import Blueprint
from pegboard.app import create_app
from pegboard.clients import client_of
from pegboard.config import CoreSettings, DevelopmentConfig, ProductionConfig, TestingConfig
from pegboard.database import Model, db, utcnow
from pegboard.errors import abort
from pegboard.health import HealthCheck, NotReadyError
from pegboard.hooks import hookimpl, hookspec
from pegboard.problems import Problem, StartupError
from pegboard.redis import get_redis
from pegboard.registry import get_registry
from pegboard.settings import Settings, get_settings, setting
from pegboard.strict_json import InvalidJSONError, load_json
from pegboard.transactions import transactional
from pegboard.watchdog import no_time_limit

__all__ = [
    "Blueprint",
    "CoreSettings",
    "DevelopmentConfig",
    "HealthCheck",
    "InvalidJSONError",
    "Model",
    "NotReadyError",
    "Problem",
    "ProductionConfig",
    "RateLimit",
    "Settings",
    "StartupError",
    "TestingConfig",
    "abort",
    "client_of",
    "create_app",
    "db",
    "get_redis",
    "get_registry",
    "get_settings",
    "hookimpl",
    "hookspec",
    "load_json",
    "no_time_limit",
    "rate_limit",
    "rate_limit_of",
    "setting",
    "transactional",
    "utcnow",
]
