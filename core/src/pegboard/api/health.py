"""Liveness and readiness: `/health` and `/health/ready`."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Flask, current_app
from marshmallow import Schema, fields

from pegboard.annotations import cache_control
from pegboard.api.blueprint import Blueprint
from pegboard.database import db

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.health"

_FAILING = "failing; the log says why"


@dataclass(frozen=True)
class HealthCheck:
    """One condition that must hold before the service can serve.

    `check` is called without arguments in an app context, and raises when the condition does not
    hold: `NotReadyError` to tell callers why, any other exception to tell only the log. It should
    end within two seconds, as an orchestrator waits for the answer.
    """

    name: str
    """The name under which `/health/ready` reports the result."""
    check: Callable[[], object]
    """Raises when the condition does not hold; what it returns is ignored."""


class NotReadyError(Exception):
    """Raised by a health check; its text is shown to callers of `/health/ready`."""


class HealthSchema(Schema):
    """The process is alive."""

    message = fields.String(required=True)
    status = fields.Integer(required=True)


class ReadinessSchema(HealthSchema):
    """The result of each check: `ok` or what is wrong."""

    checks = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    skipped = fields.List(
        fields.String(), metadata={"description": "Plugins that failed and were left out."}
    )
    details = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String()),
        metadata={"description": "Stats by part of the service, as of the cache."},
    )


@dataclass(frozen=True)
class Health:
    """The checks of one app, and the plugins that were left out; in `app.extensions[EXTENSION]`."""

    checks: tuple[HealthCheck, ...]
    """The checks of the core and of all active plugins."""
    skipped: tuple[str, ...]
    """The names of the plugins that were left out."""
    details: dict[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    """The stats that `/health/ready` reports besides, by the part of the service they are of."""


def init_health(app: Flask, checks: tuple[HealthCheck, ...], skipped: tuple[str, ...]) -> None:
    """Give the app its checks; `skipped` are the names of the plugins that were left out."""
    app.extensions[EXTENSION] = Health(checks, skipped)


def get_health(app: Flask | None = None) -> Health:
    """Return the checks of the app, or of the current app.

    Its `details` maps a plugin's name to a function without arguments, and `/health/ready` shows
    what the function returns. A function that raises does not make the service unready.
    """
    health: Health = (app or current_app).extensions[EXTENSION]
    return health


def check_readiness(checks: Iterable[HealthCheck]) -> Mapping[str, str]:
    """Run every check; returns `ok` or what is wrong, by the check's name."""
    results: dict[str, str] = {}
    for check in checks:
        result = _run(check)
        # Of two checks of one name, the one that fails is reported.
        if results.get(check.name, "ok") == "ok":
            results[check.name] = result
    return results


def _run(check: HealthCheck) -> str:
    try:
        # A check must not run in a transaction that another one has left failed.
        db.session.rollback()
        check.check()
    except NotReadyError as error:
        logger.warning("not ready: %s: %s", check.name, error)
        return str(error)
    except Exception as error:  # noqa: BLE001 - a check may fail in any way, and the others must still run
        logger.warning("not ready: %s: %s", check.name, error)
        return _FAILING
    return "ok"


def _call_stats(name: str, stats: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the stats of a part of the service; their failure does not affect readiness."""
    try:
        return stats()
    except Exception as error:  # noqa: BLE001 - stats may fail in any way
        logger.warning("the stats of %s cannot be read: %s", name, error)
        return {"error": _FAILING}


LIVENESS_PATH = "/health"
"""The path of the liveness endpoint."""


def health_blueprint() -> Blueprint:
    """Return a new blueprint with `/health` and `/health/ready`."""
    blueprint = Blueprint("health", __name__, description="Liveness and readiness")
    cache_control("no-store")(blueprint)

    @blueprint.get(LIVENESS_PATH)
    @blueprint.response(HTTPStatus.OK, HealthSchema)
    def alive() -> dict[str, Any]:
        """Tell whether the process is alive."""
        return {"message": "alive", "status": HTTPStatus.OK}

    @blueprint.get("/health/ready")
    @blueprint.response(HTTPStatus.OK, ReadinessSchema)
    @blueprint.alt_response(HTTPStatus.SERVICE_UNAVAILABLE, schema=ReadinessSchema)
    def ready() -> tuple[dict[str, Any], int]:
        """Tell whether the service can serve, and if not, why."""
        health = get_health()
        results = check_readiness(health.checks)
        failing = [name for name, result in results.items() if result != "ok"]
        status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
        body: dict[str, Any] = {
            "message": f"not ready: {', '.join(failing)}" if failing else "ready",
            "status": status,
            "checks": results,
        }
        if health.skipped:
            body["skipped"] = health.skipped
        if health.details:
            body["details"] = {
                name: _call_stats(name, stats) for name, stats in health.details.items()
            }
        return body, status

    return blueprint
