"""Foreign keys to tables of other plugins need a requirement, from which the order follows."""

from typing import Any

import pytest
import sqlalchemy as sa

from pegboard import StartupError, create_app, db
from pegboard.migrations import upgrade
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI

REFERS = """
    from example_zeta.plugin import Zeta
    zeta_id: Mapped[int | None] = mapped_column(sqlalchemy.ForeignKey(Zeta.id))
"""
CREATES = """
with op.batch_alter_table("alpha") as batch:
    key = sa.ForeignKey("zeta.id", name="fk_alpha_zeta_id_zeta")
    batch.add_column(sa.Column("zeta_id", sa.Integer, key))
"""
ALONE: dict[str, Any] = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}


def problems(**config):
    """The problems that keep the service from starting."""
    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, **config})
    return caught.value.problems


def test_a_reference_without_a_requirement_stops_the_start(plugin_folder: PluginFolder) -> None:
    """SQLite would take it, and PostgreSQL would not know the table."""
    plugin_folder.add_table("zeta")
    plugin_folder.add_table("alpha", columns=REFERS)
    (problem,) = problems(PLUGINS="alpha,zeta")
    assert ("alpha", Code.MODEL_REQUIREMENT_MISSING) == (problem.plugin, problem.code)
    assert problem.summary.partition(", at ")[0] == (
        "alpha.zeta_id refers to table zeta of zeta, whose distribution it does not require"
    )
    assert problem.hint.startswith("Write 'example-zeta' into the dependencies in pyproject.toml")


def test_a_reference_to_a_table_of_no_active_plugin_stops_the_start(
    plugin_folder: PluginFolder,
) -> None:
    """Nothing would create that table."""
    plugin_folder.add_table("zeta")
    plugin_folder.add_table("alpha", columns=REFERS)
    (problem,) = problems(PLUGINS="alpha")
    assert ("alpha", Code.MODEL_REQUIREMENT_MISSING) == (problem.plugin, problem.code)
    assert (
        "alpha.zeta_id refers to table zeta, which is of no active plugin"
        == problem.summary.partition(", at ")[0]
    )


def test_only_the_plugin_that_is_broken_is_named(plugin_folder: PluginFolder) -> None:
    """What refers to its table may be in order."""
    module = plugin_folder.add_table("zeta")
    (module / "plugin.py").write_text(
        (module / "plugin.py").read_text() + "@pegboard.hookimpl\ndef pegboard_blueprints():\n"
        "    return 1\n"
    )
    plugin_folder.add_table("alpha", columns=REFERS, requires=["pegboard", "example-zeta"])
    assert {"zeta"} == {one.plugin for one in problems(PLUGINS="alpha,zeta")}


@pytest.mark.parametrize("way", ["itself", "by another"])
def test_a_required_table_is_made_first(
    plugin_folder: PluginFolder, make_app: MakeApp, postgres_url: str, way: str
) -> None:
    """Also if only what the plugin requires requires the other."""
    plugin_folder.add_table("zeta")
    plugin_folder.add("middle", requires=["pegboard", "example-zeta"])
    needed = "example-zeta" if way == "itself" else "example-middle"
    plugin_folder.add_table("alpha", columns=REFERS, upgrade=CREATES, requires=["pegboard", needed])
    app = make_app(
        plugins=None, upgrade=False, PLUGINS="alpha,middle,zeta", DATABASE_URL=postgres_url
    )
    upgrade(app)
    with app.app_context():
        (key,) = sa.inspect(db.engine).get_foreign_keys("alpha")
        assert "zeta" == key["referred_table"]


@pytest.fixture
def chain(plugin_folder: PluginFolder) -> str:
    """Install alpha, whose table refers to that of zeta, by way of middle; return the names."""
    plugin_folder.add_table("zeta")
    plugin_folder.add("middle", requires=["pegboard", "example-zeta"])
    requires = ["pegboard", "example-middle"]
    plugin_folder.add_table("alpha", columns=REFERS, upgrade=CREATES, requires=requires)
    return "alpha,middle,zeta"


def test_one_plugin_alone_is_not_upgraded_before_what_it_refers_to(
    chain: str, make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """SQLite would take the reference to nothing; nothing is applied, and the order is told."""
    app = make_app(plugins=None, upgrade=False, PLUGINS=chain, DATABASE_URL=database_url, **ALONE)
    done = cli("db", "upgrade", "alpha", app=app)
    assert 1 == done.exit_code
    assert done.output == (
        "Error: alpha: its table alpha refers to table zeta of zeta, which the database does not "
        "have; run pegboard db upgrade zeta first, or pegboard db upgrade for all plugins in their "
        "order\n"
    )
    with app.app_context():
        assert not sa.inspect(db.engine).has_table("alpha")
    for name in ("zeta", "alpha"):
        assert 0 == cli("db", "upgrade", name, app=app).exit_code


@pytest.mark.slow
def test_data_is_removed_in_the_order_of_the_references(
    chain: str, make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """What refers goes first: the message says in which order; the rest serves on."""
    config: dict[str, Any] = {"PLUGINS": chain, "DATABASE_URL": database_url, **ALONE}
    app = make_app(plugins=None, **config)
    refused = cli("plugins", "remove", "zeta", "--yes", app=app)
    assert 1 == refused.exit_code
    assert refused.output == (
        "Error: zeta is required by alpha, middle; remove the data of each in this order and "
        "disable it, as in PEGBOARD_PLUGINS_DISABLED=alpha,middle.\n"
    )
    for name, disabled in (("alpha", ""), ("middle", "alpha"), ("zeta", "alpha,middle")):
        app = make_app(plugins=None, upgrade=False, PLUGINS_DISABLED=disabled, **config)
        assert 0 == cli("plugins", "remove", name, "--yes", app=app).exit_code
    with app.app_context():
        assert [] == sa.inspect(db.engine).get_table_names()


def test_a_table_that_a_downgrade_leaves_is_dropped_though_it_refers_to_one_that_stays(
    plugin_folder: PluginFolder, make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """By what the database knows of it, as the plugin has no model of it."""
    plugin_folder.add_table("zeta")
    upgrade = f"""{CREATES}
key = sa.ForeignKey("zeta.id")
op.create_table("pairs", sa.Column("zeta_id", sa.Integer, key, primary_key=True))
"""
    requires = ["pegboard", "example-zeta"]
    plugin_folder.add_table("alpha", columns=REFERS, upgrade=upgrade, requires=requires)
    app = make_app(plugins=None, PLUGINS="alpha,zeta", DATABASE_URL=database_url, **ALONE)
    done = cli("plugins", "remove", "alpha", "--yes", app=app)
    assert 0 == done.exit_code, done.output
    with app.app_context():
        assert {"alembic_version_zeta", "zeta"} == {*sa.inspect(db.engine).get_table_names()}


def test_data_of_a_disabled_plugin_keeps_what_it_refers_to(
    chain: str, make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """Its requirements count for nothing then; its rows would refer to nothing."""
    config: dict[str, Any] = {"PLUGINS": chain, "DATABASE_URL": database_url, **ALONE}
    make_app(plugins=None, **config)
    app = make_app(plugins=None, PLUGINS_DISABLED="alpha,middle", **config)
    refused = cli("plugins", "remove", "zeta", "--yes", app=app)
    assert 1 == refused.exit_code
    assert "zeta: table alpha refers to its table zeta" in refused.output
    with app.app_context():
        assert {"alpha", "zeta"} <= {*sa.inspect(db.engine).get_table_names()}


def test_all_are_downgraded_in_reverse(
    chain: str, make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """The one that refers first."""
    app = make_app(plugins=None, PLUGINS=chain, DATABASE_URL=database_url, **ALONE)
    done = cli("db", "downgrade", "base", app=app)
    assert 0 == done.exit_code, done.output
    lines = [line.partition(":")[0] for line in done.output.splitlines() if "_0001" in line]
    assert ["alpha", "zeta"] == lines


def test_a_reference_to_another_database_stops_the_start(plugin_folder: PluginFolder) -> None:
    """No database keeps it, whatever is required."""
    module = plugin_folder.add_table("zeta") / "plugin.py"
    archive = "    metadata = sqlalchemy.MetaData(info={'bind_key': 'archive'})\n"
    module.write_text(module.read_text().replace("    pass\n", archive, 1))
    plugin_folder.add_table("alpha", columns=REFERS, requires=["pegboard", "example-zeta"])
    (problem,) = problems(PLUGINS="alpha,zeta")
    assert ("alpha", Code.MODEL_OTHER_DATABASE) == (problem.plugin, problem.code)
    assert problem.summary.partition(", at ")[0] == (
        "alpha.zeta_id refers to table zeta of zeta, which is in another database: that of the "
        "bind archive, and not of DATABASE_URL"
    )
