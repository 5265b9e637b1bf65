"""Fixtures of the tests of the app."""

from collections.abc import Callable

import pytest
from flask import Flask

import pegboard
from pegboard.testing.fixtures import MakeApp

StartViews = Callable[[Callable[[pegboard.Blueprint], object]], Flask]


@pytest.fixture
def start_views(make_app: MakeApp) -> StartViews:
    """Start a service of a plugin whose views a function adds to its blueprint, at `/notes`."""

    def start(views: Callable[[pegboard.Blueprint], object]) -> Flask:
        class Notes:
            name = "notes"

            @pegboard.hookimpl
            def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
                blueprint = pegboard.Blueprint("notes", __name__, url_prefix="/notes")
                views(blueprint)
                return [blueprint]

        return make_app(plugins=[Notes()])

    return start
