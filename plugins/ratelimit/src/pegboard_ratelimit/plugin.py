"""The hook implementations of the ratelimit plugin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from flask import Flask
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.stages import Stage
from pegboard_ratelimit import hookspecs
from pegboard_ratelimit.commands import ratelimit
from pegboard_ratelimit.enforcement import LimitStage, init_limiter
from pegboard_ratelimit.models import Base
from pegboard_ratelimit.openapi import describe_limits
from pegboard_ratelimit.settings import RatelimitSettings


@pegboard.hookimpl(pegboard.hookspec.pegboard_settings)
def pegboard_settings() -> type[RatelimitSettings]:
    """Declare the settings."""
    return RatelimitSettings


@pegboard.hookimpl(pegboard.hookspec.pegboard_models)
def pegboard_models() -> type[DeclarativeBase]:
    """Register the table `ratelimit_rules`."""
    return Base


@pegboard.hookimpl(pegboard.hookspec.pegboard_migrations)
def pegboard_migrations() -> Path:
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl(pegboard.hookspec.pegboard_commands)
def pegboard_commands() -> Sequence[click.Command]:
    """Add the commands `pegboard ratelimit rules ...`."""
    return [ratelimit]


@pegboard.hookimpl(pegboard.hookspec.pegboard_hookspecs)
def pegboard_hookspecs() -> object:
    """Declare the hook by which another plugin provides the storage."""
    return hookspecs


@pegboard.hookimpl(pegboard.hookspec.pegboard_stages)
def pegboard_stages(app: Flask) -> Sequence[Stage]:
    """Count each request before Flask sees it."""
    limiter = init_limiter(app)
    return [LimitStage(limiter)] if limiter is not None else []


@pegboard.hookimpl(pegboard.hookspec.pegboard_openapi)
def pegboard_openapi(app: Flask, document: dict[str, Any]) -> None:
    """Document 429 and the headers of rate limits."""
    describe_limits(app, document)
