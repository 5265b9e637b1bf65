"""Implementations of one hook before and after those of named plugins."""

import logging
from itertools import permutations

import pytest

from pegboard import StartupError, create_app, get_registry
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder

ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}

SET_UP = """
@pegboard.hookimpl({options})
def pegboard_setup(app):
    app.config.setdefault("ORDER", []).append(__name__.split(".")[0].removeprefix("example_"))
"""
HOST = """
import sys

@pegboard.hookspec
def pegboard_host_greet(): ...

@pegboard.hookimpl
def pegboard_hookspecs():
    return sys.modules[__name__]
"""
GREET = """
@pegboard.hookimpl({options})
def pegboard_host_greet():
    return {name!r}
"""


def set_up(plugin_folder: PluginFolder, **options: str) -> str:
    """Install plugins whose set-ups have these options; return their names."""
    for name, option in options.items():
        plugin_folder.add(name, SET_UP.format(options=option))
    return ",".join(options)


def order(**config):
    """The order in which plugins were set up."""
    return create_app({**ALONE, **config}).config["ORDER"]


@pytest.mark.parametrize(
    "one,two,three,expected",
    [
        ("", "", "", "one three two"),
        ("after='two'", "", "", "three two one"),
        ("", "before='one'", "", "three two one"),
        ("after=['two', 'three']", "before='three'", "", "two three one"),
        ("after=('absent', 'two')", "before='gone'", "", "three two one"),
        ("trylast=True", "", "", "three two one"),
        ("trylast=True, before='two'", "", "tryfirst=True", "three one two"),
    ],
)
def test_a_set_up_comes_before_and_after_those_of_others(
    plugin_folder: PluginFolder, one: str, two: str, three: str, expected: str
) -> None:
    """Else in the order of the plugins, here of their names; any may be absent."""
    names = set_up(plugin_folder, one=one, two=two, three=three)
    assert expected.split() == order(PLUGINS=names)


def test_an_order_wins_over_requirements(plugin_folder: PluginFolder) -> None:
    """For its hook alone."""
    plugin_folder.add("base_part", SET_UP.format(options=""))
    code = SET_UP.format(options="before='base_part'")
    plugin_folder.add("extra", code, requires=["pegboard", "example-base-part"])
    app = create_app({**ALONE, "PLUGINS": "base_part,extra"})
    assert ["extra", "base_part"] == app.config["ORDER"]
    assert ["base_part", "extra"] == [plugin.name for plugin in get_registry(app).plugins]


@pytest.mark.parametrize("names", [*permutations(["alpha", "beta", "gamma"])])
def test_a_hook_of_a_plugin_is_called_in_order(plugin_folder: PluginFolder, names) -> None:
    """Whatever their names are."""
    first, second, third = names
    plugin_folder.add("host", HOST)
    for name, options in {
        first: f"before={second!r}",
        second: "",
        third: f"after=[{second!r}]",
    }.items():
        plugin_folder.add(name, GREET.format(name=name, options=options))
    app = create_app({**ALONE, "PLUGINS": f"host,{','.join(names)}"})
    assert [*names] == get_registry(app).hook.pegboard_host_greet()


def test_a_wrapper_stays_around_all(plugin_folder: PluginFolder) -> None:
    """An order among the others is none of its business."""
    plugin_folder.add("host", HOST)
    plugin_folder.add(
        "wrapping",
        "@pegboard.hookimpl(wrapper=True, after='plain')\n"
        "def pegboard_host_greet():\n    return ['around', *(yield)]\n",
    )
    plugin_folder.add("plain", GREET.format(name="plain", options=""))
    app = create_app({**ALONE, "PLUGINS": "host,plain,wrapping"})
    assert ["around", "plain"] == get_registry(app).hook.pegboard_host_greet()


CIRCLE = "implementations of pegboard_setup are each to be called before the next: {}"


@pytest.mark.parametrize(
    "options,circle",
    [
        ({"one": "before='two'", "two": "before='one'"}, "one → two → one"),
        ({"one": "before='two'", "two": "before='one'", "x": ""}, "one → two → one"),
        ({"one": "after='two'", "two": "after='x'", "x": "after='one'"}, "one → x → two → one"),
        ({"one": "before='one'"}, "one → one"),
    ],
)
def test_a_circle_stops_the_start(plugin_folder: PluginFolder, options, circle) -> None:
    """All that are in it are named, and the hook."""
    names = set_up(plugin_folder, **options)
    with pytest.raises(StartupError) as caught:
        order(PLUGINS=names)
    (problem,) = caught.value.problems
    assert (Code.HOOK_ORDER_CYCLE, "example-one 1.0") == (problem.code, problem.distribution)
    assert CIRCLE.format(circle) == problem.summary.partition(", at ")[0]


def test_one_of_a_circle_may_be_skipped(plugin_folder: PluginFolder) -> None:
    """The one whose policy allows it; the rest has an order then."""
    names = set_up(plugin_folder, one="before='two'", two="before='one'")
    assert ["one"] == order(PLUGINS=names, PLUGINS_POLICY="two=skip")


PLACE = ", at example_shop/plugin.py:3"


def test_a_name_that_resembles_an_active_plugin_is_warned_of(
    plugin_folder: PluginFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be a misspelling; any other may be a plugin that is absent."""
    names = set_up(plugin_folder, orders="", shop="after=['ordes', 'search', 'orders_x']")
    assert ["orders", "shop"] == order(PLUGINS=names)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    expected = f"after='ordes' of pegboard_setup in plugin shop{PLACE} is not used: no plugin of"
    assert [f"{expected} this name is active. Did you mean orders?"] == told


@pytest.mark.parametrize(
    "given,question",
    [("example-orders", " Did you mean orders?"), ("Some-Other", "")],
)
def test_a_name_that_no_plugin_can_have_is_warned_of(
    plugin_folder: PluginFolder, caplog: pytest.LogCaptureFixture, given: str, question: str
) -> None:
    """It is the name of a distribution, as a rule."""
    names = set_up(plugin_folder, orders="", shop=f"after={given!r}")
    assert ["orders", "shop"] == order(PLUGINS=names)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    expected = f"after={given!r} of pegboard_setup in plugin shop{PLACE} is not used: no plugin has"
    assert [f"{expected} such a name.{question}"] == told
