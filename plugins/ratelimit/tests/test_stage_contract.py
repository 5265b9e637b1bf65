"""The stage of limits keeps the contract of stages, whoever counts."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from pegboard.testing.contracts import StageContract
from pegboard_ratelimit.enforcement import Limiter, LimitStage


@pytest.mark.parametrize("counted_by", ["each worker", "redis"])
class TestLimitStage(StageContract):
    """Counted in the process, and in Redis."""

    @pytest.fixture
    def app(
        self, make_app: Any, shelf: object, request: pytest.FixtureRequest, counted_by: str
    ) -> Flask:
        """An app with things and limits."""
        urls = {"REDIS_URL": request.getfixturevalue("redis_url")} if counted_by == "redis" else {}
        app: Flask = make_app(plugins=[shelf, "ratelimit"], RATELIMIT_DEFAULT="1000/minute", **urls)
        return app

    @pytest.fixture
    def stage(self, app: Flask, limiter_of: Callable[[Flask], Limiter]) -> LimitStage:
        """As the plugin makes it."""
        return LimitStage(limiter_of(app))
