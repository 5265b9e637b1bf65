"""Foreign keys to tables of other plugins need a requirement, from which the order follows."""

import pytest
import sqlalchemy as sa

from pegboard import StartupError, create_app, db
from pegboard.migrations import upgrade
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

REFERS = """
    from example_zeta.plugin import Zeta
    zeta_id: Mapped[int | None] = mapped_column(sqlalchemy.ForeignKey(Zeta.id))
"""
CREATES = 'op.add_column("alpha", sa.Column("zeta_id", sa.Integer, sa.ForeignKey("zeta.id")))'
ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}


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
    assert problem.summary == (
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
    assert "alpha.zeta_id refers to table zeta, which is of no active plugin" == problem.summary


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
