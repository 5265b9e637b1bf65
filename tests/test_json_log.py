"""Where the log is JSON, every line that the processes of a service write is."""

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import StartService
from pegboard.testing.services import clean_environment

pytestmark = pytest.mark.slow

LOUD = '''
import logging
import threading
import warnings

import flask
import pegboard

blueprint = flask.Blueprint("loud", __name__)


class Broken:
    def __del__(self):
        raise ZeroDivisionError


@blueprint.get("/loud")
def be_loud():
    """Have Python write to standard error in each way that it has."""
    warnings.warn("a warning", stacklevel=1)
    thread = threading.Thread(target=lambda: 1 / 0, name="loud")
    thread.start()
    thread.join()
    Broken()
    logging.getLogger("loud").error("%d", "no number")
    odd = {"ratio": float("nan"), "level": "loud", "time": "now"}
    logging.getLogger("loud").error("odd", extra=odd)
    return "loud"


@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
'''

APP = '''
import os
import pathlib
import pegboard

STARTED = pathlib.Path("started")
FAULT = os.environ["FAULT"]


def create_app():
    """Fail in the process that checks the service, or in the worker."""
    if FAULT == "check" or FAULT == "worker" and STARTED.exists():
        raise ZeroDivisionError
    STARTED.touch()
    return pegboard.create_app(plugins=[])
'''


def test_what_python_writes_itself_is_json(live_server: StartService, plugin_folder: PluginFolder):
    """Warnings, errors that nothing handles, and records that cannot be formatted."""
    plugin_folder.add("loud", LOUD)
    server = live_server(plugins=["loud"], LOG_FORMAT="json", ACCESS_LOG_SHARE="0")
    assert 200 == server.request("GET", "/loud")[0]
    server.stop()
    lines = _lines(server.output)
    uncaught = [line["message"] for line in lines if line["logger"] == "pegboard.uncaught"]
    assert ["UserWarning", "a thread ends by an error", "Exception ignored in"] == [
        message.partition(":")[0] for message in uncaught
    ]
    [broken] = [line for line in lines if line["logger"] == "pegboard.logs.broken"]
    assert "a line of the log cannot be made of '%d'" in broken["message"]
    [odd] = [line for line in lines if line["message"] == "odd"]
    assert ("nan", "ERROR", "loud", "now") == (
        odd["ratio"],
        odd["level"],
        odd["extra_level"],
        odd["extra_time"],
    )
    traces = [line["exc_info"] for line in lines if "exc_info" in line]
    assert 3 == len(traces)
    assert all(trace.startswith("Traceback") for trace in traces)


@pytest.mark.parametrize(
    "fault,message",
    [
        ("settings", "the service cannot start: SECRET_KEY is missing in production"),
        ("check", "the service cannot start"),
        ("worker", "the service cannot start"),
    ],
)
def test_a_refused_start_is_json(tmp_path: Path, fault: str, message: str):
    """In production: problems with codes and hints; of what is none, the traceback."""
    (tmp_path / "wsgi.py").write_text(APP)
    settings = {
        "PEGBOARD_ENV": "production",
        "DATABASE_URL": "sqlite:///a.db",
        "SECRET_KEY": "" if fault == "settings" else secrets.token_hex(),
        "FAULT": fault,
    }
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "serve", "--port", "0"],
        cwd=tmp_path,
        env=clean_environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert 1 == done.returncode
    [line] = [one for one in _lines(done.stdout) if message == one["message"]]
    assert "CRITICAL" == line["level"]
    if fault == "settings":
        assert "PB_PRODUCTION_SECRET_KEY" == line["code"]
        assert line["hint"].startswith("Set SECRET_KEY or SECRET_KEY_FILE")
    else:
        assert "ZeroDivisionError" in line["exc_info"]


def _lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]
