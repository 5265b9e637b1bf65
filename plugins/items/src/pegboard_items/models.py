"""The table `items`."""

from typing import cast

from sqlalchemy import Index, String, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard

NAME_LENGTH = 100


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class Item(Base):
    """Something with a name; other programs may write the table too."""

    __tablename__ = "items"
    __table_args__ = (
        Index(None, "name", "id"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
    )

    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    """1 to 100 characters."""
    description: Mapped[str | None] = mapped_column(Text)
    """What there is to say of it, or nothing."""


MAX_ID = 2**31 - 1
"""The largest id that the column can hold."""

table = cast("Table", Item.__table__)
"""The table itself, for statements on many rows."""
