"""What an entry point names, and what a plugin's author is told when it is the wrong thing."""

import re
import types

import pytest

from pegboard import StartupError, create_app, get_registry, hookimpl
from pegboard.problems import Code, Problem
from pegboard.testing.distributions import PluginFolder

SHOP = """
class Shop:
    @pegboard.hookimpl
    def pegboard_setup(self, app):
        app.extensions["shop"] = self
"""


def only_problem(plugin: str, plugins: list[object] | None = None) -> Problem:
    """The one problem of a start with a plugin."""
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing", "PLUGINS": plugin}, plugins=plugins)
    (problem,) = caught.value.problems
    assert plugin == problem.plugin
    return problem


class Shop:
    """A plugin whose hooks need an object."""

    name = "shop"

    @hookimpl
    def pegboard_setup(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    "code,target,summary,hint",
    [
        (
            SHOP,
            "example_shop.plugin:Shop",
            "example_shop.plugin:Shop is a class, whose hooks need an object",
            (
                "Write plugin = Shop() in example_shop.plugin, and example_shop.plugin:plugin in "
                "the entry point."
            ),
        ),
        (
            f"{SHOP}\nhere = Shop()",
            "example_shop.plugin",
            "the module example_shop.plugin has no hooks, but its here has",
            "Write example_shop.plugin:here in the entry point.",
        ),
        (
            SHOP,
            "example_shop.plugin",
            "the module example_shop.plugin has no hooks, but its Shop has",
            "Write plugin = Shop() there, and example_shop.plugin:plugin in the entry point.",
        ),
        (
            f"{SHOP}\ndef make(): return Shop()",
            "example_shop.plugin:make",
            "example_shop.plugin:make is a function, which has no hooks",
            "A plugin is a module or an object whose functions are marked with @pegboard.hookimpl.",
        ),
        (
            "# Empty.",
            "example_shop.plugin",
            "the module example_shop.plugin has no hooks",
            (
                "Mark its hooks with @pegboard.hookimpl, or name in the entry point the module or "
                "the object that has them."
            ),
        ),
        (
            "def setup(app): pass",
            "example_shop.plugin",
            "the module example_shop.plugin has no hooks",
            (
                "Mark its hooks with @pegboard.hookimpl, or name in the entry point the module or "
                "the object that has them."
            ),
        ),
        (
            "here = None",
            "example_shop.plugin:here",
            "example_shop.plugin:here is a NoneType, which has no hooks",
            "A plugin is a module or an object whose functions are marked with @pegboard.hookimpl.",
        ),
    ],
)
def test_what_has_no_hooks_that_can_be_called_is_reported(
    plugin_folder: PluginFolder, code: str, target: str, summary: str, hint: str
) -> None:
    """With what to write in its place."""
    plugin_folder.add("shop", code, target=target)
    problem = only_problem("shop")
    assert (Code.PLUGIN_OBJECT_INVALID, summary, hint) == (
        problem.code,
        problem.summary.partition(", at ")[0],
        problem.hint,
    )


def test_a_class_or_a_module_given_to_create_app_is_reported() -> None:
    """With the call to write."""
    problem = only_problem("shop", [Shop])
    assert "Write create_app(plugins=[Shop()])." == problem.hint
    module = types.ModuleType("shop")
    module.Shop = Shop  # type: ignore[attr-defined]
    assert "Give create_app Shop() in place of the module." == only_problem("shop", [module]).hint


def test_a_class_whose_hooks_need_no_object_is_a_plugin() -> None:
    """It is a namespace like a module."""

    class Static:
        name = "static"

        @staticmethod
        @hookimpl
        def pegboard_setup(app: object) -> None:
            """Do nothing."""

    assert (
        "static" == get_registry(create_app({"ENV": "testing"}, plugins=[Static])).plugins[0].name
    )


def test_an_object_with_hooks_is_a_plugin(plugin_folder: PluginFolder) -> None:
    """An entry point may name it."""
    plugin_folder.add("shop", f"{SHOP}\nhere = Shop()", target="example_shop.plugin:here")
    app = create_app({"ENV": "testing", "PLUGINS": "shop"})
    assert "Shop" == type(app.extensions["shop"]).__name__


@pytest.mark.parametrize(
    "models,place",
    [
        ("\n\nimport stripe", "at example_shop/models.py:3"),
        ("\nprice = (", "at example_shop/models.py:2"),
        ("import importlib\nimportlib.import_module('stripe')", "at example_shop/models.py:2"),
        (
            "import json\n\njson.loads('{')",
            "at example_shop/models.py:3, raised in json/decoder.py:",
        ),
    ],
)
def test_an_import_that_fails_names_its_line(
    plugin_folder: PluginFolder, models: str, place: str
) -> None:
    """Of the module where it broke, not of the one that the entry point names."""
    folder = plugin_folder.add("shop", "import example_shop.models")
    (folder / "models.py").write_text(models, encoding="utf-8")
    assert re.search(rf", {re.escape(place)}\d*$", only_problem("shop").summary)


@pytest.mark.parametrize(
    "hook",
    [
        *("hookspecs", "settings", "models", "migrations", "blueprints", "commands"),
        *("health_checks", "setup", "client_identity", "session_strategy", "cache_strategy"),
        *("stages", "openapi"),
    ],
)
def test_a_hook_that_fails_names_its_line(plugin_folder: PluginFolder, hook: str) -> None:
    """And that which raised the error, if it is in another package."""
    plugin_folder.add(
        "shop",
        f"@pegboard.hookimpl\ndef pegboard_{hook}():\n    from example_shop import sizes\n\n"
        "    return sizes.read()\n",
    )
    sizes = plugin_folder.path / "example_shop" / "sizes.py"
    sizes.write_text("def read():\n    return {}['size']\n", encoding="utf-8")
    summary = f"pegboard_{hook} failed: KeyError: 'size', at example_shop/sizes.py:2"
    assert summary == only_problem("shop").summary


def test_each_hook_with_wrong_arguments_is_reported_with_the_right_ones(
    plugin_folder: PluginFolder,
) -> None:
    """All of a plugin at once, also for a hook of another plugin."""
    plugin_folder.add(
        "host",
        """
        import sys

        @pegboard.hookspec
        def pegboard_host_greet(name, language): ...

        @pegboard.hookimpl
        def pegboard_hookspecs():
            return sys.modules[__name__]
        """,
    )
    plugin_folder.add(
        "shop",
        """
        @pegboard.hookimpl
        def pegboard_openapi(application, document): ...

        @pegboard.hookimpl
        def pegboard_models(app): ...
        """,
    )
    plugin_folder.add(
        "guest", "@pegboard.hookimpl\ndef pegboard_host_greet(title, name, language): ..."
    )
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing", "PLUGINS": "host,guest,shop"})
    assert {
        (
            "shop",
            "pegboard_openapi takes application, which the hook does not give",
            "Its arguments are app, document; take these or fewer, without *, ** and defaults.",
        ),
        (
            "shop",
            "pegboard_models takes app, which the hook does not give",
            "The hook has no arguments; take none.",
        ),
        (
            "guest",
            "pegboard_host_greet takes title, which the hook does not give",
            "Its arguments are name, language; take these or fewer, without *, ** and defaults.",
        ),
    } == {
        (one.plugin, one.summary.partition(", at ")[0], one.hint) for one in caught.value.problems
    }


@pytest.mark.parametrize("hook", ["setup()", "setup(app)", "blueprints()"])
def test_a_method_without_self_is_reported(plugin_folder: PluginFolder, hook: str) -> None:
    """Else the object would be passed as the app, or nowhere; the hook is not called then."""
    code = f"""
class Shop:
    @pegboard.hookimpl
    def pegboard_{hook}: return []
here = Shop()
"""
    plugin_folder.add("shop", code, target="example_shop.plugin:here")
    problem = only_problem("shop")
    name = hook.partition("(")[0]
    assert problem.summary.startswith(f"pegboard_{name} is a method of Shop without self, at ")
    assert (
        "Put self before its arguments, or @staticmethod above @pegboard.hookimpl." == problem.hint
    )


@pytest.mark.parametrize(
    "code",
    [
        "@pegboard.hookspec\ndef pegboard_setup(app): ...",
        # The module of its own hooks.
        """
        import sys

        @pegboard.hookspec
        def pegboard_shop_priced(): ...

        @pegboard.hookspec
        def pegboard_setup(app): ...

        @pegboard.hookimpl
        def pegboard_hookspecs():
            return sys.modules[__name__]
        """,
        # Hooks of its own elsewhere.
        """
        class Hooks:
            @pegboard.hookspec
            def pegboard_shop_priced(): ...

        @pegboard.hookspec
        def pegboard_shop_priced(): ...

        @pegboard.hookimpl
        def pegboard_hookspecs():
            return Hooks
        """,
    ],
    ids=["alone", "among its own", "its own"],
)
def test_the_marker_of_declarations_on_an_implementation_is_reported(
    plugin_folder: PluginFolder, code: str
) -> None:
    """The function would never be called."""
    plugin_folder.add("shop", code)
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing", "PLUGINS": "shop"})
    (problem,) = (one for one in caught.value.problems if one.code is Code.HOOK_NOT_MARKED)
    assert "is marked as the declaration of one, at example_shop/plugin.py:" in problem.summary
    assert "Put @pegboard.hookimpl above it, in place of @pegboard.hookspec." == problem.hint


def test_an_entry_point_to_a_module_that_does_not_exist_is_reported(
    plugin_folder: PluginFolder,
) -> None:
    """The module cannot be fixed; the entry point can."""
    plugin_folder.add("shop", target="example_shop.plugins")
    hint = "Name in the entry point shop a module that there is, in place of example_shop.plugins"
    assert only_problem("shop").hint.startswith(hint)


def test_a_text_in_place_of_a_list_of_plugins_is_reported() -> None:
    """Its letters are no names of plugins."""
    with pytest.raises(StartupError) as caught:
        create_app("testing", plugins="items")
    (problem,) = caught.value.problems
    assert "Write create_app(plugins=['items'])." == problem.hint
