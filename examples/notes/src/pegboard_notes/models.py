"""The table `notes`."""

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard

TITLE_LENGTH = 100


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class Note(Base):
    """One row of the table; `pegboard.Model` has its id and its times."""

    __tablename__ = "notes"
    # Each sort key with the id: a page by cursor then costs the same in a large table.
    __table_args__ = (
        Index("ix_notes_title_id", "title", "id"),
        Index("ix_notes_created_at_id", "created_at", "id"),
    )

    title: Mapped[str] = mapped_column(String(TITLE_LENGTH))
    text: Mapped[str | None] = mapped_column(Text)
