"""Fixtures for tests of migrations: plugins whose tables and revisions a test makes up."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.database import Model
from pegboard.testing.fixtures import MakeApp

REVISION = '''\
"""{summary}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down_revision!r}


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


class Plugin:
    """A plugin whose tables and revisions a test makes up."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.versions = folder / name / "migrations"
        self.versions.mkdir(parents=True)
        self.base = self.new_base()

    @staticmethod
    def new_base() -> type[DeclarativeBase]:
        """Return a declarative base without models."""

        class Base(Model, DeclarativeBase):
            """The models of a plugin."""

        return Base

    @pegboard.hookimpl
    def pegboard_models(self) -> type[DeclarativeBase]:
        """Bring the models."""
        return self.base

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Bring the revisions."""
        return self.versions

    def model(self, table: str, **columns: Any) -> type[DeclarativeBase]:
        """Add a model; `columns` are mapped columns."""
        return type(table.title(), (self.base,), {"__tablename__": table, **columns})

    def without_models(self) -> "Plugin":
        """Forget the models."""
        self.base = self.new_base()
        return self

    def write(
        self, number: int, upgrade: str, downgrade: str = "pass", *, after: int | None = None
    ) -> Path:
        """Write a revision; it follows the one before it, or the one of that number."""
        before = number - 1 if after is None else after
        path = self.versions / f"{self.name}_{number:04}.py"
        path.write_text(
            REVISION.format(
                summary=f"Revision number {number} of {self.name}",
                revision=f"{self.name}_{number:04}",
                down_revision=f"{self.name}_{before:04}" if before else None,
                upgrade=indent(dedent(upgrade), "    "),
                downgrade=indent(dedent(downgrade), "    "),
            )
        )
        return path

    def create(self, number: int, table: str) -> Path:
        """Write a revision that creates a table with nothing but an id."""
        return self.write(
            number,
            f"op.create_table('{table}', sa.Column('id', sa.Integer(), primary_key=True), "
            "sqlite_autoincrement=True)",
            f"op.drop_table('{table}')",
        )


MakePlugin = Callable[..., Plugin]


@pytest.fixture
def make_plugin(tmp_path: Path) -> MakePlugin:
    """Make plugins without tables and revisions, below a folder."""
    return lambda name, folder=tmp_path: Plugin(name, folder)


@pytest.fixture
def notes(make_plugin: MakePlugin) -> Plugin:
    """A plugin of that name."""
    return make_plugin("notes")


@pytest.fixture
def assemble(make_app: MakeApp, database_url: str) -> Callable[..., Flask]:
    """Build apps of these plugins on one database, which is left as it is."""

    def assemble(*plugins: Plugin) -> Flask:
        return make_app(plugins=plugins, upgrade=False, DATABASE_URL=database_url)

    return assemble


Assemble = Callable[..., Flask]
