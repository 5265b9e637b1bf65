"""The row that says whether caching is on, and in which epoch."""

from typing import cast

from sqlalchemy import BigInteger, Boolean, Table, Text, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class CacheState(Base):
    """The one row, with the id 1, that all processes read."""

    __tablename__ = "cache_state"
    __table_args__ = {"sqlite_autoincrement": False}  # noqa: RUF012 - SQLAlchemy reads it once

    epoch: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Raised whenever caching is turned on; 0 if it has never been on. Part of every key."""
    enabled: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    servers: Mapped[str] = mapped_column(Text, default="", server_default="")
    """The Redis servers of the epoch, separated by spaces: how keys are made, `@`, the identity."""


table = cast("Table", CacheState.__table__)
"""The table itself, for statements."""
