"""The health checks of a service: the core's own, and those of its plugins."""

from functools import partial

from flask import Flask
from sqlalchemy import text

from pegboard.api import HealthCheck, NotReadyError
from pegboard.database import db
from pegboard.migrations import pending_histories
from pegboard.plugins import Registry
from pegboard.redis import check_redis, has_redis


def core_checks(app: Flask) -> list[HealthCheck]:
    """Return the checks of the database, the migrations and Redis, where there is one."""

    def database() -> None:
        db.session.execute(text("SELECT 1"))

    def migrations() -> None:
        if behind := pending_histories(app):
            names = ", ".join(one.history for one in behind)
            message = f"behind: {names}; run pegboard db upgrade"
            raise NotReadyError(message)

    checks = [HealthCheck("database", database), HealthCheck("migrations", migrations)]
    if has_redis(app):
        checks.append(HealthCheck("redis", partial(check_redis, app)))
    return checks


def plugin_checks(assembled: Registry) -> list[HealthCheck]:
    """Return the checks that plugins contribute, each under `<plugin>.<check>`."""
    return [
        HealthCheck(f"{plugin.name}.{check.name}", check.check)
        for plugin in assembled.plugins
        for check in plugin.health_checks
    ]
