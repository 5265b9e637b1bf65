"""The base of every model."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import CheckConstraint, DateTime, Integer, MetaData, Table, func, inspect
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.default import DefaultDialect, DefaultExecutionContext
from sqlalchemy.exc import CompileError, UnsupportedCompilationError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pegboard.clock import utcnow


def _check_constraint_name(constraint: CheckConstraint, _table: Table) -> str:
    """Return the name that was given to a CHECK constraint, or one made of its condition."""
    if isinstance(constraint.name, str):
        return constraint.name
    # Not for one database, so that models and revisions find the same name wherever they are.
    compiled = constraint.sqltext.compile(
        dialect=DefaultDialect(),
        compile_kwargs={"literal_binds": True, "include_table": False},
    )
    condition = " ".join(str(compiled).split())
    words = "_".join(re.findall("[a-z0-9]+", condition.lower()))
    return f"{words[:24].strip('_')}_{hashlib.sha256(condition.encode()).hexdigest()[:6]}"


NAMING_CONVENTION: Mapping[str, Any] = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(check_constraint_name)s",
    "check_constraint_name": _check_constraint_name,
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""How constraints without a name are named, so that a migration can drop them on any database."""


def _has_sqlite_ids(table: Table) -> bool:
    """Return whether the primary key is of the kind for which SQLite knows `AUTOINCREMENT`."""
    key = [*table.primary_key.columns]
    if len(key) != 1 or key[0].foreign_keys:
        return False
    try:
        return bool(key[0].type.compile(sqlite.dialect()) == "INTEGER")
    except (CompileError, UnsupportedCompilationError):
        return False


def _creation_time(context: DefaultExecutionContext) -> datetime:
    try:
        parameters = context.get_current_parameters()  # type: ignore[no-untyped-call]
    except AttributeError:  # SQLAlchemy 2 does not know an INSERT in `from_statement` as one
        parameters = context.current_parameters
    created_at: datetime | None = parameters.get("created_at")
    return created_at or utcnow()


class Model:
    """Mixin for the declarative base of a plugin: an id and two times for every model.

    `created_at` and `updated_at` are UTC without a time zone. The base gets a registry and metadata
    of its own, so that the tables of two plugins stay apart, and names for constraints that have
    none::

        class Base(pegboard.Model, DeclarativeBase):
            \"\"\"The models of this plugin.\"\"\"
    """

    if TYPE_CHECKING:
        metadata: ClassVar[MetaData]

    id: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-1)
    """The primary key, a number that the database assigns, and never again after a deletion."""
    created_at: Mapped[datetime | None] = mapped_column(
        DateTime, default=utcnow, server_default=func.current_timestamp(), sort_order=998
    )
    """When the row was inserted: UTC, without a time zone."""
    updated_at: Mapped[datetime | None] = mapped_column(
        DateTime,
        default=_creation_time,
        onupdate=utcnow,
        server_default=func.current_timestamp(),
        sort_order=999,
    )
    """When the row was last changed, at first when it was inserted: UTC, without a time zone."""

    @classmethod
    def __table_cls__(cls, *args: Any, **options: Any) -> Table:
        """Make the table of a model; on SQLite, too, the id of a deleted row is not used again."""
        table = Table(*args, **options)
        if "sqlite_autoincrement" not in options and _has_sqlite_ids(table):
            table.dialect_kwargs["sqlite_autoincrement"] = True
        return table

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if DeclarativeBase in cls.__bases__ and "metadata" not in cls.__dict__:
            cls.metadata = MetaData(naming_convention=NAMING_CONVENTION)
        super().__init_subclass__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as a dictionary: the value of every column by its attribute's name."""
        attributes = inspect(type(self)).column_attrs
        return {attribute.key: getattr(self, attribute.key) for attribute in attributes}
