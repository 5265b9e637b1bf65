"""What is known of a service that may be unable to start."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import click
from flask import Flask

from pegboard.inspection.building import Partial, Substitute, allowed_plugins
from pegboard.plugins import (
    Candidate,
    Plugin,
    Registry,
    examine,
    get_registry,
    installed_plugins,
    may_skip,
    plugins_named,
)
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import configure
from pegboard.start_times import Step, measured_start


@dataclass(frozen=True)
class Built:
    """What could be built of a service."""

    registry: Registry
    """That of the app; if there is none, what could be read of the plugins and settings."""
    app: Flask | None
    """The app; None if it cannot be built."""
    error: StartupError | None
    """All that is known of why the app cannot be built; None if it can."""
    start: Step
    """What building the app, or trying it, has cost."""
    substitute: Substitute
    """Builds an app in place of one that cannot be built."""

    @property
    def partial(self) -> Partial | None:
        """The app, or one with as much of it as can be built; None without any."""
        if self.app is not None:
            return Partial(self.app, "", has_settings=True)
        return self.substitute.get()

    def disconnect(self) -> None:
        """Close the connections of an app that was built in place of the service's."""
        self.substitute.disconnect()


class Diagnosis(Built):
    """The plugins of a service, and what is wrong with it."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, whether or not the service can start with it."""
        errors = self.error.problems if self.error else ()
        return _joined(errors, self.registry.skipped, self._later_problems())

    def _later_problems(self) -> tuple[Problem, ...]:
        """Return what goes wrong after the registry, which is found for one plugin after another.

        A plugin that lacks another one, which is broken, or its service, is not told of.
        """
        if self.app is not None or self.partial is None or not self.partial.has_settings:
            return ()
        skipped = get_registry(self.partial.app).skipped
        lacking = {Code.PLUGIN_REQUIREMENT_INACTIVE, Code.SERVICE_MISSING}
        return tuple(one for one in skipped if one.code not in lacking)

    @property
    def installed(self) -> tuple[Candidate, ...]:
        """The plugins of the service, and all that are installed, in that order."""
        # Two distributions may have a plugin of one name.
        rest = (one for one in installed_plugins() if not self.has(one))
        return (*self.registry.plugins, *rest)

    def has(self, plugin: Candidate) -> bool:
        """Return whether the registry has the plugin, and not another one of its name."""
        return (plugin.name, plugin.label) in {
            (one.name, one.label) for one in self.registry.plugins
        }

    def find(self, name: str) -> tuple[Candidate, ...]:
        """Return the installed plugins that have a name, or whose distribution has it."""
        return plugins_named(name, self.installed)

    def plugin(self, name: str) -> Plugin | None:
        """Return what a plugin contributes, as far as that is known; None if it is not."""
        registries = [self.registry]
        if self.app is None and self.partial is not None:
            registries.append(get_registry(self.partial.app))
        found = (one for registry in registries for one in registry.plugins if one.name == name)
        return next(found, None)

    @property
    def commands(self) -> Mapping[str, click.Command]:
        """The commands of the plugins by their names."""
        return {
            command.name or "": command
            for plugin in self.registry.plugins
            for command in plugin.commands
        }

    def show_error(self) -> None:
        """Print to standard error why the service cannot start, if so."""
        if self.error:
            self.error.show()


def diagnose(build: Callable[[], Flask]) -> Diagnosis:
    """Build the app; if it cannot be built, read its plugins and settings as far as possible."""
    substitute = Substitute(build)
    with measured_start() as start:
        try:
            app = build()
        except StartupError as error:
            registry, fatal = _readable()
            told = StartupError(_joined(error.problems, fatal))
            return Diagnosis(registry, None, told, start, substitute)
    return Diagnosis(get_registry(app), app, None, start, substitute)


def _joined(*attempts: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems of several attempts to build an app, each mistake once.

    A plugin that has a problem is left out of the rest of an attempt, so that the first that tells
    of it has told all: what another one tells is the same, and may read otherwise, as an error does
    whose text has the time or the address of an object.
    """
    found: dict[Problem, None] = {}
    for problems in attempts:
        told = {(one.plugin, one.distribution) for one in found if one.plugin is not None}
        found |= dict.fromkeys(
            one for one in problems if (one.plugin, one.distribution) not in told
        )
    return tuple(found)


def _readable() -> tuple[Registry, list[Problem]]:
    """Return what can be read of the plugins that the settings allow, and what stops a start."""
    configuration = configure()
    registry, problems = examine(allowed_plugins(), configuration)
    skipped = tuple(problem for problem in problems if may_skip(problem, configuration.core))
    return replace(registry, skipped=skipped), [one for one in problems if one not in skipped]
