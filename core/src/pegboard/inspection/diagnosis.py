"""What is known of a service that may be unable to start."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain

import click
from flask import Flask

from pegboard.app import create_app, disconnect
from pegboard.logs import no_warnings, not_logged
from pegboard.plugins import (
    Candidate,
    Plugin,
    Registry,
    Skipped,
    examine,
    find_exclusion,
    get_registry,
    installed_plugins,
    may_skip,
)
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import configure, with_options
from pegboard.start_times import Step, measured_start

_INACTIVE = Code.PLUGIN_REQUIREMENT_INACTIVE
_SKIP_ALL = {"PLUGINS_POLICY": {"*": "skip"}}


@dataclass(frozen=True)
class Partial:
    """An app in place of one that cannot be built."""

    app: Flask
    note: str
    """How it differs from the service, as a sentence."""
    has_settings: bool
    """Whether it has the settings of the service, and so its database."""


@dataclass(frozen=True)
class Diagnosis:
    """The plugins and settings of a service, and why it cannot start."""

    registry: Registry
    """That of the app; if there is none, what could be read of the plugins and settings."""
    error: StartupError | None = None
    """Why the app cannot be built; None if it can."""
    app: Flask | None = None
    """The app; None if it cannot be built."""
    start: Step = field(default_factory=lambda: Step("start"))
    """What building the app, or trying it, has cost."""
    found: tuple[Problem, ...] = ()
    """All problems of the plugins that were read where there is no app."""
    build: Callable[[], Flask] = create_app
    """Builds the app of the service."""

    def state_of(self, plugin: Candidate) -> str:
        """Return the state of an installed plugin: why if it is skipped, by what code if broken.

        What is broken is described by `show_error`.
        """
        state, reason = self.told_state(plugin)
        return f"{state}: {reason}" if reason else state

    def told_state(self, plugin: Candidate) -> tuple[str, str]:
        """Return the state of an installed plugin in one word, and why; empty if active."""
        broken = self.error.problems if self.error else ()
        for verb, problems in (("broken", broken), ("skipped", self.registry.skipped)):
            found = (_told(one, plugin, in_full=verb == "skipped") for one in problems)
            if told := dict.fromkeys(chain.from_iterable(found)):
                return verb, "; ".join(told)
        if not self.has(plugin):
            return "disabled", ""
        # A plugin without a problem is not active as long as there is no service.
        return ("enabled" if self.error else "active"), ""

    def has(self, plugin: Candidate) -> bool:
        """Return whether the registry has the plugin, and not another one of its name."""
        return (plugin.name, plugin.label) in {
            (one.name, one.label) for one in self.registry.plugins
        }

    @property
    def installed(self) -> tuple[Candidate, ...]:
        """The plugins of the service, and all that are installed, in that order."""
        ordered = self.registry.plugins
        # Two distributions may have a plugin of one name.
        known = {(plugin.name, plugin.label) for plugin in ordered}
        rest = (one for one in installed_plugins() if (one.name, one.label) not in known)
        return (*ordered, *rest)

    def find(self, name: str) -> tuple[Candidate, ...]:
        """Return the installed plugins of a name: several if distributions share it."""
        return tuple(one for one in self.installed if one.name == name)

    def plugin(self, name: str) -> Plugin | None:
        """Return what a plugin contributes, as far as that is known; None if it is not."""
        registries = [self.registry]
        if self.app is None and self.partial is not None:
            registries.append(get_registry(self.partial.app))
        found = (one for registry in registries for one in registry.plugins if one.name == name)
        return next(found, None)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, whether or not the service can start with it."""
        errors = self.error.problems if self.error else ()
        later: tuple[Problem, ...] = ()
        if self.app is None and self.partial is not None and self.partial.has_settings:
            # What goes wrong after the registry is found for one plugin after the other. One that
            # lacks a plugin which is broken is not told of.
            later = tuple(one for one in _skipped(self.partial.app) if one.code != _INACTIVE)
        found = (*errors, *self.registry.skipped, *self.found, *later)
        return tuple(dict.fromkeys(found))

    @cached_property
    def partial(self) -> Partial | None:
        """The app, or one with as much of it as can be built; None without any."""
        if self.app is not None:
            return Partial(self.app, "", has_settings=True)
        core = configure().core
        allowed = [one.name for one in installed_plugins() if find_exclusion(one, core) is None]
        attempts = (self.build, partial(create_app, plugins=allowed))
        with with_options(_SKIP_ALL), not_logged(Skipped), no_warnings():
            for build in attempts:
                with suppress(StartupError):
                    app = build()
                    names = ", ".join(sorted({one.plugin or "" for one in _skipped(app)}))
                    without = f" without {names}" if names else ""
                    note = f"The service cannot start; this is what could be built{without}."
                    return Partial(app, note, has_settings=True)
            with suppress(StartupError):
                app = create_app("testing", plugins=allowed)
                note = "The service cannot start with its settings; this is it with the defaults."
                return Partial(app, note, has_settings=False)
        return None

    @property
    def commands(self) -> Mapping[str, click.Command]:
        """The commands of the plugins by their names."""
        return {
            command.name or "": command
            for plugin in self.registry.plugins
            for command in plugin.commands
        }

    def disconnect(self) -> None:
        """Close the connections of an app that was built in place of the service's."""
        built: Partial | None = vars(self).get("partial")
        if built is not None and built.app is not self.app:
            disconnect(built.app)

    def show_error(self) -> None:
        """Print to standard error why the service cannot start, if so."""
        if self.error:
            self.error.show()


def _skipped(app: Flask) -> tuple[Problem, ...]:
    return get_registry(app).skipped


def _told(problem: Problem, plugin: Candidate, *, in_full: bool) -> Iterator[str]:
    """Yield what a problem says of a plugin; another distribution may have one of its name."""
    if problem.plugin != plugin.name:
        return
    if problem.distribution in {None, plugin.label}:
        # That of a name is told of two plugins, and shown of one.
        is_whole = in_full or problem.code == Code.COLLISION_PLUGIN_NAME
        yield f"{problem.summary} [{problem.code}]" if is_whole else str(problem.code)
    elif problem.code == Code.COLLISION_PLUGIN_NAME:
        yield f"{problem.distribution} has a plugin of the same name [{problem.code}]"


def diagnose(build: Callable[[], Flask]) -> Diagnosis:
    """Build the app; if it cannot be built, read its plugins and settings as far as possible."""
    with measured_start() as start:
        try:
            app = build()
        except StartupError as error:
            registry, problems = _readable()
            return Diagnosis(registry, error, None, start, problems, build)
    return Diagnosis(get_registry(app), None, app, start, (), build)


def _readable() -> tuple[Registry, tuple[Problem, ...]]:
    """Return what can be read of the plugins that the settings allow, and all problems of it."""
    configuration = configure()
    core = configuration.core
    allowed = [one for one in installed_plugins() if find_exclusion(one, core) is None]
    registry, problems = examine(allowed, configuration)
    skipped = tuple(problem for problem in problems if may_skip(problem, core))
    return replace(registry, skipped=skipped), tuple(problems)
