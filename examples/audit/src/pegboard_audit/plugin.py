"""The hook implementations of the audit plugin."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.resources import Listener
from pegboard_audit.log import keep_entries, write_entries
from pegboard_audit.models import Base, Entry
from pegboard_audit.resource import entries
from pegboard_audit.settings import AuditSettings


@pegboard.hookimpl
def pegboard_settings() -> type[AuditSettings]:
    """Declare the settings."""
    return AuditSettings


@pegboard.hookimpl
def pegboard_models() -> type[DeclarativeBase]:
    """Register the table `audit_entries`."""
    return Base


@pegboard.hookimpl
def pegboard_migrations() -> Path:
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl
def pegboard_blueprints() -> Sequence[pegboard.Blueprint]:
    """Serve `/api/audit/`."""
    return [entries.blueprint]


@pegboard.hookimpl
def pegboard_listeners() -> Sequence[Listener]:
    """Log the rows of all models, and keep the log as it is."""
    return [Listener(written=write_entries), Listener([Entry], before_write=keep_entries)]
