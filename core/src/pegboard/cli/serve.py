"""`pegboard serve`: the production server."""

import sys
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from tempfile import NamedTemporaryFile

import click
from flask import Flask
from flask.cli import ScriptInfo, pass_script_info

from pegboard import deprecation
from pegboard.cli.start_check import Checked, check_start, reporter
from pegboard.http import Endpoint
from pegboard.logs import init_logs, is_json, warnings_once
from pegboard.plugins import installed_plugins
from pegboard.problems import PLUGIN_FAULTS
from pegboard.server import (
    call_isolated,
    ended_after,
    import_server,
    run,
    tell_error,
    unblock_output,
)
from pegboard.settings import CoreSettings, configure, with_options
from pegboard_command import ignore_signals


@click.command()
@click.option("--host", help="Address to listen on (HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (PORT).")
@click.option("--workers", type=click.IntRange(1), help="Worker processes (WORKERS).")
@click.option("--threads", type=click.IntRange(1), help="Threads of each (PEGBOARD_THREADS).")
@click.option("--upgrade", "upgrade_first", is_flag=True, help="Run `pegboard db upgrade` first.")
@pass_script_info
def serve(
    info: ScriptInfo,
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    threads: int | None,
    upgrade_first: bool,
) -> None:
    """Serve with Granian, in production as well.

    Options win over the settings in parentheses. It does not start when the database's schema is
    behind the models, or lacks a table or a column of theirs. SIGTERM ends it gracefully; SIGHUP
    replaces its workers one after the other, and they read secret files anew. New code needs a
    restart.
    """
    ignore_signals()
    unblock_output()
    options = {"HOST": host, "PORT": port, "WORKERS": workers, "THREADS": threads}
    try:
        _serve(info, options, upgrade_first=upgrade_first)
    except (click.ClickException, click.Abort) as error:
        if not is_json():
            raise
        tell_error(click.ClickException("interrupted") if isinstance(error, click.Abort) else error)
        sys.exit(getattr(error, "exit_code", 1))


def _serve(info: ScriptInfo, options: Mapping[str, object], *, upgrade_first: bool) -> None:
    # The app is built in a process of its own to be checked, and then in each worker: never in this
    # one, from which workers fork and would inherit what plugins have registered or started.
    loader = _Loader(info.create_app, info.app_import_path, options)
    longest = _prepare(options).worker_start_timeout
    with NamedTemporaryFile("r") as stacks:
        load_in_time = partial(loader.load_in_time, longest, stacks.name)
        check = partial(check_start, load_in_time, upgrade_first=upgrade_first)
        try:
            # The check does without Granian, whose import takes 40 ms.
            checked = call_isolated(check, meanwhile=import_server)
        finally:
            if where := stacks.read():
                message = f"the service is not built after {longest:g} s, and is given up\n{where}"
                tell_error(click.ClickException(message))
    # Not before the check has ended: a plugin may bind a port when it is imported.
    _import_plugins(checked.plugins, options)
    init_logs(checked.log_level, checked.log_format, ())
    load = partial(loader.load_quietly, checked.warnings)
    if checked.management is None:
        announce = partial(reporter(checked.log_format), checked.announcement)
        run(load, checked.address, checked.transport, checked.limits, announce)
    else:
        _run_managed(load, checked, checked.management)


@dataclass(frozen=True)
class _Loader:
    """How the app is built, in each process that needs it."""

    create_app: Callable[..., Flask] | None
    import_path: str | None
    options: Mapping[str, object]

    def load(self) -> Flask:
        with with_options(self.options):
            # The configuration decides on the debug mode, not FLASK_DEBUG.
            info = ScriptInfo(self.import_path, self.create_app, set_debug_flag=False)
            return info.load_app()

    def load_in_time(self, seconds: float, stacks: str) -> Flask:
        with ended_after(seconds, stacks):
            return self.load()

    def load_quietly(self, warnings: frozenset[str]) -> Flask:
        with warnings_once(set(warnings)):
            return self.load()


def _run_managed(load: Callable[[], Flask], checked: Checked, management: Endpoint) -> None:
    """Serve with a management port, which listens before any worker starts."""
    from pegboard.management import manage, open_socket  # noqa: PLC0415 - few have one

    opened = open_socket(management, checked.address)

    def load_worker() -> Flask:
        opened.close()
        return load()

    text = f"{checked.announcement}\nManagement: {opened.url}"
    announce = partial(reporter(checked.log_format), text)
    serve_operators = partial(manage, load, opened, checked.address, checked.limits)
    try:
        run(
            load_worker,
            checked.address,
            checked.transport,
            checked.limits,
            announce,
            serve_operators,
        )
    finally:
        opened.remove()


def _prepare(options: Mapping[str, object]) -> CoreSettings:
    """Set up the log, and import what the app needs to reach its database and Redis.

    Else each process would import that when it builds the app, in a third of that time. What the
    app's own configuration chooses is not known here, and done then.
    """
    with with_options(options):
        core = configure().core
    init_logs(core.log_level, core.log_format, ())
    libraries = {
        "redis": core.redis_url is not None,
        "sqlalchemy.dialects.postgresql": core.database_url.startswith("postgres"),
    }
    for library, is_used in libraries.items():
        if is_used:
            with suppress(ImportError):  # the check tells
                import_module(library)
    return core


def _import_plugins(names: Container[str], options: Mapping[str, object]) -> None:
    """Import plugins, and call nothing of theirs, before workers fork.

    Their memory is then shared, and what a module does when it is imported, as to bind a port, is
    done once. A plugin that cannot be imported is left to the workers, which report the error.
    """
    with with_options(options), deprecation.not_logged():
        for candidate in installed_plugins():
            if candidate.name in names:
                with suppress(*PLUGIN_FAULTS):
                    candidate.load()
