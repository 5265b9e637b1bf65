"""The tables `tenants` and `documents`."""

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of this plugin."""


class Tenant(Base):
    """A customer."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(String(40), unique=True)
    key_digest: Mapped[str] = mapped_column(String(64), unique=True)
    """The SHA-256 of the key, which itself is stored nowhere."""
    disabled: Mapped[list[str]] = mapped_column(JSON, default=list)
    """The plugins whose routes are not there for the tenant."""


class Owned:
    """Mixin for a model of which each row is one tenant's, also for models of other plugins."""

    tenant_id: Mapped[int] = mapped_column(ForeignKey(Tenant.id), index=True)


class Document(Owned, Base):
    """A text of a tenant."""

    __tablename__ = "documents"
    # With the tenant in it: a title that another tenant has is free.
    __table_args__ = (UniqueConstraint("tenant_id", "title"),)

    title: Mapped[str] = mapped_column(String(100))
    text: Mapped[str | None] = mapped_column(Text)
