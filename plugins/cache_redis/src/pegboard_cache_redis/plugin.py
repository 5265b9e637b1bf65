"""The hooks that the cache_redis plugin implements."""

from pathlib import Path

from flask import Flask
from flask.sessions import SessionInterface
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.cache import CacheStrategy
from pegboard_cache_redis.cache import make_strategy
from pegboard_cache_redis.models import Base
from pegboard_cache_redis.requirements import require_redis
from pegboard_cache_redis.sessions import make_session_interface
from pegboard_cache_redis.settings import CacheRedisSettings


@pegboard.hookimpl(pegboard.hookspec.pegboard_settings)
def pegboard_settings() -> type[CacheRedisSettings]:
    """Declare the prefix of keys, and bounds on values and sessions."""
    return CacheRedisSettings


@pegboard.hookimpl(pegboard.hookspec.pegboard_models)
def pegboard_models() -> type[DeclarativeBase]:
    """Contribute the table `cache_state`."""
    return Base


@pegboard.hookimpl(pegboard.hookspec.pegboard_migrations)
def pegboard_migrations() -> Path:
    """Contribute the migrations of that table."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl(pegboard.hookspec.pegboard_setup)
def pegboard_setup(app: Flask) -> None:
    """Refuse an app without Redis, except in development."""
    require_redis(app)


@pegboard.hookimpl(pegboard.hookspec.pegboard_cache_strategy)
def pegboard_cache_strategy(app: Flask) -> CacheStrategy | None:
    """Provide a cache in Redis."""
    return make_strategy(app)


@pegboard.hookimpl(pegboard.hookspec.pegboard_session_strategy)
def pegboard_session_strategy(app: Flask) -> SessionInterface | None:
    """Provide sessions in Redis."""
    return make_session_interface(app)
