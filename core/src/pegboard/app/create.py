"""Building a service: `create_app`, which reads as the order of start-up."""

from collections.abc import Sequence
from pathlib import Path

from flask import Flask

from pegboard.api import (
    OpenAPIDocument,
    docs_blueprint,
    health_blueprint,
    init_api,
    init_health,
    openapi_blueprint,
)
from pegboard.app.checks import core_checks, plugin_checks
from pegboard.app.install import install, set_up
from pegboard.app.openapi import described
from pegboard.app.providers import init_strategies
from pegboard.app.service import Service
from pegboard.app.stages import collect_stages
from pegboard.cache import CacheStage, get_cache
from pegboard.database import DatabaseOptions, init_database
from pegboard.http import Envelope, init_cors, init_errors
from pegboard.logs import init_logs
from pegboard.migrations import History, init_migrations
from pegboard.plugins import Registry, build_registry, init_registry, may_skip, select_plugins
from pegboard.problems import Code, PluginError, Problem, StartupError
from pegboard.redis import get_channel, init_redis
from pegboard.settings import Config, Configuration, CoreSettings, configure
from pegboard.stages import Stages


def create_app(config: Config = None, *, plugins: Sequence[object] | None = None) -> Flask:
    """Assemble a service from plugins.

    `config` is the name of a configuration (development, testing, production), a class or an
    object with upper-case attributes, or a mapping; what it sets wins over the environment.
    `plugins` is a sequence of plugins' names or plugin objects, which means exactly those; None
    discovers the installed ones. Raises `StartupError` with everything that is wrong.
    """
    configuration = configure(config)
    candidates = select_plugins(plugins, configuration.core)
    skipped: list[Problem] = []
    while True:
        assembled = build_registry(candidates, configuration, skipped)
        try:
            return _build(configuration, assembled)
        except PluginError as error:
            if fatal := [one for one in error.problems if not may_skip(one, configuration.core)]:
                raise StartupError(fatal) from error
            # A plugin that fails half-way leaves traces: the app is built anew without it.
            skipped = [*assembled.skipped, *error.problems]


def _build(configuration: Configuration, assembled: Registry) -> Flask:
    core = configuration.core
    app = Service("pegboard", static_folder=None, instance_path=str(Path.cwd() / "instance"))
    app.config.from_mapping(configuration.flask)
    app.config.from_mapping({value.declaration.key: value.value for value in assembled.values})
    app.config["PROPAGATE_EXCEPTIONS"] = core.testing
    init_registry(app, assembled)

    init_logs(core.log_level, core.log_format, assembled.packages)
    _init_database(app, core)
    init_redis(app, core.redis_url, timeout=core.redis_timeout, pool_size=core.redis_pool_size)
    init_migrations(app, _histories(assembled), Path(core.migrations_directory))
    api = init_api(app, assembled.packages)
    init_errors(app)
    static_headers = init_cors(app, core.cors_origins)

    init_health(
        app,
        checks=(*core_checks(app), *plugin_checks(assembled)),
        skipped=tuple(problem.plugin or "" for problem in assembled.skipped),
    )
    api.register_blueprint(health_blueprint())
    document = OpenAPIDocument()
    if core.api_docs:
        app.register_blueprint(openapi_blueprint(document))
        app.register_blueprint(docs_blueprint())
    stages = Stages(app, app.wsgi_app, get_channel(app), static_headers)
    # Before plugins hang middleware of their own, which may refuse what a stage would answer.
    app.wsgi_app = stages  # type: ignore[method-assign]  # Flask's way to add middleware
    for plugin in assembled.plugins:
        install(plugin, app, api)
    for plugin in assembled.plugins:
        set_up(plugin, app, assembled)
    init_strategies(app, assembled, core)
    stages.install(collect_stages(app, assembled, CacheStage(get_cache(app))))
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
        hint = "Write it as postgresql://user@host/name or sqlite:///file.db."
        summary = f"DATABASE_URL cannot be used: {error}"
        raise StartupError([Problem(Code.DATABASE_URL_INVALID, summary, hint)]) from None


def _histories(assembled: Registry) -> list[History]:
    return [
        History(plugin.name, plugin.migrations, plugin.metadata)
        for plugin in assembled.plugins
        if plugin.migrations is not None
    ]


def _report(app: Flask, assembled: Registry) -> None:
    for problem in assembled.skipped:
        app.logger.error(
            "%s is skipped, as its policy says: %s [%s]. %s",
            problem.plugin,
            problem.summary,
            problem.code,
            problem.hint,
        )
