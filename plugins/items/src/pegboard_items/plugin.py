"""What the items plugin hangs on which hook."""

from collections.abc import Sequence
from pathlib import Path

import click
from flask import Flask
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard_items import hookspecs
from pegboard_items.commands import items
from pegboard_items.events import init_events
from pegboard_items.models import Base
from pegboard_items.readiness import table_is_readable
from pegboard_items.settings import ItemsSettings
from pegboard_items.sql import init_sql
from pegboard_items.views import blueprint


@pegboard.hookimpl
def pegboard_settings() -> type[ItemsSettings]:
    """Declare page sizes and the bounds of an import."""
    return ItemsSettings


@pegboard.hookimpl
def pegboard_models() -> type[DeclarativeBase]:
    """Own the table `items`."""
    return Base


@pegboard.hookimpl
def pegboard_migrations() -> Path:
    """Say where the history of the table is."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl
def pegboard_blueprints() -> Sequence[pegboard.Blueprint]:
    """Serve `/api/items/`."""
    return [blueprint]


@pegboard.hookimpl
def pegboard_commands() -> Sequence[click.Command]:
    """Add `pegboard items import`, `export` and `seed`."""
    return [items]


@pegboard.hookimpl
def pegboard_health_checks() -> Sequence[pegboard.HealthCheck]:
    """Check that the table can be read by whatever role the service connects as."""
    return [pegboard.HealthCheck("table", table_is_readable)]


@pegboard.hookimpl
def pegboard_hookspecs() -> object:
    """Let other plugins take part in an item's life."""
    return hookspecs


@pegboard.hookimpl
def pegboard_setup(app: Flask) -> None:
    """Watch the sessions for items, and teach SQLite about letters beyond ASCII."""
    init_events(app)
    init_sql(app)
