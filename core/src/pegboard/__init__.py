"""Pegboard, a Flask platform that a team assembles from plugins."""

from pegboard.annotations import RateLimit, rate_limit, rate_limit_of
from pegboard.api import Blueprint
from pegboard.app import create_app
from pegboard.cache import (
    LEASED,
    CacheStrategy,
    Counters,
    FleetStrategy,
    Key,
    Lease,
    Miss,
    RemoteStrategy,
    Touched,
    Transaction,
    cached,
    get_cache,
)
from pegboard.clients import Clients, client_key, client_of, get_clients
from pegboard.conditional import require_preconditions
from pegboard.config import DevelopmentConfig, ProductionConfig, TestingConfig
from pegboard.core_settings import CoreSettings
from pegboard.database import Model, db, utcnow
from pegboard.errors import UnconfirmedError, abort
from pegboard.health import HealthCheck, NotReadyError, get_health
from pegboard.hooks import hookimpl, hookspec
from pegboard.matches import UNSTAGED
from pegboard.problems import Problem, StartupError
from pegboard.redis import get_redis
from pegboard.redis.channel import (
    Channel,
    ChannelError,
    Command,
    Reply,
    Script,
    command,
    get_channel,
)
from pegboard.registry import get_registry
from pegboard.settings import Settings, get_settings, setting
from pegboard.stages import (
    ANSWER,
    LIMIT,
    Answer,
    Call,
    Handler,
    PromptHandler,
    Route,
    Stage,
    route_of,
)
from pegboard.strict_json import InvalidJSONError, load_json
from pegboard.transactions import transactional
from pegboard.watchdog import no_time_limit

__all__ = [
    "ANSWER",
    "LEASED",
    "LIMIT",
    "UNSTAGED",
    "Answer",
    "Blueprint",
    "CacheStrategy",
    "Call",
    "Channel",
    "ChannelError",
    "Clients",
    "Command",
    "CoreSettings",
    "Counters",
    "DevelopmentConfig",
    "FleetStrategy",
    "Handler",
    "HealthCheck",
    "InvalidJSONError",
    "Key",
    "Lease",
    "Miss",
    "Model",
    "NotReadyError",
    "Problem",
    "ProductionConfig",
    "PromptHandler",
    "RateLimit",
    "RemoteStrategy",
    "Reply",
    "Route",
    "Script",
    "Settings",
    "Stage",
    "StartupError",
    "TestingConfig",
    "Touched",
    "Transaction",
    "UnconfirmedError",
    "abort",
    "cached",
    "client_key",
    "client_of",
    "command",
    "create_app",
    "db",
    "get_cache",
    "get_channel",
    "get_clients",
    "get_health",
    "get_redis",
    "get_registry",
    "get_settings",
    "hookimpl",
    "hookspec",
    "load_json",
    "no_time_limit",
    "rate_limit",
    "rate_limit_of",
    "require_preconditions",
    "route_of",
    "setting",
    "transactional",
    "utcnow",
]
