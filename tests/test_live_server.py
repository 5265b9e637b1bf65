"""The fixture `live_server` starts services as a test needs them."""

from datetime import timedelta
from typing import Any

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.processes import ServerError

pytestmark = pytest.mark.slow

ECHO = """
import os
from flask import current_app, request

class EchoSettings(pegboard.Settings):
    words: tuple[str, ...] = pegboard.setting(doc="Words to echo.")
    loud: bool = pegboard.setting(False, doc="Whether to shout.")

blueprint = pegboard.Blueprint("echo", __name__)

@blueprint.get("/echo")
def echo():
    settings = pegboard.get_settings(EchoSettings)
    return {"words": settings.words, "loud": settings.loud, "pid": os.getpid(),
            "name": request.headers.get("X-Name"), "mine": current_app.config["MINE"],
            "lifetime": current_app.permanent_session_lifetime.seconds}, 200, {"X-Answer": "yes"}

@pegboard.hookimpl
def pegboard_settings():
    return EchoSettings

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def test_a_service_takes_what_an_app_takes(
    plugin_folder: PluginFolder, live_server: StartService
) -> None:
    """Plugins, settings of any type by their keys, other keys, headers, and several workers."""
    plugin_folder.add("echo", ECHO)
    others: dict[str, Any] = {"MINE": None, "PERMANENT_SESSION_LIFETIME": timedelta(seconds=5)}
    server = live_server(
        plugins=["echo"], WORKERS=2, ECHO_WORDS=["a,b", "c"], ECHO_LOUD=True, **others
    )
    answer = server.send("GET", "/echo", headers={"X-Name": "Ada", "Connection": "close"})
    assert (200, "yes") == (answer.status, answer.headers["x-answer"])
    found = answer.json()
    assert (["a,b", "c"], True, "Ada") == (found["words"], found["loud"], found["name"])
    assert (None, 5) == (found["mine"], found["lifetime"])
    assert 2 == len(server.workers)
    assert found["pid"] in server.workers
    assert 404 == server.request("GET", "/api/items/", headers={"X-Name": "Ada"})[0]


def test_a_plugin_object_is_refused(live_server: StartService) -> None:
    """Another process cannot have it."""
    with pytest.raises(TypeError, match="finds plugins by name"):
        live_server(plugins=[object()])  # type: ignore[list-item]


def test_a_value_that_an_app_refuses_is_refused(live_server: StartService) -> None:
    """None is no text of a variable, and reaches the app as it is."""
    with pytest.raises(ServerError, match=r"setting SECRET_KEY \(create_app\): .* not allowed"):
        live_server(plugins=[], SECRET_KEY=None)


def test_a_value_that_only_this_process_has_is_refused(live_server: StartService) -> None:
    """The message names its key."""
    with pytest.raises(TypeError, match=r"to which MINE=<function .* cannot be given"):
        live_server(plugins=[], MINE=lambda: 1)
