"""The `pegboard` command as a process of its own: run to its end, or serving."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import psutil

from pegboard.testing.processes import Server, free_port, wait_until

__all__ = ["LiveAnswer", "LiveServer", "run_pegboard"]

COMMAND = [sys.executable, "-c", "from pegboard_command import main; main()"]
UNPREFIXED_VARIABLES = {
    *(
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "DATABASE_URL",
        "REDIS_URL",
        "CORS_ORIGINS",
        "HOST",
        "PORT",
        "WORKERS",
    ),
    *("FLASK_APP", "FLASK_DEBUG", "FLASK_RUN_PORT", "WEB_CONCURRENCY"),
}

PLUGINS_VARIABLE = "PEGBOARD_TEST_PLUGINS"

_NOTHING: Mapping[str, object] = MappingProxyType({})
_GIVEN = """
import functools, pickle
from flask.cli import ScriptInfo
from pegboard import create_app
from pegboard.cli import main
given = functools.partial(create_app, pickle.loads({!r}))
main(obj=ScriptInfo(create_app=given, set_debug_flag=False))
"""
"""Runs the command on an app that `create_app` builds of a pickled configuration."""


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


def _command(config: Mapping[str, object]) -> list[str]:
    """Return what runs `pegboard`; its app is given the configuration, if there is one."""
    for key, value in config.items():
        try:
            pickle.dumps(value)
        except Exception as error:
            message = (
                f"the app is built in a process of its own, to which {key}={value!r:.80} cannot be "
                f"given ({error}); give it a value that pickle takes, or use make_app"
            )
            raise TypeError(message) from error
    return [sys.executable, "-c", _GIVEN.format(pickle.dumps({**config}))] if config else COMMAND


def run_pegboard(
    *arguments: str, directory: Path, **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run `pegboard ARGUMENTS` in that directory; settings are environment variables."""
    return run_with(_NOTHING, arguments, directory, settings)


def run_with(
    config: Mapping[str, object],
    arguments: Sequence[str],
    directory: Path,
    settings: Mapping[str, str],
) -> "subprocess.CompletedProcess[str]":
    """Run `pegboard ARGUMENTS` on an app that is given the configuration besides the settings.

    Raises `TypeError` for a value that cannot be pickled.
    """
    return subprocess.run(
        [*_command(config), *arguments],
        cwd=directory,
        env=clean_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass(frozen=True)
class LiveAnswer:
    """What a service that is a process of its own has answered."""

    status: int
    """The status code."""
    headers: Message
    """The headers; their names may be spelled in any case."""
    body: bytes
    """The body as it was sent, compressed if the request has asked for that."""

    def json(self) -> Any:
        """Return what the body is as JSON; raises `ValueError` if it is none."""
        return json.loads(self.body)


class LiveServer(Server):
    """`pegboard serve` on a free port; settings are environment variables."""

    _is_dependency = False

    def __init__(self, config: Mapping[str, object] = _NOTHING, /, **settings: str) -> None:
        """Prepare the service; its working directory is an empty one of its own.

        `config` is what `create_app` is given besides. Raises `TypeError` for a value that cannot
        be pickled.
        """
        port = free_port()
        super().__init__(
            [*_command(config), "serve"],
            port=port,
            directory=Path(tempfile.mkdtemp(prefix="pegboard-")),
            environment=clean_environment(
                {"PEGBOARD_ENV": "development", **settings, "HOST": "127.0.0.1", "PORT": str(port)}
            ),
        )
        self._expected = int(settings.get("WORKERS", "1"))
        self.url = f"http://127.0.0.1:{port}"
        """The service's address, without a slash at the end."""

    @property
    def workers(self) -> list[int]:
        """The ids of the processes that serve, without the one that watches them."""
        return [one.pid for one in psutil.Process(self.pid).children()]

    def start(self) -> Self:
        """Start the service, and wait until all its workers are there and one of them answers.

        Raises `ServerError` when it does not start.
        """
        super().start()
        wait_until(lambda: len(self.workers) >= self._expected, "all workers have started")
        return self

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        timeout: float = 10,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Send a request, its body as JSON; returns the status and the body of the answer.

        `timeout` is in seconds. Raises `OSError` when there is no answer in time.
        """
        answer = self.send(method, path, body, timeout=timeout, headers=headers)
        return answer.status, answer.body

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        timeout: float = 10,
        headers: Mapping[str, str] | None = None,
    ) -> LiveAnswer:
        """Send a request as `request` does; returns the whole answer.

        Bytes are sent as they are, any other body as JSON. `timeout` is in seconds. Raises
        `OSError` when there is no answer in time.
        """
        text, sent = None, dict(headers or {})
        if isinstance(body, bytes):
            text = body
        elif body is not None:
            text = json.dumps(body).encode()
            sent = {"Content-Type": "application/json", **sent}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path, text, sent)
            response = connection.getresponse()
            return LiveAnswer(response.status, response.headers, response.read())

    def answers(self) -> bool:
        """Return whether `/health` answers 200."""
        try:
            return self.request("GET", "/health", timeout=2)[0] == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
