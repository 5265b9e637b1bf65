"""`pegboard dev`: the development server, with PostgreSQL and Valkey on demand."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask.cli import ScriptInfo, pass_script_info
from werkzeug.serving import WSGIRequestHandler, is_running_from_reloader, run_simple

from pegboard.cli.database_errors import explain_errors_of_start
from pegboard.cli.start_check import announcement, require_head
from pegboard.http import error_body
from pegboard.migrations import upgrade
from pegboard.plugins import get_registry, record_start
from pegboard.problems import StartupError
from pegboard.server import Address, find_address
from pegboard.settings import configure, with_options

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SERVICES = ("DATABASE_URL", "REDIS_URL")
"""The settings that lead to the services."""
_LIFELINE = "_PEGBOARD_DEV_LIFELINE"
"""The variable with the file descriptor of a pipe, whose other end closes with the command."""
_EXIT_TIMEOUT = 10.0
"""Seconds that the process that serves has to stop, once the command has ended."""


@click.command()
@click.option("--host", help="Address to listen on (HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (PORT).")
@click.option("--upgrade", "upgrade_first", is_flag=True, help="Run `pegboard db upgrade` first.")
@click.option(
    "--services", "has_services", is_flag=True, help="Run PostgreSQL and Valkey, too, from wheels."
)
@pass_script_info
def dev(
    info: ScriptInfo,
    *,
    host: str | None,
    port: int | None,
    upgrade_first: bool,
    has_services: bool,
) -> None:
    """Serve for development: start again whenever a module changes.

    This is Werkzeug's server. Its reloader watches every imported module, wherever a plugin is
    installed from, and needs no further library. Its debugger stays off: each error is answered in
    the platform's format, and its trace is in the log.
    """
    options: dict[str, object] = {"HOST": host, "PORT": port}
    # This process starts another one, which serves, by the same arguments.
    is_serving = is_running_from_reloader()
    if is_serving:
        _end_with_command()
    else:
        _open_lifeline()
    if has_services and is_serving:
        options |= {name: os.environ[name] for name in _SERVICES}
    app: WSGIApplication | None = None
    with with_options(options):
        core = configure().core
        address = Address(core.host, core.port)
        if is_serving:
            app = _load(info, address, upgrade_first=upgrade_first)
    if app is None:
        # Werkzeug binds it, and hands the socket on to the process that serves.
        address = find_address(address.ip, address.port)
    with _services() if has_services and not is_serving else nullcontext():
        run_simple(
            address.ip,
            address.port,
            app or Broken("not built"),
            use_reloader=True,
            threaded=True,
            request_handler=_RequestHandler,
        )


def _open_lifeline() -> None:
    """Open a pipe that the operating system closes when this process ends, even by a kill."""
    reader, _writer = os.pipe()
    # Werkzeug closes no file descriptor in the process that it starts.
    os.set_inheritable(reader, True)  # noqa: FBT003 - it has no name
    os.environ[_LIFELINE] = str(reader)


def _end_with_command() -> None:
    """End this process, which serves, once the one that has started it has ended.

    Otherwise it would keep the port after the command is killed.
    """
    if _LIFELINE not in os.environ:
        return
    reader = int(os.environ.pop(_LIFELINE))
    os.set_inheritable(reader, False)  # noqa: FBT003 - as above

    def wait() -> None:
        os.read(reader, 1)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(_EXIT_TIMEOUT)
        os._exit(1)

    threading.Thread(target=wait, name="pegboard-dev-lifeline", daemon=True).start()


@contextmanager
def _services() -> Iterator[None]:
    """Run PostgreSQL and Valkey, and have the processes that are started use them."""
    try:
        # The testing kit is loaded for this alone.
        kit = import_module("pegboard.testing.development")
    except ImportError as error:
        message = f"--services needs {error.name}: pip install 'pegboard[testing]'"
        raise click.ClickException(message) from error
    # As Werkzeug does when it starts: what is running is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path.cwd() / "instance"
    try:
        with kit.development_services(folder) as services:
            os.environ.update(DATABASE_URL=services.database_url, REDIS_URL=services.redis_url)
            click.echo(f"PostgreSQL: DATABASE_URL={services.database_url}")
            click.echo(f"Valkey: REDIS_URL={services.redis_url}")
            click.echo(f"They keep their data in {folder}.")
            yield
    except kit.ServerError as error:
        raise click.ClickException(str(error)) from error


class Broken:
    """A WSGI app in place of one that could not be built."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __call__(
        self, _environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer 503 with the message."""
        status = HTTPStatus.SERVICE_UNAVAILABLE
        body = error_body(status, self._message)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]


class _RequestHandler(WSGIRequestHandler):
    """Leaves logging to the app, and the version out of the `Server` header."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    def version_string(self) -> str:
        return "pegboard"


def _load(info: ScriptInfo, address: Address, *, upgrade_first: bool) -> "WSGIApplication":
    """Return the app, or if it cannot be built one that says why, until a file changes."""
    try:
        app = info.load_app()
        with app.app_context():
            click.echo(announcement(address))
            record_start(Path(app.instance_path), get_registry().plugins)
            try:
                with explain_errors_of_start():
                    if upgrade_first:
                        upgrade(app, report=click.echo)
                    require_head(app)
            except StartupError as error:
                click.echo(f"Warning: {error.format_message()}", err=True)
    except click.ClickException as error:
        error.show()
        return Broken(error.format_message())
    return app
