"""Two resources with one noun."""

import pytest
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.problems import StartupError


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Author(Base):
    """An author."""

    __tablename__ = "authors"

    name: Mapped[str] = mapped_column()


class AuthorSchema(Schema):
    """An author."""

    id = fields.Integer(dump_only=True)
    name = fields.String(required=True)


class Library:
    """The plugin."""

    name = "library"

    @pegboard.hookimpl
    def pegboard_blueprints(self):
        """Two resources of authors."""
        return [
            pegboard.Resource(name, __name__, Author, AuthorSchema, noun="author").blueprint
            for name in ("authors", "writers")
        ]


def test_the_start_names_the_noun_that_two_resources_have(make_app):
    """Not the ids of their calls, which no author has written."""
    hint = "The resources authors and writers both have the noun 'author': give one of them another"
    with pytest.raises(StartupError, match=hint):
        make_app(plugins=[Library()])
