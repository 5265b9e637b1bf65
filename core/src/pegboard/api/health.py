"""Liveness and readiness: `/health` and `/health/ready`.

The answers are public, so they name checks and plugins only. Why a check fails, and the stats, are
in the log, and the reasons at the management port.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import Flask
from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from pegboard import clock
from pegboard.annotations import cache_control
from pegboard.api.blueprint import Blueprint
from pegboard.database import db
from pegboard.extensions import get_extension
from pegboard.logs import is_json
from pegboard.problems import PLUGIN_FAULTS
from pegboard.redaction import reason_of

logger = logging.getLogger(__name__)

EXTENSION = "pegboard.health"

SHARED_FOR = 1.0
"""Seconds for which one result of the checks answers every probe of a process."""

OVERDUE = 5.0
"""Seconds after which a check that has not ended counts as failing."""

STATS_INTERVAL = 60.0
"""Seconds between two log lines with the stats, or with the reason why a check still fails."""

_OK, _FAILING = "ok", "failing"


@dataclass(frozen=True)
class HealthCheck:
    """One condition of a service that serves all it has.

    `check` is called without arguments in an app context, and raises when the condition does not
    hold: `NotReadyError` or any other exception; its text is logged as the reason. It should end
    within two seconds, as an orchestrator waits for the answer; after five it counts as failing.
    """

    name: str
    """The name under which `/health/ready` reports the result; each of a plugin has another."""
    check: Callable[[], object]
    """Raises when the condition does not hold; what it returns is ignored."""
    is_required: bool = True
    """Whether `/health/ready` is 503 when the check fails. Else it is 200 and names the check under
    `degraded`: for what the service can do without."""


class NotReadyError(Exception):
    """Raised by a health check; its text is logged as the reason."""


class HealthSchema(Schema):
    """The process is alive."""

    message = fields.String(required=True)
    status = fields.Integer(required=True)


class ReadinessSchema(HealthSchema):
    """The result of each check."""

    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=OneOf([_OK, _FAILING])),
        required=True,
        metadata={"description": "The result of each check; the log says why one is failing."},
    )
    degraded = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The failing checks that do not keep the service from serving."},
    )
    skipped = fields.List(
        fields.String(), metadata={"description": "Plugins that failed and were left out."}
    )


class CheckResult(NamedTuple):
    """What one check had to say."""

    reason: str | None
    """Why the condition does not hold; None if it does."""
    milliseconds: float
    """How long the check took, in milliseconds."""


class _Result(NamedTuple):
    """What the checks had to say, by their names, and when, by `clock.monotonic`."""

    results: Mapping[str, CheckResult]
    checked_at: float


class Health:
    """The checks of one app, and the plugins that were left out; in `app.extensions[EXTENSION]`."""

    def __init__(self, checks: tuple[HealthCheck, ...], skipped: tuple[str, ...]) -> None:
        self.checks = checks
        """The checks of the core and of all active plugins."""
        self.skipped = skipped
        """The names of the plugins that were left out."""
        self.is_stopping = False
        """Whether the process is about to stop, and requests should go to another."""
        self.details: dict[str, Callable[[], Mapping[str, Any]]] = {}
        """The stats that are logged, by the part of the service they are of."""
        self.shared: dict[str, Collection[str]] = {}
        """The names of stats that all processes tell alike, as they count together; by part."""
        self._lock = threading.Lock()
        self._result: _Result | None = None
        self._running: tuple[str, float] | None = None
        self._told_at: dict[str, float] = {}
        """When the log was last told why a check fails, by `time.monotonic`."""
        self._stats_logged_at = -math.inf

    def results(self) -> Mapping[str, CheckResult]:
        """Return what each check had to say, by its name.

        The result is at most `SHARED_FOR` seconds and one run of the checks old: one thread runs
        them, and the probes that come meanwhile get the previous result. So a flood of probes, or a
        check that is slow, takes no threads from other requests. A check that is overdue fails.
        """
        result = self._result
        if result is not None and clock.monotonic() - result.checked_at < SHARED_FOR:
            return result.results
        # Only the first probes wait, as there is no result yet.
        if not self._lock.acquire(timeout=0 if result else OVERDUE):
            return {**(result.results if result else {}), **self._overdue()}
        try:
            if self._result is result:  # else another thread has run them meanwhile
                self._result = self._run()
                self._log_stats()
            assert self._result is not None
            return self._result.results
        finally:
            self._running = None
            self._lock.release()

    def failing(self) -> frozenset[str]:
        """Return the names of the checks that fail; they are run as by `results`."""
        return frozenset(name for name, one in self.results().items() if one.reason is not None)

    def unready(self) -> Mapping[str, str]:
        """Return why each required check fails, by its name; they are run now, and no others."""
        reasons = {one.name: _reason_of(one) for one in self.checks if one.is_required}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def _run(self) -> "_Result":
        """Run the checks one by one."""
        results = {}
        for check in self.checks:
            began = time.monotonic()
            self._running = check.name, began
            reason = _reason_of(check)
            took = round((time.monotonic() - began) * 1000, 2)
            results[check.name] = CheckResult(reason, took)
            self._log(check.name, reason)
        return _Result(results, clock.monotonic())

    def _log(self, name: str, reason: str | None) -> None:
        """Log why a check fails, again after a minute, and that it passes again."""
        now = time.monotonic()
        if reason is None:
            if self._told_at.pop(name, None) is not None:
                logger.info("the health check %s passes again", name)
        elif now - self._told_at.get(name, -math.inf) >= STATS_INTERVAL:
            self._told_at[name] = now
            logger.warning("the health check %s fails: %s", name, reason)

    def _overdue(self) -> Mapping[str, CheckResult]:
        """Return the check that runs for too long, if any."""
        name, began = self._running or ("", math.inf)
        seconds = time.monotonic() - began
        if seconds < OVERDUE:
            return {}
        return {name: CheckResult(f"it has run for {seconds:.0f} s", round(seconds * 1000, 2))}

    def _log_stats(self) -> None:
        now = time.monotonic()
        if self.details and now - self._stats_logged_at >= STATS_INTERVAL:
            self._stats_logged_at = now
            for name, stats in self.details.items():
                _log_stats_of(name, stats)


def init_health(app: Flask, checks: tuple[HealthCheck, ...], skipped: tuple[str, ...]) -> None:
    """Give the app its checks; `skipped` are the names of the plugins that were left out."""
    app.extensions[EXTENSION] = Health(checks, skipped)


def get_health(app: Flask | None = None) -> Health:
    """Return the checks of the app, or of the current app.

    Its `details` maps a plugin's name to a function without arguments that returns stats. They are
    logged at `INFO` when `/health/ready` is asked, at most once a minute. A function that raises
    does not make the service unready. Metrics add up those of all processes, except those that
    `shared` names. A stat that is a mapping counts what has happened since the process began, by
    kind: metrics have it as a counter, which stays when the process ends.
    """
    health: Health = get_extension(app, EXTENSION, "get_health(app)")
    return health


def _reason_of(check: HealthCheck) -> str | None:
    """Run a check; returns why it fails, None if it passes."""
    try:
        # A check must not run in a transaction that another one has left failed.
        db.session.rollback()
        check.check()
    except PLUGIN_FAULTS as error:  # the others must still run
        return reason_of(error)
    return None


def _log_stats_of(name: str, stats: Callable[[], Mapping[str, Any]]) -> None:
    """Log the stats of a part of the service; their failure does not affect readiness."""
    try:
        told = json.dumps(stats(), default=str)
    except PLUGIN_FAULTS as error:
        logger.warning("the stats of %s cannot be read: %s", name, reason_of(error))
        return
    if is_json():  # under one key, as a stat may have the name of a field of each line
        logger.info("stats of %s", name, extra={"stats": json.loads(told)})
    else:
        logger.info("stats of %s: %s", name, told)


LIVENESS_PATH = "/health"
"""The path of the liveness endpoint."""

READINESS_PATH = "/health/ready"
"""The path of the readiness endpoint."""


def health_blueprint() -> Blueprint:
    """Return a new blueprint with `/health` and `/health/ready`."""
    blueprint = Blueprint("health", __name__, description="Liveness and readiness.")
    cache_control("no-store")(blueprint)

    # Whatever a prober adds to the URL, the service is no less alive or ready.
    @blueprint.get(LIVENESS_PATH)
    @blueprint.any_query
    @blueprint.response(HTTPStatus.OK, HealthSchema)
    @blueprint.doc(operationId="get_health")
    def alive() -> dict[str, Any]:
        """Tell whether the process is alive.

        Whatever the state of the database.
        """
        return {"message": "alive", "status": HTTPStatus.OK}

    @blueprint.get(READINESS_PATH)
    @blueprint.any_query
    @blueprint.response(HTTPStatus.OK, ReadinessSchema)
    @blueprint.alt_response(HTTPStatus.SERVICE_UNAVAILABLE, schema=ReadinessSchema)
    @blueprint.doc(operationId="get_readiness")
    def ready() -> tuple[dict[str, Any], int]:
        """Tell whether the service can serve, and which of its checks fail.

        503 is answered while one of the required checks fails, and when the service is about to
        stop.
        """
        health = get_health()
        failing = health.failing()
        required = [one.name for one in health.checks if one.is_required and one.name in failing]
        reasons = [*required, *(["the service is stopping"] if health.is_stopping else [])]
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        body: dict[str, Any] = {
            "message": f"not ready: {', '.join(reasons)}" if reasons else "ready",
            "status": status,
            "checks": {one.name: _FAILING if one.name in failing else _OK for one in health.checks},
            "degraded": sorted(failing.difference(required)),
        }
        if health.skipped:
            body["skipped"] = health.skipped
        return body, status

    return blueprint
