"""What the contracts of a whole plugin share: its name, its settings, and apps that have it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import pytest
from flask import Flask

from pegboard.plugins import Candidate, installed_plugins
from pegboard.problems import StartupError
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.own_calls import regular_package

BuildApp = Callable[..., Flask]
"""Builds an app that has the plugin, those that it requires, and the others that are named."""

RowValues = Mapping[str, Mapping[str, object]]
"""Values by table and column, for rows that cannot be made up from the columns."""

DataChanges = Mapping[str, Collection[str]]
"""Tables and columns (as `table.column`) by revision, whose rows it is meant to change."""


def fail(sentence: str) -> NoReturn:
    """Fail the test with what the author of the plugin has to do, and without a traceback."""
    pytest.fail(sentence, pytrace=False)


def candidate_of(name: str) -> Candidate:
    """Return the installed plugin of that name; the test fails if there is none."""
    found = {one.name: one for one in installed_plugins()}
    if name not in found:
        names = ", ".join(found) or "none"
        fail(
            f"no plugin named {name!r} is installed here, only: {names}. Install the distribution "
            'of the plugin (pip install -e .), and return from the fixture "plugin_name" the name '
            "of its entry point in the group pegboard.plugins."
        )
    return found[name]


def package_of(name: str) -> str:
    """Return the import package of an installed plugin, within a namespace package if it is so."""
    entry_point = candidate_of(name).entry_point
    assert entry_point is not None
    return regular_package(entry_point.module)


def needs_of(name: str) -> list[str]:
    """Return the names of the installed plugins that a plugin requires, also indirectly."""
    installed = installed_plugins()
    wanted = [one for one in installed if one.name == name]
    for candidate in wanted:
        requires = candidate.distribution.requires if candidate.distribution else {}
        wanted += [
            one
            for one in installed
            if one.distribution
            and one.distribution.canonical_name in requires
            and one not in wanted
        ]
    return sorted(one.name for one in wanted if one.name != name)


def others_with_tables(name: str) -> list[str]:
    """Return the names of the installed plugins with tables that have nothing to do with a plugin.

    Neither does it require them nor they it; those that they require themselves are among them.
    """
    mine = {name, *needs_of(name)}
    found: dict[str, None] = {}
    for one in installed_plugins():
        theirs = [*needs_of(one.name), one.name]
        if one.name in mine or name in theirs or one.fault:
            continue
        with suppress(Exception):  # one that cannot be imported is not beside it
            if hasattr(one.load(), "pegboard_migrations"):
                found |= dict.fromkeys(theirs)
    return [one for one in found if one not in mine]


class Named:
    """The fixtures of a contract that is about a whole plugin."""

    @pytest.fixture
    def plugin_name(self) -> str:
        """The name of the plugin's entry point; to be overridden."""
        fail('override the fixture "plugin_name": return the name of the plugin\'s entry point')

    @pytest.fixture
    def plugin_config(self) -> Mapping[str, object]:
        """Settings that the plugin needs, by their keys as in `app.config`: none.

        Override it if the plugin does not start without them.
        """
        return {}

    @pytest.fixture
    def row_values(self) -> RowValues:
        """Values by table and column, for rows that cannot be made up from the columns: none."""
        return {}

    @pytest.fixture
    def beside(
        self, make_app: MakeApp, plugin_name: str, plugin_config: Mapping[str, object]
    ) -> Sequence[str]:
        """Other installed plugins that have tables, and start beside this one."""
        others = others_with_tables(plugin_name)
        while others:
            names = [*needs_of(plugin_name), plugin_name, *others]
            try:
                make_app(plugins=names, upgrade=False, **plugin_config)
            except StartupError as error:
                wrong = {problem.plugin for problem in error.problems}
                left = [one for one in others if wrong.isdisjoint([one, *needs_of(one)])]
                others = left if len(left) < len(others) else []
            else:
                break
        return others

    @pytest.fixture
    def build(
        self, make_app: MakeApp, plugin_name: str, plugin_config: Mapping[str, object]
    ) -> BuildApp:
        """Build an app of the plugin, of those that it requires, and of others by their names."""
        candidate_of(plugin_name)

        def build(*others: object, upgrade: bool = False, **config: object) -> Flask:
            names = dict.fromkeys([*needs_of(plugin_name), plugin_name, *others])
            try:
                return make_app(plugins=[*names], upgrade=upgrade, **{**plugin_config, **config})
            except StartupError as error:
                fail(
                    f"an app with {', '.join(map(str, names))} does not start: {error}\n"
                    "Correct the plugin; if it needs settings to start, return them from the "
                    'fixture "plugin_config".'
                )

        return build
