"""The hook implementations of the tenants plugin."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from flask import Flask
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.stages import Stage
from pegboard_tenants.commands import tenants
from pegboard_tenants.directory import get_directory, init_directory
from pegboard_tenants.identity import TenantIdentity
from pegboard_tenants.models import Base
from pegboard_tenants.openapi import describe_key, show_by_tenant
from pegboard_tenants.resource import documents
from pegboard_tenants.settings import TenantsSettings
from pegboard_tenants.stage import TenantStage
from pegboard_tenants.views import blueprint


@pegboard.hookimpl
def pegboard_settings() -> type[TenantsSettings]:
    """Declare the settings."""
    return TenantsSettings


@pegboard.hookimpl
def pegboard_models() -> type[DeclarativeBase]:
    """Register the tables `tenants` and `documents`."""
    return Base


@pegboard.hookimpl
def pegboard_migrations() -> Path:
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl
def pegboard_blueprints() -> Sequence[pegboard.Blueprint]:
    """Serve `/api/documents/`, and `/`."""
    return [documents.blueprint, blueprint]


@pegboard.hookimpl
def pegboard_commands() -> Sequence[click.Command]:
    """Add the commands `pegboard tenants ...`."""
    return [tenants]


@pegboard.hookimpl
def pegboard_setup(app: Flask) -> None:
    """Have the tenants read when the first request comes, and the document shown to each."""
    init_directory(app, pegboard.get_settings(TenantsSettings, app).refresh)
    show_by_tenant(app, get_directory(app))


@pegboard.hookimpl
def pegboard_client_identity(app: Flask) -> Callable[[Mapping[str, Any]], str | None]:
    """Count the clients of a tenant as one."""
    return TenantIdentity(get_directory(app))


@pegboard.hookimpl
def pegboard_stages(app: Flask) -> Sequence[Stage]:
    """Let tenants pass, each to its plugins."""
    return [TenantStage(app, get_directory(app))]


@pegboard.hookimpl
def pegboard_openapi(document: dict[str, Any]) -> None:
    """Say that calls need a key."""
    describe_key(document)
