"""Building a service: `create_app`, which reads as the order of start-up."""

import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response
from flask import Request as FlaskRequest
from sqlalchemy import text
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from pegboard import health, registry
from pegboard.api import Api, Blueprint, Document, init_api, openapi_blueprint
from pegboard.body import Request
from pegboard.cache import CacheStage, get_cache
from pegboard.collisions import claimed_routes
from pegboard.config import Config, Configuration, configure
from pegboard.contributions import Plugin, call_plugin
from pegboard.core_settings import CoreSettings
from pegboard.cors import init_cors
from pegboard.database import DatabaseOptions, db, init_database
from pegboard.docs import docs_blueprint
from pegboard.envelope import Envelope
from pegboard.errors import abort, init_errors
from pegboard.health import Health, HealthCheck, NotReadyError, health_blueprint
from pegboard.logs import init_logs
from pegboard.migrations import History, init_migrations, pending
from pegboard.openapi import described
from pegboard.passage import MATCH, Stages
from pegboard.plugin_stages import collect_stages
from pegboard.problems import PluginError, Problem, StartupError
from pegboard.redis import check_redis, has_redis, init_redis
from pegboard.redis.channel import get_channel
from pegboard.registry import Registry, assemble, choose, may_skip
from pegboard.strategies import init_strategies

if TYPE_CHECKING:
    from flask_smorest import Blueprint as DocumentedBlueprint


class Service(Flask):
    """The Flask application of an assembled service."""

    request_class = Request

    def create_url_adapter(self, request: FlaskRequest | None) -> MapAdapter | None:
        """Take over the route that a stage has found already."""
        adapter = super().create_url_adapter(request)
        if adapter is None or request is None or MATCH not in request.environ:
            return adapter
        found, search = request.environ[MATCH], adapter.match

        def match(*args: Any, **kwargs: Any) -> Any:
            if args or kwargs.keys() - {"return_rule"}:
                return search(*args, **kwargs)  # of another path or method
            return found.route.rule, dict(found.arguments)

        adapter.match = match  # type: ignore[method-assign]  # of this request only
        return adapter

    def raise_routing_exception(self, request: FlaskRequest) -> NoReturn:
        """Redirect relatively: a request's Host header must not steer where its answer leads."""
        error = request.routing_exception
        if not isinstance(error, RequestRedirect):
            super().raise_routing_exception(request)
        target = urlsplit(error.new_url)
        location = urlunsplit(("", "", "/" + target.path.lstrip("/"), target.query, ""))
        status = HTTPStatus.PERMANENT_REDIRECT
        abort(status, f"The resource is at {location}.", headers={"Location": location})

    def process_response(self, response: Response) -> Response:
        """Answer an HTTP error that is raised when an answer is finished, as by its session."""
        try:
            return super().process_response(response)
        except HTTPException as error:
            return super().process_response(self.make_response(self.handle_user_exception(error)))


def create_app(config: Config = None, *, plugins: Sequence[object] | None = None) -> Flask:
    """Assemble a service from plugins.

    `config` is the name of a configuration (development, testing, production), a class or an
    object with upper-case attributes, or a mapping; what it sets wins over the environment.
    `plugins` is a sequence of plugins' names or plugin objects, which means exactly those; None
    discovers the installed ones. Raises `StartupError` with everything that is wrong.
    """
    configuration = configure(config)
    candidates = choose(plugins, configuration.core)
    skipped: list[Problem] = []
    while True:
        assembled = assemble(candidates, configuration, skipped)
        try:
            return _build(configuration, assembled)
        except PluginError as error:
            if not may_skip(error.problem, configuration.core):
                raise StartupError([error.problem]) from error
            # A plugin that fails half-way leaves traces: the app is built anew without it.
            skipped = [*assembled.skipped, error.problem]


def _build(configuration: Configuration, assembled: Registry) -> Flask:
    core = configuration.core
    app = Service("pegboard", static_folder=None, instance_path=str(Path.cwd() / "instance"))
    app.config.from_mapping(configuration.flask)
    app.config.from_mapping({value.declaration.key: value.value for value in assembled.values})
    app.config["PROPAGATE_EXCEPTIONS"] = core.testing
    app.extensions[registry.EXTENSION] = assembled

    init_logs(core.log_level, core.log_format, assembled.packages)
    _init_database(app, core)
    init_redis(app, core.redis_url, timeout=core.redis_timeout, pool_size=core.redis_pool_size)
    init_migrations(app, _histories(assembled), Path(core.migrations_directory))
    api = init_api(app, assembled.packages)
    init_errors(app)
    static_headers = init_cors(app, core.cors_origins)

    app.extensions[health.EXTENSION] = Health(
        checks=(*_core_checks(app), *_plugin_checks(assembled)),
        skipped=tuple(problem.plugin or "" for problem in assembled.skipped),
    )
    api.register_blueprint(health_blueprint())
    document = Document()
    if core.api_docs:
        app.register_blueprint(openapi_blueprint(document))
        app.register_blueprint(docs_blueprint())
    stages = Stages(app, app.wsgi_app, get_channel(app), static_headers)
    # Before plugins hang middleware of their own, which may refuse what a stage would answer.
    app.wsgi_app = stages  # type: ignore[method-assign]  # Flask's way to add middleware
    for plugin in assembled.plugins:
        _hang(plugin, app, api)
    for plugin in assembled.plugins:
        _set_up(plugin, app, assembled)
    init_strategies(app, assembled, core)
    stages.hang(collect_stages(app, assembled, CacheStage(get_cache(app))))
    if core.api_docs:
        document.render(described(app, api, assembled))
    app.wsgi_app = Envelope(app.wsgi_app, propagate=core.testing)  # type: ignore[method-assign]
    _report(app, assembled)
    return app


def _init_database(app: Flask, core: CoreSettings) -> None:
    options = DatabaseOptions(
        url=core.database_url,
        pool_size=core.database_pool_size,
        max_overflow=core.database_max_overflow,
        pool_timeout=core.database_pool_timeout,
        statement_timeout=core.database_statement_timeout,
        lock_timeout=core.database_lock_timeout,
        connect_timeout=core.database_connect_timeout,
        busy_timeout=core.database_busy_timeout,
    )
    try:
        init_database(app, options)
    except ValueError as error:
        cure = "Write it as postgresql://user@host/name or sqlite:///file.db."
        raise StartupError([Problem(f"DATABASE_URL cannot be used: {error}", cure)]) from None


def _histories(assembled: Registry) -> list[History]:
    return [
        History(plugin.name, plugin.migrations, plugin.metadata)
        for plugin in assembled.plugins
        if plugin.migrations is not None
    ]


def _core_checks(app: Flask) -> list[HealthCheck]:
    def database() -> None:
        db.session.execute(text("SELECT 1"))

    def migrations() -> None:
        if behind := pending(app):
            names = ", ".join(one.history for one in behind)
            message = f"behind: {names}; run pegboard db upgrade"
            raise NotReadyError(message)

    checks = [HealthCheck("database", database), HealthCheck("migrations", migrations)]
    if has_redis(app):
        checks.append(HealthCheck("redis", partial(check_redis, app)))
    return checks


def _plugin_checks(assembled: Registry) -> list[HealthCheck]:
    return [
        HealthCheck(f"{plugin.name}.{check.name}", check.check)
        for plugin in assembled.plugins
        for check in plugin.health_checks
    ]


def _hang(plugin: Plugin, app: Flask, api: Api) -> None:
    """Wire what the plugin declared into the app."""
    for blueprint in plugin.blueprints:
        try:
            with warnings.catch_warnings():
                # apispec only warns when two schemas want one name in the document.
                warnings.filterwarnings("error", "Multiple schemas resolved to the name")
                _register_blueprint(blueprint, app, api)
        except (Exception, SystemExit) as error:
            raise PluginError(
                plugin.problem(
                    f"its blueprint {blueprint.name} cannot be registered: {error}",
                    "Mend the blueprint; the name of a schema stands for one schema.",
                )
            ) from error
    for command in plugin.commands:
        app.cli.add_command(command)


def _register_blueprint(blueprint: "Blueprint | DocumentedBlueprint", app: Flask, api: Api) -> None:
    if isinstance(blueprint, Blueprint):
        api.register_blueprint(blueprint)
    else:
        app.register_blueprint(blueprint)


def _set_up(plugin: Plugin, app: Flask, assembled: Registry) -> None:
    routes = Counter(claimed_routes(app))
    call_plugin(assembled.manager, plugin, "pegboard_setup", app=app)
    added = Counter(claimed_routes(app)) - routes
    if taken := sorted(added.keys() & routes.keys()):
        summary = f"pegboard_setup adds routes that are taken: {', '.join(taken)}"
        raise PluginError(plugin.problem(summary, "Rename them."))


def _report(app: Flask, assembled: Registry) -> None:
    for problem in assembled.skipped:
        app.logger.error(
            "%s is left out, as its policy is to skip: %s. %s",
            problem.plugin,
            problem.summary,
            problem.cure,
        )
