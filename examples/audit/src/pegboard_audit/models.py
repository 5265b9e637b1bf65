"""The table `audit_entries`."""

from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class Entry(Base):
    """One row that was written, or one statement that has written any number of them."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index(None, "table_name", "row_key"),)

    who: Mapped[str] = mapped_column(Text)
    """The client of the request, as `user:ada` or `192.0.2.1`; or the command."""
    kind: Mapped[str] = mapped_column(String(7))
    table_name: Mapped[str] = mapped_column(String(130))
    row_key: Mapped[str | None] = mapped_column(Text)
    """The primary key as text; None for a statement."""
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The values that are gone, by column: those changed, or all of a deleted row."""
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The values that came, by column: those changed, or all of a new row."""
