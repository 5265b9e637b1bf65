"""What an app keeps, read where there is no current app."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import pegboard
from pegboard.cache import get_cache
from pegboard.clients import get_clients
from pegboard.migrations import get_migrate
from pegboard.problems import Code
from pegboard.redis import get_channel, get_redis
from pegboard.testing.distributions import PluginFolder


@pytest.mark.parametrize(
    "getter",
    [
        get_cache,
        get_channel,
        get_clients,
        get_migrate,
        get_redis,
        pegboard.get_health,
        pegboard.get_registry,
    ],
)
def test_the_call_that_works_is_named(getter: Callable[..., Any]) -> None:
    """In one line, other than Werkzeug's message of the context."""
    assert ["app"] == [*inspect.signature(getter).parameters]
    with pytest.raises(RuntimeError, match=rf"^.*: write {getter.__name__}\(app\); .*$"):
        getter()


def test_settings_that_a_set_up_reads_need_the_app(plugin_folder: PluginFolder) -> None:
    """The problem has one line, and the class to name."""
    plugin_folder.add(
        "shop",
        """
        class ShopSettings(pegboard.Settings):
            pass

        @pegboard.hookimpl
        def pegboard_settings():
            return ShopSettings

        @pegboard.hookimpl
        def pegboard_setup(app):
            pegboard.get_settings(ShopSettings)
        """,
    )
    with pytest.raises(pegboard.StartupError) as caught:
        pegboard.create_app({"ENV": "testing", "PLUGINS": "shop"})
    (problem,) = caught.value.problems
    assert Code.HOOK_FAILED == problem.code
    assert "write get_settings(ShopSettings, app); " in problem.summary


def test_an_error_of_several_lines_is_told_in_one(plugin_folder: PluginFolder) -> None:
    """As that of Flask without a current app."""
    plugin_folder.add(
        "shop",
        """
        import flask

        @pegboard.hookimpl
        def pegboard_setup():
            flask.current_app.config
        """,
    )
    with pytest.raises(pegboard.StartupError) as caught:
        pegboard.create_app({"ENV": "testing", "PLUGINS": "shop"})
    (problem,) = caught.value.problems
    assert "Working outside of application context. " in problem.summary
    assert "\n" not in problem.summary
