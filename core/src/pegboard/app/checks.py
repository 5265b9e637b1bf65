"""The health checks of a service: the core's own, and those of its plugins."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from flask import Flask

from pegboard.api import (
    Api,
    HealthCheck,
    NotReadyError,
    get_health,
    health_blueprint,
    init_health,
)
from pegboard.database import ReadOnlyServerError, check_server, db, is_unavailable
from pegboard.migrations import find_missing, pending_histories
from pegboard.plugins import Registry
from pegboard.problems import Code, Problem, StartupError
from pegboard.redis import check_redis, get_channel, get_fleet_keys, has_redis
from pegboard.settings import CoreSettings, get_settings


def init_health_checks(app: Flask, api: Api, assembled: Registry) -> None:
    """Serve `/health` and `/health/ready`, the latter with the checks of core and plugins."""
    checks = (*_core_checks(app), *_plugin_checks(assembled))
    init_health(
        app,
        checks=tuple(_require(checks, get_settings(CoreSettings, app).ready_requires)),
        skipped=tuple(dict.fromkeys(problem.plugin or "" for problem in assembled.skipped)),
    )
    if breakers := _circuit_breakers(app):
        get_health(app).details["circuit_breakers"] = lambda: {
            server: is_open() for server, is_open in breakers.items()
        }
    api.register_blueprint(health_blueprint())


def _circuit_breakers(app: Flask) -> Mapping[str, Callable[[], bool]]:
    """Return what says of each server whether it is known not to answer, if anything looks."""
    found: dict[str, Callable[[], bool]] = {}
    with app.app_context():
        engine = db.engine
    if is_unavailable(engine) is not None:
        found["database"] = lambda: bool(is_unavailable(engine))
    if (channel := get_channel(app)) is not None:
        found["redis"] = lambda: channel.is_unavailable
    return found


def _core_checks(app: Flask) -> list[HealthCheck]:
    """Return the checks of the database, the migrations, and Redis if it is configured."""

    def database() -> None:
        try:
            check_server(db.session())
        except ReadOnlyServerError as error:
            raise NotReadyError(str(error)) from None

    def migrations() -> None:
        if behind := pending_histories(app):
            names = ", ".join(one.history for one in behind)
            message = f"behind: {names}; run pegboard db upgrade"
            raise NotReadyError(message)
        if missing := find_missing(app):
            message = "; ".join(map(str, missing))
            raise NotReadyError(message)

    checks = [HealthCheck("database", database), HealthCheck("migrations", migrations)]
    if has_redis(app):
        # Without Redis every part of the service has something to fall back to.
        checks.append(HealthCheck("redis", partial(check_redis, app), is_required=False))
    if keys := get_fleet_keys(app):

        def secret_key() -> None:
            if keys.compare():
                raise NotReadyError(str(keys.as_problem()))

        checks.append(HealthCheck("secret_key", secret_key, is_required=False))
    return checks


def _require(checks: Sequence[HealthCheck], names: Sequence[str]) -> Iterator[HealthCheck]:
    """Yield the checks, those of the names as required ones."""
    known = [check.name for check in checks]
    if unknown := [name for name in names if name not in known]:
        summary = f"setting READY_REQUIRES: there is no health check {', '.join(unknown)}"
        hint = f"Use names of health checks of this service: {', '.join(known)}."
        raise StartupError([Problem(Code.SETTING_INVALID, summary, hint)])
    for check in checks:
        yield replace(check, is_required=True) if check.name in names else check


def _plugin_checks(assembled: Registry) -> list[HealthCheck]:
    """Return the checks of plugins, each named `<plugin>.<check>`."""
    return [
        replace(check, name=f"{plugin.name}.{check.name}")
        for plugin in assembled.plugins
        for check in plugin.health_checks
    ]
