"""The table `ratelimit_rules`."""

from datetime import datetime
from typing import cast

from sqlalchemy import DateTime, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard

TEXT_LENGTH = 200


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class RatelimitRule(Base):
    """A rule that takes effect while the service runs; other programs may write the table too."""

    __tablename__ = "ratelimit_rules"

    client: Mapped[str] = mapped_column(String(TEXT_LENGTH), default="*", server_default="*")
    route: Mapped[str] = mapped_column(String(TEXT_LENGTH), default="*", server_default="*")
    methods: Mapped[str] = mapped_column(String(TEXT_LENGTH), default="*", server_default="*")
    limits: Mapped[str] = mapped_column(String(TEXT_LENGTH))
    """`10/minute;100/day`, or `none` for an exemption."""
    on_failure: Mapped[str | None] = mapped_column(String(TEXT_LENGTH))
    until: Mapped[datetime | None] = mapped_column(DateTime)
    """When the rule ends, in UTC."""
    note: Mapped[str | None] = mapped_column(String(TEXT_LENGTH))


table = cast("Table", RatelimitRule.__table__)
"""The table itself, for reading rows that the model could not load."""
