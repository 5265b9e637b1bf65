"""The pages of the management port: a small Flask app, which is none of the service's."""

import logging
import re
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import NotFound

from pegboard.grading import claimed_grades
from pegboard.http import (
    VALIDATION_MESSAGE,
    Endpoint,
    JSONProvider,
    Request,
    abort,
    init_errors,
    read_json,
)
from pegboard.inspection import Diagnosis, report_plugins, settings_document
from pegboard.logs import LEVELS
from pegboard.management.service import Check, ServedService
from pegboard.plugins import call_plugin, get_registry
from pegboard.problems import PluginError
from pegboard.settings import CoreSettings, get_settings

logger = logging.getLogger(__name__)

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The format of Prometheus."""

_MAX_BODY = 1024
_TIME_TO_FOLLOW = 2.0
_POLL = 0.02
_THREAD = re.compile(r"^(?:Current thread|Thread) ")
_PORT = re.compile(r":[0-9]*\Z")


def management_app(service: ServedService, endpoint: Endpoint) -> Flask:
    """Return the app that tells of a service at an endpoint."""
    app = Flask("pegboard.management", static_folder=None)
    app.json = JSONProvider(app)
    app.request_class = Request
    app.config.update(MAX_CONTENT_LENGTH=_MAX_BODY, PROVIDE_AUTOMATIC_OPTIONS=False)
    init_errors(app)
    if endpoint.is_loopback and not endpoint.path:
        app.before_request(_require_own_host)
    app.after_request(_finish)
    for blueprint in (_health(service), _documents(service), _workers(service)):
        app.register_blueprint(blueprint)

    @app.get("/")
    def index() -> dict[str, Any]:
        rules = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
        methods = {"GET", "PUT"}
        return {
            "endpoints": [
                f"{method} {rule.rule}"
                for rule in rules
                for method in sorted(methods & (rule.methods or set()))
            ]
        }

    return app


def _require_own_host() -> None:
    """Refuse a browser that was led here by a name that resolves to the loopback."""
    host = _PORT.sub("", request.environ.get("HTTP_HOST", "")).strip("[]").lower()
    try:
        is_own = ip_address(host).is_loopback
    except ValueError:
        is_own = host == "localhost"
    if not is_own:
        message = "The Host header must be localhost or an address of the loopback."
        abort(HTTPStatus.MISDIRECTED_REQUEST, message)


def _finish(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "Pegboard"
    return response


def _health(service: ServedService) -> Blueprint:
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/health")
    def health() -> tuple[dict[str, Any], int]:
        checks = {**service.liveness(), **service.readiness()}
        return _report(checks, "healthy", service.skipped)

    @blueprint.get("/health/live")
    def live() -> tuple[dict[str, Any], int]:
        return _report(service.liveness(), "alive", [])

    @blueprint.get("/health/ready")
    def ready() -> tuple[dict[str, Any], int]:
        return _report(service.readiness(), "ready", service.skipped)

    return blueprint


def _report(
    checks: Mapping[str, Check], word: str, skipped: list[str]
) -> tuple[dict[str, Any], int]:
    failing = {name: one for name, one in checks.items() if one.result.reason is not None}
    required = [name for name, one in failing.items() if one.is_required]
    status = HTTPStatus.SERVICE_UNAVAILABLE if required else HTTPStatus.OK
    body = {
        "message": f"not {word}: {', '.join(required)}" if required else word,
        "status": status,
        "checks": {name: one.as_json() for name, one in checks.items()},
        "degraded": sorted(failing.keys() - required),
    }
    return {**body, "skipped": skipped} if skipped else body, status


def _documents(service: ServedService) -> Blueprint:
    blueprint = Blueprint("documents", __name__)

    @blueprint.get("/plugins")
    def plugins() -> dict[str, Any]:
        found = _require_found(service)
        with nullcontext() if found.app is None else found.app.app_context():
            return report_plugins(found).as_json(claimed_grades())

    @blueprint.get("/config")
    def config() -> dict[str, Any]:
        return settings_document(_require_found(service).registry)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        app = service.app
        if app is None:
            abort(HTTPStatus.SERVICE_UNAVAILABLE, "The app of the management port is not there.")
        registry = get_registry(app)
        if not registry.implementing("pegboard_metrics"):
            raise NotFound(description="No active plugin has metrics.")
        parts: list[bytes] = []
        for plugin in registry.implementing("pegboard_metrics"):
            try:
                with app.app_context():
                    parts += call_plugin(registry.manager, plugin, "pegboard_metrics", app=app)
            except PluginError as error:
                cause = error.__cause__
                for problem in error.problems:
                    logger.error("%s", problem, exc_info=cause)  # noqa: TRY400 - the plugin's own
        if not parts:
            abort(HTTPStatus.INTERNAL_SERVER_ERROR, "The metrics cannot be read; the log says why.")
        return Response(b"\n".join(parts), content_type=METRICS_TYPE)

    return blueprint


def _require_found(service: ServedService) -> Diagnosis:
    if service.found is None:
        abort(HTTPStatus.SERVICE_UNAVAILABLE, "The app of the management port is not there.")
    return service.found


def _workers(service: ServedService) -> Blueprint:
    blueprint, roster = Blueprint("workers", __name__), service.roster

    @blueprint.get("/workers")
    def workers() -> dict[str, Any]:
        return {
            "wanted": roster.workers,
            "stopping": roster.is_stopping,
            "workers": [asdict(one) for one in roster.states()],
        }

    @blueprint.get("/threads")
    def threads() -> dict[str, Any]:
        return {
            "workers": [
                {"number": number, "pid": pid, "threads": _threads_of(text)}
                for number, pid, text in roster.stacks()
            ]
        }

    @blueprint.get("/log-level")
    def log_level() -> dict[str, Any]:
        return _levels(service)

    @blueprint.put("/log-level")
    def set_log_level() -> dict[str, Any]:
        roster.log_level = _wanted_level()
        roster.notify()
        deadline = time.monotonic() + _TIME_TO_FOLLOW
        while not _is_followed(service) and time.monotonic() < deadline:
            time.sleep(_POLL)
        return _levels(service)

    return blueprint


def _threads_of(text: str) -> list[dict[str, Any]]:
    """Return threads with their frames, the innermost first, from what `faulthandler` writes."""
    threads: list[dict[str, Any]] = []
    for line in text.splitlines():
        if _THREAD.match(line):
            threads.append({"thread": line.partition(" (")[0], "frames": []})
        elif threads and line.strip():
            threads[-1]["frames"].append(line.strip())
    return threads


def _wanted_level() -> str | None:
    if request.mimetype != "application/json":
        message = 'Send JSON, as {"level": "DEBUG"}, with Content-Type: application/json.'
        abort(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    body = read_json(request)
    errors: dict[str, list[str]] = {}
    if not isinstance(body, dict):
        errors["_schema"] = ["Send an object."]
        body = {}
    elif "level" not in body:
        errors["level"] = ["Missing data for required field."]
    elif body["level"] is not None and body["level"] not in LEVELS[1:]:
        errors["level"] = [f"Must be one of: {', '.join(LEVELS[1:])}; null is as configured."]
    errors |= {name: ["Unknown field."] for name in body if name != "level"}
    if errors:
        abort(HTTPStatus.UNPROCESSABLE_ENTITY, VALIDATION_MESSAGE, errors=errors)
    level: str | None = body["level"]
    return level


def _is_followed(service: ServedService) -> bool:
    """Return whether all workers that can log from the level on that they are told."""
    wanted = service.roster.log_level
    return all(one.log_level == wanted for one in service.roster.states() if one.state == "serving")


def _levels(service: ServedService) -> dict[str, Any]:
    app, level = service.app, service.roster.log_level
    configured = get_settings(CoreSettings, app).log_level if app is not None else None
    return {
        "level": level or configured,
        "configured": configured,
        "workers": [
            {"number": one.number, "pid": one.pid, "level": one.log_level or configured}
            for one in service.roster.states()
        ],
    }
