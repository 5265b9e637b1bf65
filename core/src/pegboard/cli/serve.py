"""`pegboard serve`: the production server."""

import logging
import sys
from collections.abc import Callable, Container, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
from flask import Flask
from flask.cli import ScriptInfo, pass_script_info

from pegboard import deprecation
from pegboard.app import disconnect
from pegboard.cli.database_errors import explain_database_errors
from pegboard.http import Endpoint, parse_endpoint
from pegboard.logs import init_logs, is_json, warnings_once
from pegboard.migrations import find_missing, pending_histories
from pegboard.plugins import get_registry, installed_plugins, record_start
from pegboard.problems import Code, Problem, StartupError
from pegboard.server import (
    Address,
    Limits,
    Transport,
    UnixAddress,
    call_isolated,
    ended_after,
    find_contradictions,
    find_endpoint,
    import_server,
    run,
    tell_error,
    unblock_output,
)
from pegboard.settings import CoreSettings, configure, get_settings, with_options
from pegboard_command import ignore_signals

logger = logging.getLogger(__name__)

UPGRADE_HINT = "Run pegboard db upgrade, or start with pegboard serve --upgrade."


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
    load = partial(_load, info.create_app, info.app_import_path, options)
    longest = _prepare(options).worker_start_timeout
    with NamedTemporaryFile("r") as stacks:
        load_in_time = partial(_load_in_time, load, longest, stacks.name)
        check = partial(_check, load_in_time, upgrade_first=upgrade_first)
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
    load_quietly = partial(_load_quietly, load, checked.warnings)
    report = _report(checked.log_format)
    if checked.management is None:
        announce = partial(report, checked.announcement)
        run(load_quietly, checked.address, checked.transport, checked.limits, announce)
    else:
        _run_managed(load_quietly, checked, checked.management, report)


def _run_managed(
    load: Callable[[], Flask],
    checked: "_Checked",
    management: Endpoint,
    report: Callable[[str], None],
) -> None:
    """Serve with a management port, which listens before any worker starts."""
    from pegboard.management import manage, open_socket  # noqa: PLC0415 - few have one

    opened = open_socket(management, checked.address)

    def load_worker() -> Flask:
        opened.close()
        return load()

    announce = partial(report, f"{checked.announcement}\nManagement: {opened.url}")
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


def _report(log_format: str) -> Callable[[str], None]:
    """Return what tells an operator of the start: as lines of the log, if others read that."""

    def log(text: str) -> None:
        for line in text.splitlines():
            logger.info("%s", line)

    return log if log_format == "json" else click.echo


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
                with suppress(Exception, SystemExit):
                    candidate.load()


@dataclass(frozen=True)
class _Checked:
    """What the process that starts the workers needs to know of the service."""

    address: Address | UnixAddress
    transport: Transport
    limits: Limits
    management: Endpoint | None
    """Where the management port is to be; None for none."""
    announcement: str
    log_level: str
    log_format: str
    plugins: frozenset[str]
    """The names of the active plugins."""
    warnings: frozenset[str]
    """What was logged while the app was built, and need not be logged by each worker again."""


def _check(load: Callable[[], Flask], *, upgrade_first: bool) -> _Checked:
    """Build the app and compare the database with its migrations; raises `StartupError`."""
    warnings: set[str] = set()
    with explain_database_errors():
        with warnings_once(warnings):
            app = load()
        with ExitStack() as stack:
            stack.callback(disconnect, app)
            stack.enter_context(app.app_context())
            core = get_settings(CoreSettings)
            transport = Transport.of(core)
            address = find_endpoint(
                core.host,
                core.port,
                scheme="https" if transport.tls else "http",
                mode=int(core.socket_mode, 8),
            )
            if upgrade_first:
                # Imports Alembic, which a service whose database is at head does without.
                from pegboard.migrations import upgrade  # noqa: PLC0415

                for ahead in upgrade(app, report=_report(core.log_format)):
                    _warn(ahead.as_problem())
            require_head(app)
            for contradiction in find_contradictions(core):
                _warn(contradiction)
            limits = Limits.of(core)
            announced = announcement(address)
            plugins = frozenset(plugin.name for plugin in get_registry().plugins)
            record_start(Path(app.instance_path), get_registry().plugins)
    return _Checked(
        address,
        transport,
        limits,
        parse_endpoint(core.management),
        announced,
        core.log_level,
        core.log_format,
        plugins,
        frozenset(warnings),
    )


def _load(
    create_app: Callable[..., Flask] | None,
    import_path: str | None,
    options: Mapping[str, object],
) -> Flask:
    with with_options(options):
        # The configuration decides on the debug mode, not FLASK_DEBUG.
        return ScriptInfo(import_path, create_app, set_debug_flag=False).load_app()


def _load_in_time(load: Callable[[], Flask], seconds: float, stacks: str) -> Flask:
    with ended_after(seconds, stacks):
        return load()


def _load_quietly(load: Callable[[], Flask], warnings: frozenset[str]) -> Flask:
    with warnings_once(set(warnings)):
        return load()


def _warn(problem: Problem) -> None:
    owner = f"{problem.plugin}: " if problem.plugin else ""
    logger.warning("%s%s [%s]. %s", owner, problem.summary, problem.code, problem.hint)


def require_head(app: Flask) -> None:
    """Raise `StartupError` if the database is behind, or lacks a table or column of the models."""
    if behind := pending_histories(app):
        raise StartupError(
            Problem(
                Code.DATABASE_BEHIND,
                f"the database is at {one.current or 'no revision'}, the newest is {one.head}",
                UPGRADE_HINT,
                one.history,
            )
            for one in behind
        )
    if missing := find_missing(app):
        raise StartupError(one.as_problem() for one in missing)


def announcement(address: Address | UnixAddress) -> str:
    """Return what is printed when the service starts."""
    lines = [f"Pegboard serves at {address.url}"]
    if get_settings(CoreSettings).api_docs:
        place = address.url if isinstance(address, Address) else ""
        lines.append(f"Documentation: {place}/docs")
    plugins = ", ".join(plugin.title for plugin in get_registry().plugins)
    lines.append(f"Plugins: {plugins or 'none'}")
    return "\n".join(lines)
