"""The hooks that the notes plugin implements."""

from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard_notes.commands import commands
from pegboard_notes.models import Base
from pegboard_notes.resource import resource
from pegboard_notes.settings import NotesSettings


@pegboard.hookimpl
def pegboard_settings() -> type[pegboard.Settings]:
    """Declare the settings."""
    return NotesSettings


@pegboard.hookimpl
def pegboard_models() -> type[DeclarativeBase]:
    """Register the table `notes`."""
    return Base


@pegboard.hookimpl
def pegboard_migrations() -> Path:
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl
def pegboard_blueprints() -> Sequence[pegboard.Blueprint]:
    """Serve what is below `/api/notes/`."""
    return [resource.blueprint]


@pegboard.hookimpl
def pegboard_commands() -> Sequence[click.Command]:
    """Add the commands `pegboard notes …`."""
    return [commands]
