"""The `pegboard` command as a process of its own: run to its end, or serving."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from pegboard.testing.processes import Server, free_port

__all__ = ["LiveServer", "run_pegboard"]

COMMAND = [sys.executable, "-c", "from pegboard_command import main; main()"]
UNPREFIXED_VARIABLES = {
    *("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CORS_ORIGINS", "HOST", "PORT", "WORKERS"),
    *("FLASK_APP", "FLASK_DEBUG", "FLASK_RUN_PORT", "WEB_CONCURRENCY"),
}

PLUGINS_VARIABLE = "PEGBOARD_TEST_PLUGINS"


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the settings of Pegboard and Flask, plus the given ones.

    If these do not say which plugins are active, `PEGBOARD_TEST_PLUGINS` does.
    """
    plugins = os.environ.get(PLUGINS_VARIABLE)
    if plugins is not None:
        settings = {"PEGBOARD_PLUGINS": plugins, **settings}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PEGBOARD_")
        and name.removesuffix("_FILE") not in UNPREFIXED_VARIABLES
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def run_pegboard(
    *arguments: str, directory: Path, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run `pegboard ARGUMENTS` in that directory; settings are environment variables."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env=clean_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


class LiveServer(Server):
    """`pegboard serve` on a free port; settings are environment variables."""

    def __init__(self, **settings: str) -> None:
        """Prepare the service; its working directory is an empty one of its own."""
        port = free_port()
        super().__init__(
            [*COMMAND, "serve"],
            port=port,
            directory=Path(tempfile.mkdtemp(prefix="pegboard-")),
            environment=clean_environment(
                {"PEGBOARD_ENV": "development", **settings, "HOST": "127.0.0.1", "PORT": str(port)}
            ),
        )
        self.url = f"http://127.0.0.1:{port}"
        """The service's address, without a slash at the end."""

    def request(
        self, method: str, path: str, body: object = None, timeout: float = 10
    ) -> tuple[int, bytes]:
        """Send a request, its body as JSON; returns the status and the body of the answer.

        `timeout` is in seconds. Raises `OSError` when there is no answer in time.
        """
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            text, headers = None, {}
            if body is not None:
                text, headers = json.dumps(body), {"Content-Type": "application/json"}
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def answers(self) -> bool:
        """Return whether `/health` answers 200."""
        try:
            return self.request("GET", "/health", timeout=2)[0] == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
