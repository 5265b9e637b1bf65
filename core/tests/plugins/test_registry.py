"""Discovery, order, checks and policies of the registry."""

import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from flask import Blueprint

from pegboard import StartupError, create_app, get_registry, hookimpl
from pegboard.migrations.histories import VERSION_TABLE_PREFIX
from pegboard.plugins.discovery import LONGEST_NAME
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}
"""Whatever else is installed finds no server, and needs none."""

ROUTE = """
blueprint = pegboard.Blueprint('{name}', __name__)
blueprint.add_url_rule('{rule}', 'view', lambda **_: '')

@pegboard.hookimpl
def pegboard_blueprints():
    return [blueprint]
"""


def names(app):
    """The names of the active plugins."""
    return [plugin.name for plugin in get_registry(app).plugins]


def problems(**config):
    """The problems that keep the service from starting."""
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing", **config})
    return caught.value.problems


def test_installed_plugins_are_found_through_their_entry_points(plugin_folder: PluginFolder):
    """A distribution with an entry point is active without any configuration."""
    plugin_folder.add("alpha")
    app = create_app(ALONE)
    assert "alpha" in names(app)


def test_a_plugin_comes_after_those_its_distribution_requires(plugin_folder: PluginFolder):
    """The order comes from packaging metadata, not from names."""
    plugin_folder.add("alpha", requires=["pegboard", "example-zeta"])
    plugin_folder.add("zeta")
    app = create_app({"ENV": "testing", "PLUGINS": "alpha,zeta"})
    assert ["zeta", "alpha"] == names(app)


def test_a_plugin_off_the_allow_list_is_never_imported(plugin_folder: PluginFolder):
    """What is not allowed does not run any code."""
    plugin_folder.add("alpha")
    plugin_folder.add("hostile", "raise SystemExit('imported')")
    app = create_app({"ENV": "testing", "PLUGINS": "alpha"})
    assert ["alpha"] == names(app)
    assert "example_hostile" not in sys.modules


def test_an_empty_allow_list_allows_nothing(plugin_folder: PluginFolder, monkeypatch):
    """It is a list like any other."""
    plugin_folder.add("hostile", "raise SystemExit('imported')")
    monkeypatch.setenv("PEGBOARD_PLUGINS", "")
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    assert [] == names(create_app())


def test_a_plugin_on_the_deny_list_is_never_imported(plugin_folder: PluginFolder):
    """A disabled plugin does not run any code."""
    plugin_folder.add("hostile", "raise SystemExit('imported')")
    app = create_app({**ALONE, "PLUGINS_DISABLED": "hostile"})
    assert "hostile" not in names(app)
    assert "example_hostile" not in sys.modules


@pytest.mark.parametrize(
    "setting, text", [("PLUGINS_DISABLED", "{}"), ("PLUGINS_POLICY", "{}=skip,*=abort")]
)
@pytest.mark.parametrize("name", ["order", "ordesr"])
def test_a_listed_name_that_resembles_an_active_plugin_stops_the_start(
    plugin_folder: PluginFolder, setting, text, name
):
    """What was meant would not be done to that plugin."""
    plugin_folder.add("orders")
    (problem,) = problems(**{**ALONE, setting: text.format(name)})
    assert Code.PLUGIN_NOT_INSTALLED == problem.code
    assert f"PEGBOARD_{setting} names {name}, which is not installed" == problem.summary
    assert "Did you mean orders?" == problem.hint


def test_other_listed_names_that_are_not_installed_are_warned_of(
    plugin_folder: PluginFolder, caplog
):
    """Services with different plugins may share the lists."""
    plugin_folder.add("orders")
    plugin_folder.add("order_mail")
    config = {
        **ALONE,
        "PLUGINS": "orders",
        "PLUGINS_DISABLED": "search,order_mail",
        "PLUGINS_POLICY": "stock=skip,order=skip,orders=skip,*=abort",
    }
    app = create_app(config)
    told = [str(one) for one in get_registry(app).unused]
    assert [
        f"{name} in PEGBOARD_{setting} is not used: no plugin of this name is installed."
        for name, setting in (
            ("search", "PLUGINS_DISABLED"),
            ("order", "PLUGINS_POLICY"),
            ("stock", "PLUGINS_POLICY"),
        )
    ] == told
    warned = [one.getMessage() for one in caplog.records if "WARNING" == one.levelname]
    assert set(told) <= set(warned)


def test_lists_come_from_the_environment(plugin_folder: PluginFolder, monkeypatch):
    """PEGBOARD_PLUGINS and PEGBOARD_PLUGINS_DISABLED act in the order allow, deny."""
    plugin_folder.add("alpha")
    plugin_folder.add("beta")
    monkeypatch.setenv("PEGBOARD_PLUGINS", "alpha, beta")
    monkeypatch.setenv("PEGBOARD_PLUGINS_DISABLED", "beta")
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    assert ["alpha"] == names(create_app())


def test_a_sequence_of_plugins_means_exactly_those(plugin_folder: PluginFolder):
    """Names and objects passed to create_app replace discovery."""
    plugin_folder.add("alpha")
    plugin_folder.add("beta")
    handed = SimpleNamespace(name="gamma")
    assert ["beta", "gamma"] == names(create_app("testing", plugins=["beta", handed]))


def test_a_name_that_is_not_installed_is_reported_with_those_that_are(plugin_folder: PluginFolder):
    """A misspelled allow-list does not start a service without the plugin."""
    plugin_folder.add("alpha")
    (problem,) = problems(PLUGINS="alhpa")
    assert "alhpa" == problem.plugin
    assert "alpha" in problem.hint


def test_every_problem_is_reported_together_with_its_distribution(plugin_folder: PluginFolder):
    """One start shows all that is wrong, not the first thing."""
    plugin_folder.add("broken", "1 / 0", version="3.1")
    plugin_folder.add(
        "misspelled",
        """
        @pegboard.hookimpl
        def pegboard_blueprint():
            return []
        """,
    )
    plugin_folder.add("newer", requires=["pegboard>=99"])
    found = {problem.plugin: problem for problem in problems(PLUGINS="broken,misspelled,newer")}
    assert {"broken", "misspelled", "newer"} == set(found)
    assert "example-broken 3.1" == found["broken"].distribution
    assert "ZeroDivisionError" in found["broken"].summary
    assert "Did you mean pegboard_blueprints?" in found["misspelled"].hint
    assert "pegboard>=99" in found["newer"].summary


def test_a_hook_with_wrong_arguments_is_reported(plugin_folder: PluginFolder):
    """The plugin and the argument are named."""
    plugin_folder.add(
        "wrong",
        """
        @pegboard.hookimpl
        def pegboard_setup(application):
            pass
        """,
    )
    (problem,) = problems(PLUGINS="wrong")
    assert "wrong" == problem.plugin
    assert "application" in problem.summary


DECLARING = """
import sys

@pegboard.hookspec
def pegboard_shop_after(change): ...

@pegboard.hookspec
def pegboard_shop_before(change): ...

@pegboard.hookspec
def pegboard_shop_between(change): ...

@pegboard.hookimpl
def pegboard_hookspecs():
    return sys.modules[__name__]
"""


def test_wrong_arguments_of_a_plugins_hooks_are_all_reported_and_nothing_else(
    plugin_folder: PluginFolder,
):
    """Of several hooks and several plugins, each once; the right ones are known hooks."""
    plugin_folder.add("shop", DECLARING)
    implementing = """
    @pegboard.hookimpl
    def pegboard_shop_after(changed): ...

    @pegboard.hookimpl
    def pegboard_shop_before({}): ...

    @pegboard.hookimpl
    def pegboard_shop_between(change): ...
    """
    plugin_folder.add("one", implementing.format("change"))
    plugin_folder.add("two", implementing.format("old"))
    found = problems(PLUGINS="shop,one,two")
    assert sorted((one.plugin, one.code, one.summary.partition(", at ")[0]) for one in found) == [
        ("one", Code.HOOK_ARGUMENTS_INVALID, TAKES.format("after", "changed")),
        ("two", Code.HOOK_ARGUMENTS_INVALID, TAKES.format("after", "changed")),
        ("two", Code.HOOK_ARGUMENTS_INVALID, TAKES.format("before", "old")),
    ]


TAKES = "pegboard_shop_{} takes {}, which the hook does not give"


@pytest.mark.parametrize("declared,is_told", [("def", True), ("async def", False)])
def test_an_async_implementation_of_a_hook_that_is_none_is_reported(
    plugin_folder: PluginFolder, *, declared: str, is_told: bool
):
    """Nothing would run it; whoever declares an async hook awaits what it returns."""
    plugin_folder.add(
        "shop", DECLARING.replace("\ndef pegboard_shop", f"\n{declared} pegboard_shop")
    )
    plugin_folder.add("one", "@pegboard.hookimpl\nasync def pegboard_shop_after(change): ...\n")
    if not is_told:
        create_app({**ALONE, "PLUGINS": "shop,one"})
        return
    (problem,) = problems(PLUGINS="shop,one")
    assert ("one", Code.HOOK_RESULT_INVALID) == (problem.plugin, problem.code)
    assert (
        "pegboard_shop_after is an async function, which nothing would run, "
        "at example_one/plugin.py:2"
    ) == problem.summary


def test_the_other_hooks_of_one_that_is_taken_are_known(plugin_folder: PluginFolder):
    """Only the collision is reported."""
    declaring = DECLARING.replace("pegboard_shop_", "pegboard_shop_sale_")
    taking = declaring.replace("shop_sale_between", "shop_sale_counted")
    plugin_folder.add("shop", declaring)
    plugin_folder.add("shop_sale", taking)
    plugin_folder.add("one", "@pegboard.hookimpl\ndef pegboard_shop_sale_counted(change): ...\n")
    found = problems(PLUGINS="shop,shop_sale,one")
    assert {Code.COLLISION_HOOK} == {problem.code for problem in found}


def test_arguments_that_no_hook_gives_are_reported(plugin_folder: PluginFolder):
    """Those with defaults would be left at these, and the others be empty."""
    plugin_folder.add(
        "inclined",
        """
        @pegboard.hookimpl
        def pegboard_setup(app, size=1, *rest, other=2, **others):
            app.config["SIZE"] = size
        """,
    )
    (problem,) = problems(PLUGINS="inclined")
    assert problem.summary.startswith(
        "pegboard_setup takes size with a default, *rest, other by keyword alone, **others, which "
    )


def test_a_hook_without_its_marker_is_reported(plugin_folder: PluginFolder):
    """A forgotten decorator does not leave a plugin silently idle."""
    plugin_folder.add("unmarked", "def pegboard_setup(app):\n    pass")
    (problem,) = problems(PLUGINS="unmarked")
    assert "@pegboard.hookimpl" in problem.hint


def test_a_hook_that_returns_the_wrong_kind_is_reported(plugin_folder: PluginFolder):
    """The hint says what the hook wants."""
    plugin_folder.add(
        "wrong",
        """
        @pegboard.hookimpl
        def pegboard_blueprints():
            return "blueprint"
        """,
    )
    (problem,) = problems(PLUGINS="wrong")
    assert "flask.Blueprint" in problem.hint


def test_a_missing_dependency_names_the_plugin_that_is_kept_out(plugin_folder: PluginFolder):
    """A disabled plugin that another one requires stops the start."""
    plugin_folder.add("base_part")
    plugin_folder.add("extra", requires=["example-base-part"])
    (problem,) = problems(PLUGINS="base_part,extra", PLUGINS_DISABLED="base_part")
    assert "extra" == problem.plugin
    assert "base_part" in problem.summary


@pytest.mark.parametrize("requirement", ["example-nowhere", "pegboard>=0.1", "click>=99"])
def test_a_requirement_that_is_not_installed_is_reported(plugin_folder, requirement):
    """Also of distributions that ship no plugin, and of versions."""
    plugin_folder.add("needy", requires=["pegboard", requirement])
    if requirement.startswith("pegboard"):
        assert ["needy"] == names(create_app({"ENV": "testing", "PLUGINS": "needy"}))
        return
    (problem,) = problems(PLUGINS="needy")
    installed = f"but {version('click')} is installed"
    state = installed if requirement.startswith("click") else "which is not installed"
    assert f"it requires {requirement}, {state}" == problem.summary


def test_a_hook_may_be_one_of_a_plugin_that_is_not_active(plugin_folder: PluginFolder):
    """By its name: it is no misspelling of another hook."""
    plugin_folder.add("stock")
    plugin_folder.add("needy", "@pegboard.hookimpl\ndef pegboard_stock_counted(): ...\n")
    (problem,) = problems(PLUGINS="needy")
    assert problem.hint.startswith(
        "It may be one of plugin stock (example-stock 1.0), which is not active: activate it, and "
        "require its distribution. The hooks: "
    )


def test_a_requirement_that_the_core_has_too_is_installed_with_it(plugin_folder: PluginFolder):
    """What the plugin alone wants would leave the core without what it needs."""
    plugin_folder.add("needy", requires=["pegboard", "Flask<1"])
    (problem,) = problems(PLUGINS="needy")
    assert f"it requires Flask<1, but {version('flask')} is installed" == problem.summary
    together = f"pip install 'pegboard=={version('pegboard')}' 'Flask<1', which tells whether both"
    assert problem.hint.startswith("The core requires flask")
    assert together in problem.hint


def test_a_plugin_that_ends_the_process_is_named(plugin_folder: PluginFolder):
    """A start that fails without a word helps nobody."""
    plugin_folder.add("quitter", "raise SystemExit(3)")
    (problem,) = problems(PLUGINS="quitter")
    assert "quitter" == problem.plugin
    assert "SystemExit" in problem.summary


def test_a_blueprint_that_cannot_be_registered_is_reported(plugin_folder: PluginFolder):
    """With the plugin's name; the rest serves if it may be skipped."""
    plugin_folder.add("odd", ROUTE.format(name="odd", rule="/<nope:key>"))
    (problem,) = problems(PLUGINS="odd")
    assert "odd" == problem.plugin
    assert "nope" in problem.summary
    assert [] == names(create_app({"ENV": "testing", "PLUGINS": "odd", "PLUGINS_POLICY": "*=skip"}))


def test_models_without_migrations_are_reported(plugin_folder: PluginFolder):
    """Nothing would create their tables."""
    plugin_folder.add(
        "notes",
        """
        from sqlalchemy.orm import DeclarativeBase

        class Base(pegboard.Model, DeclarativeBase):
            pass

        class Note(Base):
            __tablename__ = "notes"

        @pegboard.hookimpl
        def pegboard_models():
            return Base
        """,
    )
    (problem,) = problems(PLUGINS="notes")
    assert "pegboard_migrations" in problem.hint


def test_a_route_of_a_set_up_that_is_taken_is_reported(plugin_folder: PluginFolder):
    """It is not on any blueprint, and is found nevertheless."""
    plugin_folder.add(
        "late",
        """
        @pegboard.hookimpl
        def pegboard_setup(app):
            app.add_url_rule("/health", "late", lambda: "late")
        """,
    )
    (problem,) = problems(PLUGINS="late")
    assert "GET /health" in problem.summary


def test_a_plugin_says_itself_what_it_cannot_do_without(plugin_folder: PluginFolder):
    """A `StartupError` of its own keeps its words and code, and gets the plugin's name."""
    plugin_folder.add(
        "needy",
        """
        @pegboard.hookimpl
        def pegboard_session_strategy(app):
            raise pegboard.StartupError([pegboard.Problem("NEEDY_VAULT", "no vault", "Buy one.")])
        """,
    )
    (problem,) = problems(PLUGINS="needy")
    assert ("no vault", "Buy one.", "needy") == (problem.summary, problem.hint, problem.plugin)
    assert ("NEEDY_VAULT", "example-needy 1.0") == (problem.code, problem.distribution)


def test_a_plugin_can_say_what_is_wrong_with_another(plugin_folder: PluginFolder):
    """The problem, and the policy that holds, are those of the plugin that it names."""
    plugin_folder.add("faulty")
    plugin_folder.add(
        "inspector",
        """
        @pegboard.hookimpl
        def pegboard_stages(app):
            for plugin in pegboard.get_registry(app).plugins:
                if plugin.name == "faulty":
                    problem = plugin.problem("INSPECTOR_CRACK", "cracked", "Fix it.")
                    raise pegboard.StartupError([problem])
        """,
    )
    (problem,) = problems(PLUGINS="faulty,inspector")
    assert ("cracked", "Fix it.", "faulty") == (problem.summary, problem.hint, problem.plugin)


def test_all_problems_of_one_error_are_reported(plugin_folder: PluginFolder):
    """Each with its code and plugin; the start is refused for one that may not be skipped."""
    plugin_folder.add("faulty")
    plugin_folder.add(
        "inspector",
        """
        @pegboard.hookimpl
        def pegboard_setup(app):
            plugins = {plugin.name: plugin for plugin in pegboard.get_registry(app).plugins}
            raise pegboard.StartupError([
                pegboard.Problem("INSPECTOR_LICENCE", "no licence", "Buy one."),
                plugins["faulty"].problem("INSPECTOR_CRACK", "cracked", "Fix it."),
            ])
        """,
    )
    expected = [("INSPECTOR_LICENCE", "inspector"), ("INSPECTOR_CRACK", "faulty")]
    found = problems(PLUGINS="faulty,inspector")
    assert expected == [(problem.code, problem.plugin) for problem in found]
    found = problems(PLUGINS="faulty,inspector", PLUGINS_POLICY="faulty=skip")
    assert expected[:1] == [(problem.code, problem.plugin) for problem in found]
    app = create_app({"ENV": "testing", "PLUGINS": "faulty,inspector", "PLUGINS_POLICY": "*=skip"})
    assert expected == [(one.code, one.plugin) for one in get_registry(app).skipped]


def test_a_problem_of_a_plugin_that_is_not_active_stops_the_start(plugin_folder: PluginFolder):
    """To skip a plugin would not help."""
    plugin_folder.add(
        "inspector",
        """
        @pegboard.hookimpl
        def pegboard_setup(app):
            problem = pegboard.Problem("INSPECTOR_CRACK", "cracked", "Fix it.", plugin="absent")
            raise pegboard.StartupError([problem])
        """,
    )
    (problem,) = problems(PLUGINS="inspector", PLUGINS_POLICY="*=skip")
    assert "absent" == problem.plugin


def test_problems_of_settings_and_of_plugins_are_reported_together(plugin_folder: PluginFolder):
    """Two kinds of mistakes do not take two starts."""
    plugin_folder.add("broken", "1 / 0")
    found = problems(PLUGINS="broken", PORT="abc", WORKERS=0)
    assert [None, None, "broken"] == [problem.plugin for problem in found]


def test_a_circle_of_requirements_is_reported(plugin_folder: PluginFolder):
    """The circle is spelled out."""
    plugin_folder.add("ring_a", requires=["example-ring-b"])
    plugin_folder.add("ring_b", requires=["example-ring-a"])
    (problem,) = problems(PLUGINS="ring_a,ring_b")
    assert "ring_a" in problem.summary
    assert "ring_b" in problem.summary


def test_two_distributions_with_one_plugin_name_are_reported(plugin_folder: PluginFolder):
    """Neither silently wins."""
    plugin_folder.add("twin", distribution="example-one")
    plugin_folder.add("twin", distribution="example-two")
    assert any("same name" in problem.summary for problem in problems(PLUGINS="twin"))


def test_two_plugins_of_one_name_in_one_distribution_are_reported(plugin_folder: PluginFolder):
    """It is no other distribution that is to be uninstalled."""
    plugin_folder.add("twin")
    entries = plugin_folder.path / "example_twin-1.0.dist-info" / "entry_points.txt"
    entries.write_text(f"{entries.read_text()}twin = example_twin.other\n")
    (problem,) = problems(PLUGINS="twin")
    assert problem.summary == (
        "its distribution has two plugins of this name, example_twin.plugin and example_twin.other"
    )
    assert "Rename one of the two entry points." == problem.hint


def test_a_skipped_plugin_leaves_the_rest_serving(plugin_folder: PluginFolder, make_app: MakeApp):
    """With the policy skip the service runs without it and says so."""
    plugin_folder.add("broken", "1 / 0")
    plugin_folder.add("alpha")
    app = make_app(plugins=None, PLUGINS="alpha,broken", PLUGINS_POLICY="broken=skip")
    assert ["alpha"] == names(app)
    body = app.test_client().get("/health/ready").get_json()
    assert 200 == body["status"]
    assert ["broken"] == body["skipped"]


def test_plugins_that_require_a_skipped_one_are_skipped_too(plugin_folder: PluginFolder):
    """The policy * holds for all that are not named."""
    plugin_folder.add("broken", "1 / 0")
    plugin_folder.add("extra", requires=["example-broken"])
    config = {"ENV": "testing", "PLUGINS": "broken,extra", "PLUGINS_POLICY": "*=skip"}
    app = create_app(config)
    assert [] == names(app)
    assert ["broken", "extra"] == [problem.plugin for problem in get_registry(app).skipped]


def test_a_plugin_that_fails_in_its_set_up_leaves_no_trace_when_skipped():
    """The app is built anew without it."""
    blueprint = Blueprint("half", __name__)
    blueprint.add_url_rule("/half", view_func=lambda: "half")

    class Half:
        name = "half"

        @hookimpl
        def pegboard_blueprints(self):
            return [blueprint]

        @hookimpl
        def pegboard_setup(self):
            message = "no licence"
            raise RuntimeError(message)

    app = create_app({"ENV": "testing", "PLUGINS_POLICY": "half=skip"}, plugins=[Half()])
    assert 404 == app.test_client().get("/half").status_code
    (problem,) = get_registry(app).skipped
    assert "no licence" in problem.summary
    with pytest.raises(StartupError, match="no licence"):
        create_app("testing", plugins=[Half()])


class Serving:
    """A plugin that serves one blueprint."""

    def __init__(self, name, blueprint):
        self.name = name
        self.blueprint = blueprint

    @hookimpl
    def pegboard_blueprints(self):
        """Return it."""
        return [self.blueprint] if self.blueprint else []


class CountingFinder:
    """Counts how often the metadata of all distributions is read; finds none itself."""

    def __init__(self):
        self.scans = 0

    def find_spec(self, *_):
        """Find no module."""

    def find_distributions(self, context):
        """Count a search for distributions of any name."""
        self.scans += context.name is None
        return ()


@pytest.mark.parametrize(
    "plugins,scans", [(None, 1), (["alpha", "beta"], 1), ([], 0), ([Serving("one", None)], 0)]
)
def test_entry_points_are_read_once(plugin_folder: PluginFolder, monkeypatch, plugins, scans):
    """In a start with plugins that require each other; never where no name is looked up."""
    plugin_folder.add("alpha", requires=["pegboard", "example-beta"])
    plugin_folder.add("beta")
    finder = CountingFinder()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    create_app({"ENV": "testing", "PLUGINS": "alpha,beta"}, plugins=plugins)
    assert scans == finder.scans


def test_two_apps_with_different_plugins_do_not_see_each_other(make_app: MakeApp):
    """Routes, registry and document belong to the app."""
    one, two = (Blueprint(name, __name__, url_prefix=f"/{name}") for name in ("one", "two"))
    one.add_url_rule("/", view_func=lambda: "one")
    two.add_url_rule("/", view_func=lambda: "two")
    first = make_app(plugins=[Serving("one", one)])
    second = make_app(plugins=[Serving("two", two)])
    assert ["one"] == names(first)
    assert ["two"] == names(second)
    assert 200 == first.test_client().get("/one/").status_code
    assert 404 == first.test_client().get("/two/").status_code
    assert 404 == second.test_client().get("/one/").status_code


@pytest.mark.parametrize(
    "first,second,what",
    [
        (
            ROUTE.format(name="same", rule="/a"),
            ROUTE.format(name="same", rule="/b"),
            "blueprint same",
        ),
        (
            ROUTE.format(name="one", rule="/same/<int:key>"),
            ROUTE.format(name="two", rule="/same/<int(min=1):other>/"),
            "both match /same/1",
        ),
        (
            ROUTE.format(name="one", rule="/a"),
            ROUTE.format(name="two", rule="/health"),
            "GET /health of the core both match /health",
        ),
    ],
)
def test_claims_of_two_plugins_to_one_thing_are_reported(
    plugin_folder: PluginFolder, first: str, second: str, what: str
):
    """Blueprint names and routes have one owner; the later plugin is blamed."""
    plugin_folder.add("alpha", first)
    plugin_folder.add("beta", second)
    (problem,) = problems(PLUGINS="alpha,beta")
    assert "beta" == problem.plugin
    assert what in problem.summary


def test_one_table_of_two_plugins_is_reported(plugin_folder: PluginFolder):
    """A table has one owner."""
    for name in ("alpha", "beta"):
        plugin_folder.add_table(name, table="notes")
    (problem,) = problems(PLUGINS="alpha,beta")
    assert (
        "table notes belongs to plugin alpha (example-alpha 1.0) too, at "
        "example_beta/plugin.py:11 and example_alpha/plugin.py:11"
    ) == problem.summary


def test_tables_whose_names_differ_in_case_are_one(plugin_folder: PluginFolder):
    """SQLite does not tell them apart; the message has both spellings."""
    plugin_folder.add_table("alpha", table="notes")
    plugin_folder.add_table("beta", table="Notes")
    (problem,) = problems(PLUGINS="alpha,beta")
    assert problem.summary.startswith(
        "table Notes is table notes of plugin alpha (example-alpha 1.0), where case does not count"
    )


@pytest.mark.parametrize(
    "url,schema", [("sqlite://", "main"), ("postgresql://127.0.0.1:1/nowhere", "public")]
)
def test_a_table_is_one_whether_the_default_schema_is_named_or_not(
    url: str, schema: str, plugin_folder: PluginFolder
):
    """And a schema of that name on the other database is another one."""
    other = {"main": "public", "public": "main"}[schema]
    plugin_folder.add_table("alpha", table="notes")
    for name, named in (("beta", schema), ("gamma", other)):
        plugin_folder.add_table(
            name, table="notes", columns=f'__table_args__ = {{"schema": "{named}"}}'
        )
    (problem,) = problems(PLUGINS="alpha,beta,gamma", DATABASE_URL=url)
    assert problem.summary.startswith(
        f"table {schema}.notes is table notes of plugin alpha (example-alpha 1.0), "
        "where the default schema is named or left out"
    )


def indexed(column: str, part: str) -> str:
    """The code of a column, and of an index or a key in the arguments of the table."""
    return f"{column}: Mapped[str]\n__table_args__ = (sqlalchemy.{part},)"


LIST_OF_STATES = """
states: Mapped[list[str]] = mapped_column(
    sqlalchemy.ARRAY(sqlalchemy.Enum("a", name="state")).with_variant(sqlalchemy.JSON(), "sqlite"))
""".strip()


@pytest.mark.parametrize(
    "first,second,summary",
    [
        (
            indexed("title", "Index('by_title', 'title')"),
            indexed("title", "Index('By_Title', 'title')"),
            (
                "index By_Title is index by_title of plugin alpha (example-alpha 1.0), where case "
                "does not count, as in SQLite, at example_beta/plugin.py:14 and "
                "example_alpha/plugin.py:14"
            ),
        ),
        (
            indexed("title", "Index('by_title', 'title')"),
            indexed("title", "UniqueConstraint('title', name='by_title')"),
            (
                "constraint by_title has the name of index by_title of plugin alpha "
                "(example-alpha 1.0), at example_beta/plugin.py:14 and example_alpha/plugin.py:14"
            ),
        ),
        (
            indexed("title", "UniqueConstraint('title', name='one_title')"),
            indexed("title", "UniqueConstraint('title', name='one_title')"),
            (
                "constraint one_title belongs to plugin alpha (example-alpha 1.0) too, at "
                "example_beta/plugin.py:14 and example_alpha/plugin.py:14"
            ),
        ),
        (
            "",
            indexed("title", "Index('alpha', 'title')"),
            (
                "index alpha has the name of table alpha of plugin alpha (example-alpha 1.0), at "
                "example_beta/plugin.py:14 and example_alpha/plugin.py:11"
            ),
        ),
        (
            "state: Mapped[str] = mapped_column(sqlalchemy.Enum('a', 'b', name='state'))",
            "state: Mapped[str] = mapped_column(sqlalchemy.Enum('a', 'c', name='state'))",
            (
                "enumerated type state has the values a, c, and that of plugin alpha "
                "(example-alpha 1.0) a, b, at example_beta/plugin.py:13 and "
                "example_alpha/plugin.py:13"
            ),
        ),
        (
            "state: Mapped[str] = mapped_column(sqlalchemy.Enum('a', 'b', name='state'))",
            LIST_OF_STATES,
            (
                "enumerated type state has the values a, and that of plugin alpha "
                "(example-alpha 1.0) a, b, at example_beta/plugin.py:13 and "
                "example_alpha/plugin.py:13"
            ),
        ),
    ],
)
def test_names_of_indexes_and_types_of_two_plugins_are_compared(
    plugin_folder: PluginFolder, first: str, second: str, summary: str
):
    """They are those of a schema: the second plugin's revision would fail half way."""
    plugin_folder.add_table("alpha", columns=first)
    plugin_folder.add_table("beta", columns=second)
    (problem,) = problems(PLUGINS="alpha,beta")
    assert (Code.COLLISION_TABLE, "beta") == (problem.code, problem.plugin)
    assert summary == problem.summary
    assert "in one of the two, beta or alpha, or disable one of the two plugins." in problem.hint
    assert ["alpha"] == names(create_app({**ALONE, "PLUGINS": "alpha"}))


def test_a_column_names_an_index_that_the_convention_names_alike(plugin_folder: PluginFolder):
    """Table and column may be cut in two ways."""
    column = "{}: Mapped[str] = mapped_column(index=True)"
    plugin_folder.add_table("alpha", table="stock", columns=column.format("place_name"))
    plugin_folder.add_table("beta", table="stock_place", columns=column.format("name"))
    (problem,) = problems(PLUGINS="alpha,beta")
    assert problem.summary == (
        "index ix_stock_place_name belongs to plugin alpha (example-alpha 1.0) too, at "
        "example_beta/plugin.py:13 and example_alpha/plugin.py:13"
    )


def test_the_types_of_one_plugin_differ_in_name(plugin_folder: PluginFolder):
    """Each time it has other values."""
    column = "{} = mapped_column(sqlalchemy.Enum({}, name='state'))\n"
    columns = {"one: Mapped[str]": "'a', 'b'", "same: Mapped[str]": "'b', 'a'"}
    columns["other: Mapped[str]"] = "'c'"
    code = "".join(column.format(*one) for one in columns.items())
    plugin_folder.add_table("alpha", columns=code)
    found = problems(PLUGINS="alpha")
    assert {"Rename one of the two."} == {problem.hint for problem in found}
    assert found[0].summary == (
        "it has two: enumerated type state, with c, and with a, b, at example_alpha/plugin.py:15 "
        "and example_alpha/plugin.py:13"
    )


SHELVED = "shelf: Mapped[str] = mapped_column(sqlalchemy.Enum({}))"


@pytest.mark.parametrize(
    "first,second",
    [
        (indexed("title", "Index('by_title', 'title')"), "title: Mapped[str]"),
        (
            indexed("title", "Index('by_title', 'title'), {'schema': 'one'}"),
            indexed("title", "Index('by_title', 'title'), {'schema': 'two'}"),
        ),
        (
            indexed("title", "CheckConstraint('id > 0', name='ck')"),
            indexed("title", "CheckConstraint('id > 0', name='ck')"),
        ),
        ("title: Mapped[str] = mapped_column(index=True, unique=True)",) * 2,
        (SHELVED.format("'a', 'b', name='shelf'"), SHELVED.format("'b', 'a', name='shelf'")),
        (
            SHELVED.format("'a', name='shelf', schema='one'"),
            SHELVED.format("'b', name='shelf', schema='two'"),
        ),
        (
            SHELVED.format("'a', name='shelf'"),
            SHELVED.format("'b', name='shelf', native_enum=False"),
        ),
    ],
)
def test_names_that_a_database_keeps_apart_are_no_collision(
    plugin_folder: PluginFolder, first: str, second: str
):
    """By schema, table or kind; and a type of the same values is shared."""
    plugin_folder.add_table("alpha", columns=first)
    plugin_folder.add_table("beta", columns=second)
    assert ["alpha", "beta"] == names(create_app({**ALONE, "PLUGINS": "alpha,beta"}))


def test_the_indexes_of_a_table_of_two_plugins_are_not_told(plugin_folder: PluginFolder):
    """The table is."""
    for name in ("alpha", "beta"):
        columns = indexed("title", "Index('by_title', 'title')")
        plugin_folder.add_table(name, table="notes", columns=columns)
    (problem,) = problems(PLUGINS="alpha,beta")
    assert problem.summary.startswith("table notes belongs to plugin alpha")


def test_the_table_of_a_plugins_version_belongs_to_it(plugin_folder: PluginFolder):
    """Alembic makes it, and keeps there how far the plugin's revisions have run."""
    plugin_folder.add_table("alpha")
    plugin_folder.add_table("beta", table="alembic_version_alpha")
    (problem,) = problems(PLUGINS="alpha,beta")
    assert problem.code == Code.COLLISION_TABLE
    assert problem.summary.startswith(
        "table alembic_version_alpha belongs to plugin alpha (example-alpha 1.0) too, at "
    )


def test_two_plugins_have_no_class_of_settings_in_common(plugin_folder: PluginFolder):
    """Each would have its own values under its own prefix, and the class has one set of them."""
    plugin_folder.add(
        "alpha",
        """
        class Sizes(pegboard.Settings):
            size: int = pegboard.setting(1, doc="Size.")

        @pegboard.hookimpl
        def pegboard_settings():
            return Sizes
        """,
    )
    plugin_folder.add(
        "beta",
        """
        from example_alpha.plugin import Sizes

        @pegboard.hookimpl
        def pegboard_settings():
            return Sizes
        """,
    )
    (problem,) = problems(PLUGINS="alpha,beta")
    assert (Code.COLLISION_SETTING, "beta") == (problem.code, problem.plugin)
    assert problem.summary.startswith(
        "class of settings example_alpha.plugin.Sizes belongs to plugin alpha (example-alpha 1.0)"
    )


@pytest.mark.parametrize("where", ["import", "set-up"])
def test_an_error_that_cannot_be_told_is_a_problem_of_its_plugin(
    plugin_folder: PluginFolder, where: str
):
    """With the type, and the line that has raised it."""
    code = """
        class Untold(Exception):
            def __str__(self):
                raise ValueError("no text")

        @pegboard.hookimpl
        def pegboard_setup(app):
            raise Untold
        """
    plugin_folder.add("alpha", code + ("\n        raise Untold\n" if where == "import" else ""))
    (problem,) = problems(PLUGINS="alpha")
    assert "Untold: its text cannot be had, ValueError, at example_alpha/plugin.py:" in (
        problem.summary
    )


@pytest.mark.parametrize("name", ["serve", "db"])
def test_a_command_of_the_core_cannot_be_taken(name: str, plugin_folder: PluginFolder):
    """A plugin's command does not shadow the platform's."""
    plugin_folder.add(
        "alpha",
        f"""
        import click

        @pegboard.hookimpl
        def pegboard_commands():
            return [click.Command("{name}")]
        """,
    )
    (problem,) = problems(PLUGINS="alpha")
    assert (
        f"command {name} belongs to the core already, at example_alpha/plugin.py:5"
    ) == problem.summary


PROVIDER = """
@pegboard.hookimpl
def {hook}(app):
    raise AssertionError("it must not be asked")
"""


@pytest.mark.parametrize("hook", ["pegboard_cache_strategy", "pegboard_session_strategy"])
def test_two_providers_of_what_there_is_one_of_are_reported(hook, plugin_folder: PluginFolder):
    """Neither is asked; nothing needs a new name."""
    plugin_folder.add("alpha", PROVIDER.format(hook=hook))
    plugin_folder.add("beta", PROVIDER.format(hook=hook))
    (problem,) = problems(PLUGINS="alpha,beta")
    expected = f"single-provider strategy {hook} belongs to plugin alpha (example-alpha 1.0) too"
    assert (
        f"{expected}, at example_beta/plugin.py:3 and example_alpha/plugin.py:3" == problem.summary
    )
    assert "beta" == problem.plugin
    assert "Disable one of the two plugins." == problem.hint


@pytest.mark.parametrize(
    "name", ["Bad-Name!", "rate-limit", "Shop", "2shop", "_shop", "shöp", "shop.one", "s" * 44]
)
@pytest.mark.parametrize("is_installed", [True, False])
def test_a_name_that_cannot_be_one_stops_the_start(
    plugin_folder: PluginFolder, name: str, *, is_installed: bool
):
    """The name is part of those of settings, tables and revisions; it may be skipped, too."""
    plugin_folder.add(name, distribution="example-shop")
    given = [name] if is_installed else [type("Shop", (), {"name": name})()]
    with pytest.raises(StartupError) as caught:
        create_app(ALONE, plugins=given)
    (problem,) = caught.value.problems
    assert (Code.PLUGIN_NAME_INVALID, name) == (problem.code, problem.plugin)
    assert ("entry point" if is_installed else "attribute `name`") in problem.hint
    app = create_app({**ALONE, "PLUGINS_POLICY": "*=skip"}, plugins=given)
    assert [] == names(app)


def test_the_longest_name_fits_into_the_database(plugin_folder: PluginFolder):
    """The primary key of its version table has 63 characters, as many as PostgreSQL keeps."""
    longest = "s" * LONGEST_NAME
    assert len(f"{VERSION_TABLE_PREFIX}{longest}_pkc") == 63
    plugin_folder.add(longest, distribution="example-shop")
    assert [longest] == names(create_app(ALONE, plugins=[longest]))


@pytest.mark.parametrize(
    "hook,part,code",
    [
        ("health_checks", "pegboard.HealthCheck('one', print)", Code.COLLISION_HEALTH_CHECK),
        ("commands", "click.Command('one')", Code.COLLISION_COMMAND),
        ("blueprints", "pegboard.Blueprint('one', __name__)", Code.COLLISION_BLUEPRINT),
    ],
)
def test_two_parts_of_one_plugin_with_one_name_are_reported(
    plugin_folder: PluginFolder, hook: str, part: str, code: Code
):
    """One would hide the others; each name is reported once."""
    plugin_folder.add(
        "mist",
        f"import click\n@pegboard.hookimpl\ndef pegboard_{hook}(): return [{part} for _ in '123']",
    )
    (problem,) = problems(PLUGINS="mist")
    assert (code, "mist") == (problem.code, problem.plugin)
    assert problem.hint == "Rename one of the two."


@pytest.mark.parametrize(
    "hook,part,what",
    [
        ("health_checks()", "pegboard.HealthCheck('one', print)", "health check mist.one"),
        ("commands()", "click.Command('one')", "command one"),
        ("blueprints()", "pegboard.Blueprint('one', __name__)", "blueprint one"),
        (
            "stages(app)",
            "type('One', (), {'name': 'one', 'order': 900, 'bind': lambda self, route: None})()",
            "its stage one",
        ),
    ],
)
def test_a_part_that_is_returned_twice_is_reported_as_one(
    plugin_folder: PluginFolder, hook: str, part: str, what: str
):
    """There is nothing to rename."""
    plugin_folder.add(
        "mist", f"import click\n@pegboard.hookimpl\ndef pegboard_{hook}: return [{part}] * 3"
    )
    (problem,) = problems(PLUGINS="mist")
    assert f"it returns {what} twice, at example_mist/plugin.py:3" == problem.summary
    assert "Return it once." == problem.hint


def test_two_settings_of_one_plugin_with_one_name_are_reported(plugin_folder: PluginFolder):
    """They differ in case, which variables do not have."""
    plugin_folder.add(
        "mist", SETTING.format(name='Size: int = pegboard.setting(1, doc="A number.")\n    size')
    )
    (problem,) = problems(PLUGINS="mist")
    assert (Code.COLLISION_SETTING, "mist") == (problem.code, problem.plugin)
    assert "MIST_SIZE" in problem.summary


SETTING = """
class Mine(pegboard.Settings):
    {name}: int = pegboard.setting(1, doc="A number.")

@pegboard.hookimpl
def pegboard_settings():
    return Mine
"""


SECRET = """
class Mine(pegboard.Settings):
    key_file: str = pegboard.setting("", doc="A path.")
    {}: str = pegboard.setting("", doc="A key.", secret=True{})

@pegboard.hookimpl
def pegboard_settings():
    return Mine
"""


@pytest.mark.parametrize(
    "name,options", [("key", ""), ("token", ', formerly=("key", "2.0")'), ("KEY", "")]
)
def test_the_variable_of_a_secrets_file_sets_no_other_setting(
    plugin_folder: PluginFolder, name: str, options: str
):
    """Also that of the secret's former name."""
    plugin_folder.add("pay", SECRET.format(name, options))
    (problem,) = problems(PLUGINS="pay")
    assert (Code.COLLISION_SETTING, "pay") == (problem.code, problem.plugin)
    assert problem.summary == (
        "it has two: variable of a secret's file PEGBOARD_PAY_KEY_FILE, and setting PAY_KEY_FILE, "
        "at example_pay/plugin.py:5 and example_pay/plugin.py:4"
    )
    assert "Rename one of the two settings, and leave formerly= out." == problem.hint


def test_the_variable_of_a_secrets_file_sets_no_setting_of_another_plugin(
    plugin_folder: PluginFolder,
):
    """Each has a setting whose name goes on where that of the plugin ends."""
    plugin_folder.add("pay", SECRET.replace("key_file", "path").format("tax", ""))
    plugin_folder.add("pay_tax", SETTING.format(name="file"))
    (problem,) = problems(PLUGINS="pay,pay_tax")
    assert problem.summary == (
        "setting PAY_TAX_FILE has the name of variable of a secret's file PEGBOARD_PAY_TAX_FILE of "
        "plugin pay (example-pay 1.0), at example_pay_tax/plugin.py:4 and example_pay/plugin.py:5"
    )
    assert problem.hint.startswith("Rename the setting in one of the two, pay_tax or pay, and ")


def test_a_secret_without_a_file_of_its_own_may_be_named_as_one(plugin_folder: PluginFolder):
    """What is no secret reads no file; and SECRET_KEY_FILE of the core has no prefix."""
    plugin_folder.add("pay", SECRET.replace(", secret=True", "").format("key", ""))
    plugin_folder.add("secret", SETTING.format(name="key_file"))
    assert ["pay", "secret"] == names(create_app({**ALONE, "PLUGINS": "pay,secret"}))


def test_a_name_may_go_on_where_anothers_ends(plugin_folder: PluginFolder):
    """RATE_LIMIT_X is rate_limit's, also where a plugin rate is active; each key has one owner."""
    plugin_folder.add("rate", SETTING.format(name="top"))
    plugin_folder.add("rate_limit", SETTING.format(name="top"))
    config = {"PLUGINS": "rate,rate_limit", "RATE_TOP": 2, "RATE_LIMIT_TOP": 3}
    app = create_app({"ENV": "testing", **config})
    assert (2, 3) == (app.config["RATE_TOP"], app.config["RATE_LIMIT_TOP"])


def test_a_setting_of_the_core_cannot_be_taken(plugin_folder: PluginFolder):
    """A plugin named log does not own LOG_LEVEL."""
    plugin_folder.add("log", SETTING.format(name="level"))
    (problem,) = problems(PLUGINS="log")
    assert (
        "setting LOG_LEVEL belongs to the core already, at example_log/plugin.py:4"
    ) == problem.summary


def test_a_plugin_declares_hooks_that_another_implements(plugin_folder: PluginFolder):
    """Hooks are not the core's privilege."""
    plugin_folder.add(
        "host",
        """
        @pegboard.hookspec
        def pegboard_host_greet(name):
            "Return a greeting."

        @pegboard.hookimpl
        def pegboard_hookspecs():
            import example_host.plugin
            return example_host.plugin
        """,
    )
    plugin_folder.add(
        "guest",
        """
        @pegboard.hookimpl
        def pegboard_host_greet(name):
            return f"hello {name}"
        """,
        requires=["pegboard", "example-host"],
    )
    app = create_app({"ENV": "testing", "PLUGINS": "guest,host"})
    assert ["hello you"] == get_registry(app).hook.pegboard_host_greet(name="you")


def test_an_optional_hook_of_an_absent_plugin_is_no_problem(plugin_folder: PluginFolder):
    """A soft dependency is declared, not guessed; another's hook may end alike."""
    plugin_folder.add("shop", HOST.format(returned="Hooks").replace("host", "shop"))
    plugin_folder.add(
        "guest",
        """
        @pegboard.hookimpl(optionalhook=True)
        def pegboard_host_before(name):
            return f"hello {name}"
        """,
    )
    assert ["guest", "shop"] == names(create_app({"ENV": "testing", "PLUGINS": "guest,shop"}))


HOST = """
class Hooks:
    @pegboard.hookspec
    def pegboard_host_before(self, change):
        "Is called before a change."

    @pegboard.hookspec
    def pegboard_host_after(self, change):
        "Is called after a change."

@pegboard.hookimpl
def pegboard_hookspecs():
    return {returned}
"""


def implementing(*signatures: str) -> str:
    """The code of a plugin with hooks of these signatures."""
    return "".join(f"@pegboard.hookimpl\ndef {one}: pass\n" for one in signatures)


def guests(plugin_folder: PluginFolder, **code: str) -> None:
    """Write plugins that implement the hooks of the plugin host."""
    for name, text in code.items():
        plugin_folder.add(name, text, requires=["pegboard", "example-host"])


BEFORE, AFTER = "pegboard_host_before(change)", "pegboard_host_after(changed)"


def test_every_hook_of_a_plugin_that_is_refused_is_checked(plugin_folder: PluginFolder):
    """Those of the core, for which it is refused, those of other plugins, and unknown ones."""
    plugin_folder.add("host", HOST.format(returned="Hooks"))
    wrong = implementing(BEFORE, AFTER, "pegboard_setup(it)", "pegboard_blueprint()")
    guests(plugin_folder, guest=wrong)
    found = problems(PLUGINS="host,guest")
    assert [
        ("guest", "it implements pegboard_blueprint, which is no hook"),
        ("guest", "pegboard_host_after takes changed, which the hook does not give"),
        ("guest", "pegboard_setup takes it, which the hook does not give"),
    ] == sorted((problem.plugin, problem.summary.partition(", at ")[0]) for problem in found)


@pytest.mark.parametrize(
    "host",
    [
        "1 / 0",
        HOST.format(returned="1 / 0"),
        HOST.format(returned="Hooks") + implementing("pegboard_blueprints(app)"),
    ],
    ids=["import", "hookspecs", "arguments"],
)
def test_the_hooks_of_a_plugin_that_fails_are_not_unknown(plugin_folder: PluginFolder, host: str):
    """Only the plugin that declares them is wrong, not those that implement them."""
    plugin_folder.add("host", host)
    guests(plugin_folder, guest=implementing(BEFORE))
    assert ["host"] == [problem.plugin for problem in problems(PLUGINS="host,guest")]


def test_a_hook_of_another_plugin_that_is_declared_wrongly_is_reported(plugin_folder):
    """A wrapper that does not yield has no wrong argument, and is named by what pluggy says."""
    plugin_folder.add("host", HOST.format(returned="Hooks"))
    wrapper = "@pegboard.hookimpl(wrapper=True)\ndef pegboard_host_after(change): pass\n"
    guests(plugin_folder, guest=implementing(BEFORE) + wrapper)
    (problem,) = problems(PLUGINS="host,guest")
    assert "pegboard_host_after" in problem.summary
    assert "not a generator" in problem.summary
