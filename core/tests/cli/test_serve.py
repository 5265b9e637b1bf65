"""`pegboard serve`, as far as it is the command line's."""

import json

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService

PROBE = """
from flask import current_app, Blueprint

probe = Blueprint("probe", __name__)

@probe.get("/debug")
def debug():
    return {"debug": current_app.debug}

@pegboard.hookimpl
def pegboard_blueprints():
    return [probe]
"""


@pytest.mark.slow
def test_the_configuration_decides_on_debug_in_the_workers(
    plugin_folder: PluginFolder, live_server: StartService
) -> None:
    """FLASK_DEBUG, which Flask's own commands obey, neither turns it off nor on."""
    plugin_folder.add("probe", PROBE)
    for flask, ours in (("0", True), ("1", False)):
        server = live_server(
            upgrade=False,
            FLASK_DEBUG=flask,
            PEGBOARD_DEBUG=str(ours),
            PEGBOARD_PLUGINS="probe",
            PYTHONPATH=str(plugin_folder.path),
        )
        _, body = server.request("GET", "/debug")
        assert {"debug": ours} == json.loads(body)
