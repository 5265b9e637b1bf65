"""What a plugin says: of its settings, of its hooks, and when it fails."""

import inspect
from typing import Any

import pytest

from pegboard.grading import undocumented_hooks, undocumented_settings
from pegboard.plugins import get_registry
from pegboard.problems import Code as CoreCode
from pegboard.settings import declarations_of
from pegboard.testing.contracts.named import BuildApp, fail, package_of
from pegboard.testing.contracts.plugins.code import Code
from pegboard.testing.contracts.plugins.installed import Installed
from pegboard.testing.contracts.plugins.source import Source

_PAGES = "the README, or in a page that the README links to"


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
        settings = declarations_of(plugin.settings, plugin_name)
        if mistakes := [*undocumented_settings(settings, plugin_name, documents, _PAGES)]:
            fail("; ".join(mistakes))

    def test_its_hooks_are_documented_and_used(
        self, build: BuildApp, plugin_name: str, source_code: Code, documents: str | None
    ) -> None:
        """Each hook of its own has a docstring and a place in the documents, and is called."""
        hooks = _own_hooks(build, plugin_name)
        if not hooks:
            pytest.skip("the plugin declares no hooks")
        docstrings = {name: inspect.getdoc(one) or "" for name, one in hooks.items()}
        if mistakes := [*undocumented_hooks(docstrings, plugin_name, documents, _PAGES)]:
            fail("; ".join(mistakes))
        for name in hooks:
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
