"""Implementations that name a declaration: mypy finds what is wrong with them.

The wrong ones carry `type: ignore`, of which mypy says that it is unused where it finds nothing.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from flask import Flask

import pegboard
from pegboard import StartupError, create_app, get_registry, hookimpl, hookspec
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder

ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}


@hookspec
def pegboard_shop_priced(name: str, price: int) -> int | None:
    """Return another price of what has a name, or None: a hook of a plugin's own."""


class Shop:
    """A plugin whose methods are marked, each under a name of its own."""

    name = "shop"

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def pegboard_hookspecs(self) -> object:
        """Return the declarations."""
        return SimpleNamespace(pegboard_shop_priced=pegboard_shop_priced)

    @hookimpl.method(hookspec.pegboard_setup)
    def set_up(self, app: Flask) -> None:
        """Keep the app."""
        self.seen.append(app)

    @hookimpl.method(hookspec.pegboard_setup)  # type: ignore[arg-type]
    def pegboard_unnamed(self, application: Flask) -> None:
        """Name the argument wrongly."""

    @hookimpl.method(hookspec.pegboard_blueprints)  # type: ignore[arg-type]
    def serve(self) -> str:
        """Return what is no list of blueprints."""
        return ""


@hookimpl(pegboard_shop_priced)
def halve(name: str, price: int) -> int:
    """Return a price: a narrower result is right."""
    return price // 2


@hookimpl(pegboard_shop_priced, before="shop", after=["stock"], optionalhook=True)
def refuse() -> None:
    """Take no argument, which is right too."""


@hookimpl(hookspec.pegboard_blueprints)
def serve() -> list[pegboard.Blueprint]:
    """Return a list, which is a sequence."""
    return []


@hookimpl(pegboard_shop_priced)  # type: ignore[arg-type]
def misname(nam: str, price: int) -> int:
    """Name an argument wrongly."""
    return 1


@hookimpl(pegboard_shop_priced)  # type: ignore[arg-type]
def mistype(name: int, price: int) -> int:
    """Take another type."""
    return 1


@hookimpl(pegboard_shop_priced)  # type: ignore[arg-type]
def misresult(name: str, price: int) -> str:
    """Return another type."""
    return ""


@hookimpl(pegboard_shop_priced)  # type: ignore[arg-type]
def more(name: str, price: int, other: int) -> int:
    """Want what the hook does not give."""
    return 1


@hookimpl(hookspec.pegboard_setup)  # type: ignore[arg-type]
def before_all(other: int, app: Flask) -> None:
    """Want it first."""


@hookimpl(hookspec.pegboard_blueprints)  # type: ignore[arg-type]
def one_blueprint() -> pegboard.Blueprint:
    """Return one in place of a list."""
    return pegboard.Blueprint("one", __name__)


def misspell() -> Sequence[object]:
    """Name a hook of the core, and a word of an order, that there is not."""
    return [
        hookspec.pegboard_blueprint,  # type: ignore[attr-defined]
        hookimpl(hookspec.pegboard_setup, befor="shop"),  # type: ignore[call-overload]
    ]


def call(registry: pegboard.hookspec) -> None:  # type: ignore[valid-type]
    """Call a hook with what it does not take."""
    get_registry().call_each(pegboard_shop_priced, nam="Anvil", price=1)  # type: ignore[call-arg]
    get_registry().call_each(pegboard_shop_priced, name=1, price=1)  # type: ignore[arg-type]
    outcome: str | None = get_registry().call_each(pegboard_shop_priced, "Anvil", 1)[0].result  # type: ignore[assignment]
    assert outcome


def test_an_implementation_has_the_name_of_its_declaration() -> None:
    """A function or a method may have any name; it is that of the hook which counts."""
    shop = Shop()
    del type(shop).pegboard_unnamed, type(shop).serve
    discount = SimpleNamespace(name="discount", halve=halve)
    app = create_app(ALONE, plugins=[shop, discount])
    assert [app] == shop.seen
    assert [4] == get_registry(app).hook.pegboard_shop_priced(name="Anvil", price=8)


@pytest.mark.parametrize(
    "function,text",
    [
        (misname, "pegboard_shop_priced takes nam, which the hook does not give"),
        (before_all, "pegboard_setup takes other, which the hook does not give"),
        (one_blueprint, "pegboard_blueprints returned an object of type Blueprint"),
    ],
)
def test_what_mypy_finds_stops_the_start_too(function: object, text: str) -> None:
    """Nobody has to run mypy."""
    shop = SimpleNamespace(
        name="shop",
        wrong=function,
        pegboard_hookspecs=hookimpl(hookspec.pegboard_hookspecs)(
            lambda: SimpleNamespace(pegboard_shop_priced=pegboard_shop_priced)
        ),
    )
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=[shop])
    assert [("shop", text)] == [
        (one.plugin, one.summary.partition(", at ")[0]) for one in caught.value.problems
    ]


def test_a_marker_that_marks_nothing_stops_the_start(plugin_folder: PluginFolder) -> None:
    """The marker of a hook, put above the declaration of it."""
    plugin_folder.add(
        "shop",
        "@pegboard.hookimpl\n@pegboard.hookspec\ndef pegboard_setup(app): ...\n"
        "@pegboard.hookimpl\ndef pegboard_blueprints(): return []\n",
    )
    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, "PLUGINS": "shop"})
    (problem,) = caught.value.problems
    assert (Code.HOOK_NOT_MARKED, "shop") == (problem.code, problem.plugin)
    assert problem.summary == (
        "pegboard_setup is what marks an implementation of pegboard_setup, and marks no function, "
        "at example_shop/plugin.py:4"
    )
