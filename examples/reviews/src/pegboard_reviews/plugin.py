"""The hook implementations of the reviews plugin."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard_reviews.models import Base
from pegboard_reviews.resource import reviews


@pegboard.hookimpl
def pegboard_models() -> type[DeclarativeBase]:
    """Register the table `reviews`."""
    return Base


@pegboard.hookimpl
def pegboard_migrations() -> Path:
    """Return the folder of the revisions."""
    return Path(__file__).parent / "migrations"


@pegboard.hookimpl
def pegboard_blueprints() -> Sequence[pegboard.Blueprint]:
    """Serve `/api/reviews/`."""
    return [reviews.blueprint]
