"""What is known of a service that may be unable to start, for commands that show what is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

import click
from flask.cli import ScriptInfo

from pegboard.plugins import Candidate, Registry, examine, get_registry, installed_plugins, may_skip
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import configure


@dataclass(frozen=True)
class Diagnosis:
    """The plugins and settings of a service, and why it cannot start."""

    registry: Registry
    """That of the app; if there is none, what could be read of the plugins and settings."""
    error: StartupError | None = None
    """Why the app cannot be built; None if it can."""

    def state_of(self, plugin: Candidate) -> str:
        """Return the state of an installed plugin: why if it is skipped, by what code if broken.

        What is broken is described by `show_error`.
        """
        broken = self.error.problems if self.error else ()
        for verb, problems in (("broken", broken), ("skipped", self.registry.skipped)):
            found = (_told(one, plugin, in_full=verb == "skipped") for one in problems)
            if told := dict.fromkeys(chain.from_iterable(found)):
                return f"{verb}: {'; '.join(told)}"
        if (plugin.name, plugin.label) not in {
            (one.name, one.label) for one in self.registry.plugins
        }:
            return "disabled"
        # A plugin without a problem is not active as long as there is no service.
        return "enabled" if self.error else "active"

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


def diagnose(info: ScriptInfo) -> Diagnosis:
    """Build the app; if it cannot be built, read its plugins and settings as far as possible."""
    try:
        return Diagnosis(get_registry(info.load_app()))
    except StartupError as error:
        return Diagnosis(_readable(), error)


def _readable() -> Registry:
    """Return what can be read of the plugins that the settings allow."""
    configuration = configure()
    core = configuration.core
    allowed = [
        candidate
        for candidate in installed_plugins()
        if (core.plugins is None or candidate.name in core.plugins)
        and candidate.name not in core.plugins_disabled
    ]
    registry, problems = examine(allowed, configuration)
    skipped = tuple(problem for problem in problems if may_skip(problem, core))
    return replace(registry, skipped=skipped)
