"""What `serve` finds out before it starts a worker: whether it can, and where and how it serves."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
from flask import Flask

from pegboard.app import disconnect
from pegboard.cli.database_errors import explain_errors_of_start
from pegboard.http import Endpoint, parse_endpoint
from pegboard.logs import warnings_once
from pegboard.migrations import schema_problems
from pegboard.plugins import get_registry, record_start
from pegboard.problems import Problem, StartupError
from pegboard.server import (
    Address,
    Limits,
    Transport,
    UnixAddress,
    find_contradictions,
    find_endpoint,
)
from pegboard.settings import CoreSettings, get_settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
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


def check_start(load: Callable[[], Flask], *, upgrade_first: bool) -> Checked:
    """Build the app and compare the database with its migrations; raises `StartupError`."""
    warnings: set[str] = set()
    with explain_errors_of_start():
        with warnings_once(warnings):
            app = load()
        with ExitStack() as stack:
            stack.callback(disconnect, app)
            stack.enter_context(app.app_context())
            core, plugins = get_settings(CoreSettings), get_registry().plugins
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

                for ahead in upgrade(app, report=reporter(core.log_format)):
                    _warn(ahead.as_problem())
            require_head(app)
            for contradiction in find_contradictions(core):
                _warn(contradiction)
            record_start(Path(app.instance_path), plugins)
            return Checked(
                address=address,
                transport=transport,
                limits=Limits.of(core),
                management=parse_endpoint(core.management),
                announcement=announcement(address),
                log_level=core.log_level,
                log_format=core.log_format,
                plugins=frozenset(plugin.name for plugin in plugins),
                warnings=frozenset(warnings),
            )


def reporter(log_format: str) -> Callable[[str], None]:
    """Return what tells an operator of the start: as lines of the log, if others read that."""

    def log(text: str) -> None:
        for line in text.splitlines():
            logger.info("%s", line)

    return log if log_format == "json" else click.echo


def _warn(problem: Problem) -> None:
    owner = f"{problem.plugin}: " if problem.plugin else ""
    logger.warning("%s%s [%s]. %s", owner, problem.summary, problem.code, problem.hint)


def require_head(app: Flask) -> None:
    """Raise `StartupError` if the database is behind, or lacks a table or column of the models."""
    if problems := schema_problems(app):
        raise StartupError(problems)


def announcement(address: Address | UnixAddress) -> str:
    """Return what is printed when the service starts."""
    lines = [f"Pegboard serves at {address.url}"]
    if get_settings(CoreSettings).api_docs:
        place = address.url if isinstance(address, Address) else ""
        lines.append(f"Documentation: {place}/docs")
    plugins = ", ".join(plugin.title for plugin in get_registry().plugins)
    lines.append(f"Plugins: {plugins or 'none'}")
    return "\n".join(lines)
