"""What a plugin says: of its settings, of its hooks, and when it fails."""

import inspect
import re
from typing import Any

import pytest

from pegboard.plugins import get_registry
from pegboard.problems import Code as CoreCode
from pegboard.settings import declarations_of
from pegboard.testing.contracts.named import BuildApp, fail, package_of
from pegboard.testing.contracts.plugins.code import Code
from pegboard.testing.contracts.plugins.installed import Installed
from pegboard.testing.contracts.plugins.source import Source


class Documented(Installed):
    """Settings, hooks and messages."""

    @pytest.fixture
    def documents(self, source: Source | None) -> str | None:
        """The README and the pages that it links to; None without the plugin's folder."""
        return source.documents() if source else None

    @pytest.fixture
    def source_code(self, build: BuildApp, plugin_name: str) -> Code:
        """The source code of the plugin."""
        build()  # imports it
        return Code(package_of(plugin_name))

    def test_its_settings_are_documented(
        self, build: BuildApp, plugin_name: str, documents: str | None
    ) -> None:
        """Each says what it means, and the README or a page that it links to names it."""
        registry = get_registry(build())
        (plugin,) = (one for one in registry.plugins if one.name == plugin_name)
        if plugin.settings is None:
            pytest.skip("the plugin has no settings")
        for one in declarations_of(plugin.settings, plugin_name):
            if len(one.doc.split()) < 2:  # noqa: PLR2004 - a word is no explanation
                fail(
                    f"the setting {one.field} of {plugin_name} does not say what it means: write "
                    'setting(..., doc="...") with one line for operators'
                )
            if documents is not None and not _names(documents, one.variable):
                fail(
                    f"the setting {one.variable} of {plugin_name} is not documented: name it in "
                    "the README, or in a page that the README links to"
                )

    def test_its_hooks_are_documented_and_used(
        self, build: BuildApp, plugin_name: str, source_code: Code, documents: str | None
    ) -> None:
        """Each hook of its own has a docstring and a place in the documents, and is called."""
        hooks = _own_hooks(build, plugin_name)
        if not hooks:
            pytest.skip("the plugin declares no hooks")
        for name, function in hooks.items():
            if not inspect.getdoc(function):
                fail(
                    f"the hook {name} of {plugin_name} has no docstring: say when it is called, "
                    "and what it returns"
                )
            if documents is not None and not _names(documents, name):
                fail(
                    f"the hook {name} of {plugin_name} is not documented: name it in the README, "
                    "or in a page that the README links to"
                )
            if not source_code.uses(name):
                fail(
                    f"the hook {name} of {plugin_name} is declared, and never called: call "
                    f"pegboard.get_registry(app).hook.{name}(...), or remove it"
                )

    def test_its_failures_are_named(self, plugin_name: str, source_code: Code) -> None:
        """Each problem has a code of the plugin with a hint, each log line the plugin's logger."""
        if places := [*source_code.unnamed_failures()]:
            fail(f"failures of {plugin_name} do not say whose they are: {'; '.join(places)}")
        prefix = f"{plugin_name.upper()}_"
        for one in source_code.codes():
            if not one.startswith(prefix) or one in set(CoreCode):
                fail(
                    f"the code {one.value} of {plugin_name} may be another plugin's: begin it with "
                    f"{prefix}"
                )
            for text in ("meaning", "example", "hint"):
                if not getattr(one, text).strip():
                    fail(f"the code {one.value} of {plugin_name} has no {text}: write it")
            if not source_code.uses(one.name):
                fail(f"the code {one.value} of {plugin_name} is never used: remove it")


def _names(documents: str, name: str) -> bool:
    """Return whether the documents have the name, and not only as a part of another."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", documents) is not None


def _own_hooks(build: BuildApp, plugin_name: str) -> dict[str, Any]:
    """Return the functions that declare the plugin's own hooks, by their names."""
    manager = get_registry(build()).manager
    return {
        name: function
        for implementation in manager.hook.pegboard_hookspecs.get_hookimpls()
        if implementation.plugin_name == plugin_name
        for name, function in vars(implementation.function()).items()
        if hasattr(function, f"{manager.project_name}_spec")
    }
