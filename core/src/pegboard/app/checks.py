"""The health checks of a service: the core's own, and those of its plugins."""

from functools import partial

from flask import Flask
from sqlalchemy import text

from pegboard.api import Api, HealthCheck, NotReadyError, health_blueprint, init_health
from pegboard.database import db
from pegboard.migrations import find_missing, pending_histories
from pegboard.plugins import Registry
from pegboard.redis import check_redis, has_redis


def init_health_checks(app: Flask, api: Api, assembled: Registry) -> None:
    """Serve `/health` and `/health/ready`, the latter with the checks of core and plugins."""
    init_health(
        app,
        checks=(*_core_checks(app), *_plugin_checks(assembled)),
        skipped=tuple(problem.plugin or "" for problem in assembled.skipped),
    )
    api.register_blueprint(health_blueprint())


def _core_checks(app: Flask) -> list[HealthCheck]:
    """Return the checks of the database, the migrations, and Redis if it is configured."""

    def database() -> None:
        db.session.execute(text("SELECT 1"))

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
        checks.append(HealthCheck("redis", partial(check_redis, app)))
    return checks


def _plugin_checks(assembled: Registry) -> list[HealthCheck]:
    """Return the checks of plugins, each named `<plugin>.<check>`."""
    return [
        HealthCheck(f"{plugin.name}.{check.name}", check.check)
        for plugin in assembled.plugins
        for check in plugin.health_checks
    ]
