"""The hook implementations of the items plugin."""

from collections.abc import Sequence
from pathlib import Path

import click
from flask import Flask
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.resources import Listener
from pegboard_items import hookspecs
from pegboard_items.events import item_listeners
from pegboard_items.models import Base
from pegboard_items.readiness import table_is_readable
from pegboard_items.settings import ItemsSettings
from pegboard_items.views import commands, resource


@pegboard.hookimpl(pegboard.hookspec.pegboard_settings)
def pegboard_settings() -> type[ItemsSettings]:
    """Declare the settings."""
    return ItemsSettings


@pegboard.hookimpl(pegboard.hookspec.pegboard_models)
def pegboard_models() -> type[DeclarativeBase]:
    """Register the table `items`."""
    return Base


@pegboard.hookimpl(pegboard.hookspec.pegboard_migrations)
def pegboard_migrations() -> Path:
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl(pegboard.hookspec.pegboard_blueprints)
def pegboard_blueprints() -> Sequence[pegboard.Blueprint]:
    """Serve `/api/items/`."""
    return [resource.blueprint]


@pegboard.hookimpl(pegboard.hookspec.pegboard_commands)
def pegboard_commands() -> Sequence[click.Command]:
    """Add the commands `pegboard items import`, `export` and `seed`."""
    return [commands]


@pegboard.hookimpl(pegboard.hookspec.pegboard_health_checks)
def pegboard_health_checks() -> Sequence[pegboard.HealthCheck]:
    """Check that the database role of the service may read the table."""
    return [pegboard.HealthCheck("table", table_is_readable)]


@pegboard.hookimpl(pegboard.hookspec.pegboard_hookspecs)
def pegboard_hookspecs() -> object:
    """Declare the hooks by which other plugins see items before and after a write."""
    return hookspecs


@pegboard.hookimpl(pegboard.hookspec.pegboard_listeners)
def pegboard_listeners(app: Flask) -> Sequence[Listener]:
    """Call the hooks of items for what is written."""
    return item_listeners(app)
