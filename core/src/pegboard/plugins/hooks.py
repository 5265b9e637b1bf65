"""The hooks that plugins can implement, and the markers that declare and implement hooks.

Every hook is called while an app is built, never while it serves: `pegboard_metrics` is called in
a process that serves none of its requests. An implementation is a function
of the same name in the plugin's module (or a method of the plugin object), marked with `hookimpl`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from flask import Blueprint, Flask
from flask.sessions import SessionInterface
from sqlalchemy.orm import DeclarativeBase

from pegboard.api import HealthCheck
from pegboard.cache import CacheStrategy
from pegboard.changes import Listener
from pegboard.observation import Observer
from pegboard.plugins.markers import HookimplMarker, HookspecMarker
from pegboard.settings import Settings
from pegboard.stages import Stage

_declaration = HookspecMarker()


class CoreHooks(HookspecMarker):
    """Marks the declaration of a hook, and has those of the core as attributes."""

    @staticmethod
    @_declaration
    def pegboard_hookspecs() -> object:
        """Return the module or class that declares hooks of the plugin's own, by `hookspec`.

        Called first, so that other plugins can implement them.
        """

    @staticmethod
    @_declaration
    def pegboard_settings() -> type[Settings]:  # type: ignore[empty-body]
        """Return the class that declares the plugin's settings.

        Called before the app is built; a value that is not allowed stops the start.
        """

    @staticmethod
    @_declaration
    def pegboard_models() -> type[DeclarativeBase]:  # type: ignore[empty-body]
        """Return the declarative base of the plugin's models.

        Called when the plugin is registered. The tables of its metadata are the plugin's:
        migrations compare them and no others, and `pegboard plugins remove` drops them.
        """

    @staticmethod
    @_declaration
    def pegboard_migrations() -> Path:  # type: ignore[empty-body]
        """Return the folder of the plugin's Alembic revisions, inside its import package.

        Called when the plugin is registered.
        """

    @staticmethod
    @_declaration
    def pegboard_blueprints() -> Sequence[Blueprint]:  # type: ignore[empty-body]
        """Return the blueprints that serve the plugin's routes.

        Called when the plugin is registered. The routes of a `pegboard.Blueprint` are in the
        OpenAPI document, those of a plain `flask.Blueprint` are not.
        """

    @staticmethod
    @_declaration
    def pegboard_commands() -> Sequence[click.Command]:  # type: ignore[empty-body]
        """Return the plugin's commands and command groups, for both `pegboard` and `flask`.

        Called when the plugin is registered. A command that needs the app takes Flask's
        `with_appcontext`.
        """

    @staticmethod
    @_declaration
    def pegboard_health_checks() -> Sequence[HealthCheck]:  # type: ignore[empty-body]
        """Return the checks that must pass before the plugin can serve.

        Called when the plugin is registered; the checks run at each `GET /health/ready`.
        """

    @staticmethod
    @_declaration
    def pegboard_requires() -> Sequence[type]:  # type: ignore[empty-body]
        """Return the interfaces of the services that the plugin cannot do without.

        Called when the plugin is registered. An interface that no active plugin provides stops the
        start.
        """

    @staticmethod
    @_declaration
    def pegboard_provides(app: Flask) -> object:
        """Return a service that other plugins may use, marked with `hookimpl.provides`.

        Called once for each app, before `pegboard_setup` of all plugins, or when another service
        that is made asks for it.
        """

    @staticmethod
    @_declaration
    def pegboard_setup(app: Flask) -> None:
        """Do with the app what no other hook does, such as connecting to signals or extensions.

        Called once for each app, in the order of the plugins, after the blueprints and commands of
        all plugins are registered.
        """

    @staticmethod
    @_declaration
    def pegboard_listeners(app: Flask) -> Sequence[Listener]:  # type: ignore[empty-body]
        """Return what is called for the rows that SQLAlchemy sessions write.

        Called once for each app, after `pegboard_setup` of all plugins. The listeners themselves
        are called in the order of the plugins, while the app serves.
        """

    @staticmethod
    @_declaration
    def pegboard_cache_strategy(app: Flask) -> CacheStrategy | None:
        """Return the strategy that stores cached answers, or None to leave the choice to the core.

        Called once for each app, unless `PEGBOARD_CACHE` is `memory`. Only one plugin may implement
        it.
        """

    @staticmethod
    @_declaration
    def pegboard_session_strategy(app: Flask) -> SessionInterface | None:
        """Return the interface that keeps sessions, or None to leave the choice to the core.

        Called once for each app, unless `PEGBOARD_SESSIONS` is `cookie`. Only one plugin may
        implement it.
        """

    @staticmethod
    @_declaration
    def pegboard_client_identity(
        app: Flask,
    ) -> Callable[[Mapping[str, Any]], str | None] | None:
        """Return a function that finds the client's identity in a request's WSGI environment.

        Called once for each app. The function is called for requests, and returns None for an
        unknown client: the function of the next plugin is then asked. An error of it is logged, and
        counts as None. One that never waits has the attribute `is_non_blocking = True`; where
        another is asked, requests are counted on threads.
        """

    @staticmethod
    @_declaration
    def pegboard_stages(app: Flask) -> Sequence[Stage]:  # type: ignore[empty-body]
        """Return the stages that see requests before Flask does.

        Called once for each app, after `pegboard_setup` of all plugins.
        """

    @staticmethod
    @_declaration
    def pegboard_observers(app: Flask) -> Sequence[Observer]:  # type: ignore[empty-body]
        """Return what is told of every request and its answer, whoever gives it.

        Called once for each app, after `pegboard_stages`. The observers themselves are called while
        the app serves, in the order of the plugins.
        """

    @staticmethod
    @_declaration
    def pegboard_openapi(app: Flask, document: dict[str, Any]) -> None:
        """Add to the OpenAPI document, in place, what holds for the whole service.

        Called once for each app, after `pegboard_stages`, if the document is served; else when
        `pegboard openapi` prints it. Afterwards the calls that it adds get the errors, headers and
        names of all calls.
        """

    @staticmethod
    @_declaration
    def pegboard_metrics(app: Flask) -> bytes:  # type: ignore[empty-body]
        """Return metrics of all processes of the service, in the text format of Prometheus.

        Called for each `GET /metrics` of the management port, in the app's context, on any thread
        of the process that serves this port. It has an app of its own, and serves no requests;
        what the workers count has to reach it in files or memory that they share. What several
        plugins return is put together.
        """


hookspec = CoreHooks()
"""Decorator that marks the declaration of a hook; it takes pluggy's options.

A plugin that defines hooks of its own returns the module of its declarations from
`pegboard_hookspecs`. The core's own declarations are attributes, as `hookspec.pegboard_setup`.
"""

hookimpl = HookimplMarker()
"""Decorator that marks the implementation of a hook; it takes pluggy's options.

`@hookimpl(optionalhook=True)` is for a hook of another plugin that may not be active.
`@hookimpl(before="audit", after=["tenants"])` names plugins whose implementations of the hook are
called later and earlier; a plugin that is not active is no matter.

With a declaration, as in `@hookimpl(hookspec.pegboard_setup)`, type checkers compare the function,
which takes all arguments of the hook or none, and may have any name. The start refuses arguments
with defaults, `*` and `**`, which pluggy never gives, and type checkers allow. A method of a
plugin's class is marked with `@hookimpl.method(hookspec.pegboard_setup)`.

`@hookimpl.provides(Mailer)` marks a function of the app that makes the service with the interface
`Mailer`, which other plugins get by `get_registry().service(Mailer)`.
"""
