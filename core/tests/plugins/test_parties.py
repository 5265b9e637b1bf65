"""Which of two plugins that collide is left out."""

import re

import click
import pytest
from flask import Blueprint, Flask

from pegboard import (
    Settings,
    StartupError,
    create_app,
    get_health,
    get_registry,
    hookimpl,
    hookspec,
    setting,
)
from pegboard.stages import Route
from pegboard.testing.distributions import PluginFolder

ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}

KINDS = ("route", "blueprint", "command", "provider", "hook", "stage", "set-up")


class Wanting:
    """A plugin that wants to have names, each with the kind of thing that it is a name of."""

    def __init__(self, name: str, **wanted: str) -> None:
        self.name = name
        self.wanted = {kind.replace("_", "-"): value for kind, value in wanted.items()}

    @hookimpl
    def pegboard_hookspecs(self) -> object:
        """Declare a hook of the name, or one of its own."""

        @hookspec
        def declared() -> None: ...

        name = self.wanted.get("hook", self.name)
        return type("Hooks", (), {f"pegboard_{name}_changed": staticmethod(declared)})

    @hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Return a blueprint with a route."""
        blueprint = Blueprint(self.wanted.get("blueprint", self.name), __name__)
        path = self.wanted.get("route", f"{self.name}-alone")
        blueprint.add_url_rule(f"/{path}", "view", lambda: self.name)
        return [blueprint]

    @hookimpl
    def pegboard_commands(self) -> list[click.Command]:
        """Return a command."""
        return [click.Command(self.wanted.get("command", self.name))]

    @hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Add a route."""
        if "set-up" in self.wanted:
            app.add_url_rule(f"/{self.wanted['set-up']}/", self.name, lambda: self.name)

    @hookimpl
    def pegboard_stages(self) -> list["Wanting"]:
        """Return itself if it wants to be a stage."""
        return [self] if "stage" in self.wanted else []

    @property
    def order(self) -> int:
        """The place of the stage."""
        return int(self.wanted.get("stage", 0))

    def bind(self, route: Route | None) -> None:
        """Do nothing at any route."""


class Providing(Wanting):
    """A plugin that provides sessions, too."""

    @hookimpl
    def pegboard_session_strategy(self) -> None:
        """Decline."""


def names(app: Flask) -> list[str]:
    """The names of the active plugins."""
    return [plugin.name for plugin in get_registry(app).plugins]


def two(kind: str) -> list[Wanting]:
    """Two plugins that want one thing of a kind."""
    if kind == "provider":
        return [Providing("alpha"), Providing("alpha_beta")]
    value = "900" if kind == "stage" else "alpha_beta"
    return [Wanting(name, **{kind.replace("-", "_"): value}) for name in ("alpha", "alpha_beta")]


@pytest.mark.parametrize("policy", ["alpha=skip", "alpha_beta=skip", "*=skip", "*=abort"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_plugin_that_may_be_skipped_is_left_out(kind: str, policy: str) -> None:
    """Whatever they collide in, and whichever comes first; of two that may be, the later one."""
    config = {**ALONE, "PLUGINS_POLICY": policy}
    if policy == "*=abort":
        with pytest.raises(StartupError) as caught:
            create_app(config, plugins=two(kind))
        (problem,) = caught.value.problems
        assert "alpha_beta" == problem.plugin
        assert re.search(r"\balpha\b", problem.summary)
        assert "already" not in problem.summary  # neither knows which was there first
        if kind != "provider":
            assert "in one of the two, alpha_beta or alpha" in problem.hint
        return
    app = create_app(config, plugins=two(kind))
    pair = ("alpha", "alpha_beta")
    skipped, active = pair if policy == "alpha=skip" else pair[::-1]
    assert [active] == names(app)
    (problem,) = get_registry(app).skipped
    assert skipped == problem.plugin
    assert re.search(rf"\b{active}\b", problem.summary)


def test_no_more_plugins_are_left_out_than_collisions_demand() -> None:
    """Alpha must give way to gamma, so beta, which collides with alpha alone, may stay."""
    plugins = [
        Wanting("alpha", route="one", command="two"),
        Wanting("beta", route="one"),
        Wanting("gamma", command="two"),
    ]
    config = {**ALONE, "PLUGINS_POLICY": "alpha=skip,beta=skip"}
    app = create_app(config, plugins=plugins)
    assert ["beta", "gamma"] == names(app)


def test_all_that_want_one_name_are_compared_with_each_other() -> None:
    """Of three, the two that may not be skipped collide still."""
    plugins = [Wanting(name, route="one") for name in ("alpha", "beta", "gamma")]
    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, "PLUGINS_POLICY": "alpha=skip"}, plugins=plugins)
    (problem,) = caught.value.problems
    assert "gamma" == problem.plugin
    assert "of plugin beta both match /one" in problem.summary


ROUTE = """
blueprint = pegboard.Blueprint(__name__.partition(".")[0], __name__)
blueprint.add_url_rule("/one", "view", lambda: "")

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def test_a_plugin_that_another_requires_stays(plugin_folder: PluginFolder) -> None:
    """If the other may not be skipped, the service would not start without it."""
    plugin_folder.add("alpha", ROUTE)
    plugin_folder.add("beta", ROUTE)
    plugin_folder.add("needy", requires=["pegboard", "example-beta"])
    config = {**ALONE, "PLUGINS": "alpha,beta,needy"}
    app = create_app({**config, "PLUGINS_POLICY": "alpha=skip,beta=skip"})
    assert ["beta", "needy"] == names(app)


def test_a_requirement_that_was_skipped_tells_why(plugin_folder: PluginFolder) -> None:
    """The first cause is in the message of the plugin that stops the start."""
    plugin_folder.add("alpha", "1 / 0")
    plugin_folder.add("needy", requires=["pegboard", "example-alpha"])
    config = {**ALONE, "PLUGINS": "alpha,needy", "PLUGINS_POLICY": "alpha=skip"}
    with pytest.raises(StartupError) as caught:
        create_app(config)
    (problem,) = caught.value.problems
    assert "needy" == problem.plugin
    assert "alpha is skipped: it cannot be imported: ZeroDivisionError" in problem.hint


def test_one_object_under_two_names_is_left_out_once() -> None:
    """Under the name that may be skipped."""
    plugin = Wanting("alpha")

    class Again:
        """Has another name, and is equal to the first."""

        name = "beta"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Wanting | Again)

        def __hash__(self) -> int:
            return 1

    config = {**ALONE, "PLUGINS_POLICY": "alpha=skip"}
    app = create_app(config, plugins=[plugin, Again()])
    assert ["beta"] == names(app)


def test_a_plugin_that_collides_twice_is_named_once() -> None:
    """By readiness; the registry has both problems."""
    plugins = [Wanting("alpha", route="a"), Wanting("beta", route="a", command="c")]
    plugins.append(Wanting("gamma", command="c"))
    app = create_app({**ALONE, "PLUGINS_POLICY": "beta=skip"}, plugins=plugins)
    assert ["beta", "beta"] == [problem.plugin for problem in get_registry(app).skipped]
    assert ("beta",) == get_health(app).skipped


def test_a_plugin_with_another_problem_is_left_out_rather_than_a_sound_one() -> None:
    """Both may be skipped, and one lacks a setting."""

    class Needs(Settings):
        key: str = setting(doc="A key.")

    class Needy(Wanting):
        @hookimpl
        def pegboard_settings(self) -> type[Settings]:
            """Return the settings."""
            return Needs

    plugins = [Needy("alpha", route="a"), Wanting("beta", route="a")]
    app = create_app({**ALONE, "PLUGINS_POLICY": "*=skip"}, plugins=plugins)
    assert ["beta"] == [plugin.name for plugin in get_registry(app).plugins]
