"""Building a service: `create_app`, which reads as the order of start-up."""

import logging
from collections.abc import Sequence

from flask import Flask

from pegboard.api import init_api, init_data_errors
from pegboard.app.backends import init_backends
from pegboard.app.checks import init_health_checks
from pegboard.app.edge import add_edge, check_prefix
from pegboard.app.install import install_listeners, install_plugins
from pegboard.app.observers import add_observers
from pegboard.app.openapi import add_documentation, render_document
from pegboard.app.providers import init_providers
from pegboard.app.service import new_service
from pegboard.app.stages import add_stages, install_stages
from pegboard.app.start_page import add_start_page
from pegboard.app.timing import measure
from pegboard.app.views import check_views
from pegboard.deprecation import logged_later
from pegboard.http import Envelope, init_errors
from pegboard.logs import init_logs
from pegboard.plugins import (
    Registry,
    Skipped,
    build_registry,
    init_registry,
    may_skip,
    select_plugins,
)
from pegboard.problems import PluginError, Problem, StartupError
from pegboard.settings import Config, Configuration, configure


def create_app(config: Config = None, *, plugins: Sequence[object] | None = None) -> Flask:
    """Assemble a service from plugins.

    `config` is the name of a configuration (development, testing, production), a class or an
    object with upper-case attributes, or a mapping; what it sets wins over the environment.
    `plugins` is a sequence of plugins' names or plugin objects, which means exactly those; None
    discovers the installed ones. Raises `StartupError` with everything that is wrong.
    """
    with logged_later():
        return _assemble(config, plugins)


def _assemble(config: Config, plugins: Sequence[object] | None) -> Flask:
    configuration = configure(config)
    # What is refused from here on is told as the log is; that of plugins is not known yet.
    init_logs(configuration.core.log_level, configuration.core.log_format, ())
    candidates = select_plugins(plugins, configuration.core)
    skipped: list[Problem] = []
    while True:
        assembled = build_registry(candidates, configuration, skipped)
        try:
            return _build(configuration, assembled)
        except PluginError as error:
            active = {plugin.name for plugin in assembled.plugins}
            if fatal := [
                problem
                for problem in error.problems
                if problem.plugin not in active or not may_skip(problem, configuration.core)
            ]:
                raise StartupError(fatal) from error
            # A plugin that fails half-way leaves traces: the app is built anew without it.
            skipped = [*assembled.skipped, *error.problems]


def _build(configuration: Configuration, assembled: Registry) -> Flask:
    """Build the app of the assembled plugins. Raises `PluginError` or `StartupError`."""
    core = configuration.core
    app = new_service(configuration, assembled)
    init_registry(app, assembled)
    init_logs(core.log_level, core.log_format, assembled.packages)
    init_backends(app, configuration, assembled)

    api = init_api(app, assembled.packages)
    init_errors(app)
    init_data_errors(app)
    edge = add_edge(app, core)
    init_health_checks(app, api, assembled)
    document = add_documentation(app) if core.api_docs else None
    add_start_page(app, core, assembled)

    stages = add_stages(app)
    install_plugins(app, api, assembled)
    install_listeners(app, assembled)
    check_prefix(app, core)
    check_views(app, assembled)
    init_providers(app, core, assembled)
    install_stages(stages, app, assembled)
    observers = add_observers(app, core, assembled)
    measure(app, observers, assembled, stages)
    render_document(document, app, core, api, assembled)
    app.wsgi_app = Envelope(app.wsgi_app, edge, observers, propagate=core.testing)
    _report_left_out(app, assembled)
    return app


def _report_left_out(app: Flask, assembled: Registry) -> None:
    for unused in assembled.unused:
        is_warned = unused.near or unused.is_warned
        app.logger.log(logging.WARNING if is_warned else logging.DEBUG, "%s", unused)
    for problem in assembled.skipped:
        app.logger.error("%s", Skipped(problem))
