"""Tests of the fixture `without`."""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, distribution, entry_points

import pytest

from pegboard import StartupError
from pegboard.testing.absence import hidden
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import Hide, MakeApp

USER = """
try:
    import example_shop
except ImportError:
    example_shop = None

@pegboard.hookimpl
def pegboard_setup(app):
    app.extensions["user"] = example_shop
"""


def names() -> set[str]:
    """Return the names of the plugins that the standard library finds."""
    return {entry.name for entry in entry_points(group="pegboard.plugins")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["example_shop", "example-shop", "Example.Shop"])
def test_a_hidden_distribution_is_as_if_it_were_not_installed(
    name: str, plugin_folder: PluginFolder, make_app: MakeApp, without: Hide
) -> None:
    """By its name or its import package: neither metadata nor plugins nor modules are found."""
    plugin_folder.add("shop")
    plugin_folder.add("other")
    importlib.import_module("example_shop.plugin")
    without(name)

    assert "shop" not in names()
    assert "other" in names()
    with pytest.raises(PackageNotFoundError):
        distribution("example-shop")
    with pytest.raises(ModuleNotFoundError) as met:
        importlib.import_module("example_shop.plugin")
    assert "example_shop" == met.value.name
    with pytest.raises(StartupError, match="PB_PLUGIN_NOT_INSTALLED"):
        make_app(plugins=["shop"])
    make_app(plugins=["other"])


@pytest.mark.slow
def test_a_requirement_of_what_is_hidden_is_reported(
    plugin_folder: PluginFolder, make_app: MakeApp, without: Hide
) -> None:
    """As by the service of an operator who lacks it."""
    plugin_folder.add("shop")
    plugin_folder.add("user", requires=["pegboard", "example-shop"])
    without("example_shop")
    with pytest.raises(StartupError, match=r"example-shop, which is not installed"):
        make_app(plugins=["user"])


@pytest.mark.slow
def test_what_has_imported_it_is_imported_anew(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """A plugin that can do without it does, and after the test it is as before."""
    plugin_folder.add("shop")
    plugin_folder.add("user", USER)
    before = make_app(plugins=["user"]).extensions["user"]
    assert sys.modules["example_shop"] is before
    with hidden("example_shop"):
        assert make_app(plugins=["user"]).extensions["user"] is None
    assert make_app(plugins=["user"]).extensions["user"] is before


@pytest.mark.slow
def test_what_is_first_imported_without_it_is_imported_again(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """The next test does not find a plugin that believes it to be absent."""
    plugin_folder.add("shop")
    plugin_folder.add("user", USER)
    with hidden("example_shop"):
        assert make_app(plugins=["user"]).extensions["user"] is None
    assert make_app(plugins=["user"]).extensions["user"] is not None


@pytest.mark.slow
def test_the_core_and_other_packages_are_kept(plugin_folder: PluginFolder) -> None:
    """Classes of a test are those of the app still."""
    plugin_folder.add("shop")
    importlib.import_module("example_shop.plugin")
    modules = {**sys.modules}
    with hidden("example_shop"):
        gone = {name for name in modules if name not in sys.modules}
    assert {"example_shop", "example_shop.plugin"} == gone
    assert {name: sys.modules.get(name) for name in modules} == modules


@pytest.mark.slow
def test_what_is_not_installed_needs_no_hiding(without: Hide) -> None:
    """A test runs in each environment of a matrix, the one that lacks it included."""
    without("quite_another_package")


@pytest.mark.slow
def test_a_misspelled_name_is_told(plugin_folder: PluginFolder, without: Hide) -> None:
    """With the name that was meant, as the test would hide nothing."""
    plugin_folder.add("shop")
    with pytest.raises(LookupError, match=r"did you mean example[-_]shop"):
        without("exampel_shop")
