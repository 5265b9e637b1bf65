"""What hooks return: checked for every hook of the core."""

from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from flask import Blueprint
from flask.sessions import SecureCookieSessionInterface, SessionInterface
from sqlalchemy.orm import DeclarativeBase

from pegboard import HealthCheck, Model, Settings, StartupError, create_app, get_health, hookimpl
from pegboard.cache import CacheStrategy, Key
from pegboard.plugins.hooks import CoreHooks
from pegboard.plugins.markers import PROJECT
from pegboard.plugins.results import EXPECTED
from pegboard.problems import Code
from pegboard.resources import Listener
from pegboard.testing.distributions import PluginFolder

ALONE = {"ENV": "testing", "CACHE": "auto", "SESSIONS": "auto"}

BLUEPRINT = Blueprint("shop", __name__)


class OwnStage:
    """What could be a stage, if it was an object."""

    name = "shop"
    order = 900

    def bind(self, route: object) -> None:
        """Do nothing."""


class HalfStrategy:
    """A strategy that cannot look up."""

    name = "half"

    def fill(self, key: Key) -> None:
        """Store nothing."""


METHODS = [name for name in vars(CacheStrategy) if not name.startswith("_")]

FlatStrategy = type("FlatStrategy", (), dict.fromkeys(METHODS, 0) | {"name": "flat"})
"""A strategy without methods: all its attributes are numbers."""


TalkativeStrategy = type(
    "TalkativeStrategy",
    (),
    dict.fromkeys(METHODS, lambda _self, _one, _two, _three: None) | {"name": "talkative"},
)
"""A strategy whose methods take other arguments than they are given."""


class OtherSessions(SessionInterface):
    """Sessions whose functions take other arguments than Flask gives."""

    def open_session(self) -> None:  # type: ignore[override]  # as the case wants
        """Open none."""

    def save_session(self) -> None:  # type: ignore[override]
        """Save none."""


class Identifier:
    """Identifies clients, when awaited."""

    async def __call__(self, environ: object) -> str:
        """Identify a client."""
        return str(environ)


async def check() -> None:
    """Check something, when awaited."""


async def identify(environ: object) -> str:
    """Identify a client, when awaited."""
    return str(environ)


def returning(hook: str, function: Callable[[], Any]) -> object:
    """A plugin whose one hook does what a function does."""
    body = {hook: staticmethod(hookimpl(specname=hook)(function)), "name": "shop"}
    return type("Shop", (), body)()


class Observing:
    """An observer."""

    def begin(self, _environ: object, /) -> None:
        """Do nothing."""

    def end(self, _observation: object, /) -> None:
        """Do nothing."""


class MeasuringObserver(Observing):
    """One that says how much it wants to have measured."""

    def __init__(self, stage_share: Any) -> None:
        self.stage_share = stage_share


class AsyncObserving(Observing):
    """One whose method nothing awaits."""

    async def end(self, _observation: object, /) -> None:  # type: ignore[override]
        """Do nothing."""


WRONG: dict[str, list[Any]] = {
    "pegboard_models": [None, object(), Settings, "Base", DeclarativeBase],
    "pegboard_settings": [None, object(), {"page_size": 20}, Settings()],
    "pegboard_migrations": [None, "migrations", Path("/no/such/folder"), Path(__file__)],
    "pegboard_blueprints": [None, BLUEPRINT, "", [Blueprint], [BLUEPRINT, None], {BLUEPRINT}, 0],
    "pegboard_commands": [None, click.Command("one"), [click.Command], [click.Command(None)]],
    "pegboard_health_checks": [
        None,
        [HealthCheck],
        [lambda: None],
        [HealthCheck("", print)],
        [HealthCheck("one", None)],  # type: ignore[arg-type]  # as the case wants
        [HealthCheck("one", check)],
        [HealthCheck("one", lambda _app: None)],  # type: ignore[arg-type,misc]
    ],
    "pegboard_requires": [None, Sized, "Sized", [Sized, "Sized"], [object()]],
    "pegboard_setup": [object(), False],
    "pegboard_listeners": [None, Listener(written=print), [Listener], [print]],
    "pegboard_client_identity": [
        42,
        "alice",
        type("Identify", (), {}),
        identify,
        Identifier(),
        lambda: None,
        lambda _app, _environ: None,
    ],
    "pegboard_session_strategy": [
        object(),
        SecureCookieSessionInterface,
        SessionInterface(),
        OtherSessions(),
    ],
    "pegboard_cache_strategy": [object(), HalfStrategy(), 0, FlatStrategy(), TalkativeStrategy()],
    "pegboard_stages": [None, OwnStage(), [OwnStage]],
    "pegboard_observers": [
        None,
        Observing(),
        [Observing],
        [None],
        [AsyncObserving()],
        [MeasuringObserver(1.5)],
        [MeasuringObserver("all")],
    ],
    "pegboard_openapi": [{}],
}


def test_every_hook_has_an_expected_result() -> None:
    """And wrong ones that are tried here, but for those of metrics, which no start asks for."""
    declared = {
        name for name in vars(CoreHooks) if hasattr(getattr(CoreHooks, name), f"{PROJECT}_spec")
    }
    others = {"pegboard_hookspecs", "pegboard_provides"}
    assert declared - others == EXPECTED.keys() == WRONG.keys() | {"pegboard_metrics"}


@pytest.mark.parametrize("hook,result", [(name, one) for name in WRONG for one in WRONG[name]])
def test_a_wrong_result_stops_the_start(hook: str, result: Any) -> None:
    """The plugin and the hook are named, and what is expected."""
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=[returning(hook, lambda: result)])
    (problem,) = caught.value.problems
    assert "shop" == problem.plugin
    if problem.code == Code.STAGE_INVALID:
        assert "its stage OwnStage is a class" == problem.summary.partition(", at ")[0]
        return
    assert Code.HOOK_RESULT_INVALID == problem.code
    assert problem.summary.startswith(f"{hook} returned ")
    assert problem.hint == f"Return {EXPECTED[hook].wanted}."


@pytest.mark.parametrize("hook", WRONG)
def test_a_hook_that_does_not_run_stops_the_start(hook: str) -> None:
    """An async function or a generator would silently do nothing."""

    async def later() -> None: ...

    def piecemeal() -> Any:
        yield BLUEPRINT

    async def both() -> Any:
        yield BLUEPRINT

    for function, mistake in (
        (later, "is an async function, which nothing awaits"),
        (piecemeal, "is a generator, which nothing runs"),
        (both, "is an async generator, which nothing runs"),
    ):
        with pytest.raises(StartupError) as caught:
            create_app(ALONE, plugins=[returning(hook, function)])
        (problem,) = caught.value.problems
        assert f"{hook} {mistake}" == problem.summary.partition(", at ")[0]
        assert f"Make it a plain function that returns {EXPECTED[hook].wanted}." == problem.hint


def test_a_wrong_part_of_a_list_is_told_with_its_place() -> None:
    """So that it is found in a long one."""
    plugin = returning("pegboard_commands", lambda: [click.Command("one"), "two"])
    with pytest.raises(StartupError, match="pegboard_commands returned 'two' at index 1"):
        create_app(ALONE, plugins=[plugin])


def test_all_wrong_parts_of_a_list_are_told() -> None:
    """As far as a message can be read."""
    parts = ["one", click.Command("two"), "three"]
    with pytest.raises(
        StartupError, match=r"pegboard_commands returned 'one' at index 0, 'three' at index 2, at "
    ):
        create_app(ALONE, plugins=[returning("pegboard_commands", lambda: parts)])
    with pytest.raises(StartupError, match=r", 9 at index 9 and 2 more, at "):
        create_app(ALONE, plugins=[returning("pegboard_commands", lambda: [*range(12)])])


def constant(result: object) -> Callable[[], object]:
    """A function without arguments that returns something."""
    return lambda: result


def test_all_wrong_results_of_one_plugin_are_told() -> None:
    """A folder of migrations that is wrong is not missing besides."""

    class Base(Model, DeclarativeBase):
        """Has a table."""

    sa.Table("notes", Base.metadata, sa.Column("id", sa.Integer, primary_key=True))
    results = {
        "pegboard_models": Base,
        "pegboard_migrations": "migrations",
        "pegboard_settings": None,
        "pegboard_blueprints": None,
        "pegboard_commands": None,
        "pegboard_health_checks": None,
    }
    body: dict[str, Any] = {"name": "shop"}
    for hook, result in results.items():
        body[hook] = staticmethod(hookimpl(specname=hook)(constant(result)))
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=[type("Shop", (), body)()])
    told = [problem.summary.partition(" ")[0] for problem in caught.value.problems]
    assert [*results][1:] == told
    assert {Code.HOOK_RESULT_INVALID} == {problem.code for problem in caught.value.problems}


def test_all_wrong_stages_of_one_plugin_are_told() -> None:
    """Those that are invalid, and those in the place of another."""

    class Other(OwnStage):
        """A stage in the same place."""

        name = "other"

    stages = [OwnStage(), OwnStage, Other(), object()]
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=[returning("pegboard_stages", lambda: stages)])
    assert [
        "its stage OwnStage is a class",
        "its stage object has no name",
        "its stage other has the place 900 of shop",
    ] == [problem.summary.partition(", at ")[0] for problem in caught.value.problems]


def test_all_wrong_blueprints_of_one_plugin_are_told() -> None:
    """Each by its name."""

    def make(name: str, rule: str) -> Blueprint:
        blueprint = Blueprint(name, __name__)
        blueprint.add_url_rule(rule, "view", lambda **_: "")
        return blueprint

    blueprints = [make("one", "/<nope:a>"), make("two", "/two"), make("three", "/<wrong:a>")]
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=[returning("pegboard_blueprints", lambda: blueprints)])
    assert [
        "its blueprint one cannot be registered: the converter 'nope' does not exist",
        "its blueprint three cannot be registered: the converter 'wrong' does not exist",
    ] == [problem.summary.partition(", at ")[0] for problem in caught.value.problems]


@pytest.mark.parametrize(
    "hook", ["pegboard_client_identity", "pegboard_session_strategy", "pegboard_cache_strategy"]
)
def test_a_provider_may_decline(hook: str) -> None:
    """None is what these hooks may return."""
    create_app(ALONE, plugins=[returning(hook, lambda: None)])


def test_a_plugin_with_a_wrong_result_may_be_skipped() -> None:
    """Also when the hook is called late."""
    config = {**ALONE, "PLUGINS_POLICY": "shop=skip"}
    app = create_app(config, plugins=[returning("pegboard_openapi", lambda: 5)])
    assert ("shop",) == get_health(app).skipped


def test_all_that_is_wrong_with_a_plugin_is_told_at_once() -> None:
    """What else it has is looked at beside a result that cannot be used."""

    class ShopSettings(Settings):
        limit: int = 1

    class Shop:
        name = "shop"

        @hookimpl
        def pegboard_health_checks(self) -> None:
            """Return no list."""

        @hookimpl
        def pegboard_settings(self) -> type[Settings]:
            return ShopSettings

        @hookimpl
        def pegboard_commands(self) -> list[click.Command]:
            return [click.Command("serve")]

        @hookimpl
        def pegboard_blueprints(self) -> list[Blueprint]:
            blueprint = Blueprint("shop", __name__)
            blueprint.add_url_rule("/health", view_func=lambda: "")
            return [blueprint]

    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, "SHOP_LIMIT": "many", "SHOP_LIMITS": "1"}, plugins=[Shop()])
    assert {
        Code.HOOK_RESULT_INVALID,
        Code.SETTING_INVALID,
        Code.SETTING_UNKNOWN,
        Code.COLLISION_COMMAND,
        Code.COLLISION_ROUTE,
    } == {problem.code for problem in caught.value.problems}


@pytest.mark.parametrize(
    "change", [dict.clear, lambda document: document.update(x=object())], ids=["cleared", "no JSON"]
)
def test_a_plugin_that_spoils_the_document_is_named(
    change: Callable[[dict[str, Any]], None],
) -> None:
    """What the hook is given counts as its result."""

    class Shop:
        name = "shop"

        @hookimpl
        def pegboard_openapi(self, document: dict[str, Any]) -> None:
            """Change the document."""
            change(document)

    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=[Shop()])
    (problem,) = caught.value.problems
    assert (Code.HOOK_RESULT_INVALID, "shop") == (problem.code, problem.plugin)
    assert problem.summary.startswith("pegboard_openapi spoiled the document: ")


REFERENCES = {
    "another plugin's table by its name": (
        "item_id = sqlalchemy.Column(sqlalchemy.ForeignKey('items.id'))",
        "notes.item_id refers to 'items.id', no column of this plugin",
    ),
    "a column that is not there": (
        "other_id = sqlalchemy.Column(sqlalchemy.ForeignKey('notes.number'))",
        "notes.other_id refers to 'notes.number'",
    ),
    "several": (
        (
            "other_id = sqlalchemy.Column(sqlalchemy.ForeignKey('notes.number'))\n"
            "item_id = sqlalchemy.Column(sqlalchemy.ForeignKey('items.id'))"
        ),
        (
            "notes.item_id refers to 'items.id', no column of this plugin\n"
            "notes.other_id refers to 'notes.number', no column of this plugin"
        ),
    ),
    "a class that is not there": (
        "owner = sqlalchemy.orm.relationship('Owner')",
        "its models cannot be mapped",
    ),
}


@pytest.mark.parametrize("line,told", REFERENCES.values(), ids=list(REFERENCES))
def test_a_model_that_refers_to_nothing_is_found_at_the_start(
    plugin_folder: PluginFolder, line: str, told: str
) -> None:
    """The plugin is named, and may be skipped."""
    plugin_folder.add_table("notes", columns=line)
    config = {"ENV": "testing", "PLUGINS": "notes"}
    with pytest.raises(StartupError) as caught:
        create_app(config)
    problems = caught.value.problems
    assert {("notes", Code.MODEL_REFERENCE_UNRESOLVED)} == {
        (problem.plugin, problem.code) for problem in problems
    }
    assert len(told.splitlines()) == len(problems)
    assert told in "\n".join(problem.summary.partition(", at ")[0] for problem in problems)
    app = create_app({**config, "PLUGINS_POLICY": "notes=skip"})
    assert 200 == app.test_client().get("/health").status_code
