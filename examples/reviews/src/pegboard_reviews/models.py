"""The table `reviews`."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard_items import Item

AUTHOR_LENGTH = 80


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class Review(Base):
    """What somebody thinks of an item; a draft until it is published."""

    __tablename__ = "reviews"
    # Each sort key with the id, so that a page by cursor costs the same in a large table.
    __table_args__ = (Index(None, "rating", "id"), Index(None, "published_at", "id"))

    item_id: Mapped[int] = mapped_column(ForeignKey(Item.id), index=True)
    author: Mapped[str] = mapped_column(String(AUTHOR_LENGTH))
    rating: Mapped[int]
    text: Mapped[str | None] = mapped_column(Text)
    published_at: Mapped[datetime | None]
