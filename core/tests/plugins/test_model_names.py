"""Names of models that PostgreSQL would cut or refuse stop the start, on SQLite too."""

import pytest
import sqlalchemy as sa

from pegboard import StartupError, create_app, db, get_registry
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

LONG = "long_" * 13
WIDE = "ü" * 32
"""More bytes than PostgreSQL takes, in fewer characters than SQLAlchemy would refuse."""

REFUSED = {
    "a column": (
        f"{LONG} = sqlalchemy.Column(sqlalchemy.Integer)",
        "of a column of notes has 65 bytes",
    ),
    "an index": (
        f"__table_args__ = (sqlalchemy.Index('{LONG}', 'created_at'),)",
        "of an index of notes has 65 bytes",
    ),
    "an index that SQLAlchemy takes": (
        f"__table_args__ = (sqlalchemy.Index('{WIDE}', 'created_at'),)",
        "of an index of notes has 64 bytes",
    ),
    "an index that is named by the convention, but not shortened": (
        f"{WIDE[:31]} = sqlalchemy.Column(sqlalchemy.Integer, index=True)",
        "of an index of notes has 71 bytes",
    ),
    "a unique constraint": (
        f"__table_args__ = (sqlalchemy.UniqueConstraint('created_at', name='{LONG}'),)",
        "of a constraint of notes has 65 bytes",
    ),
    "a foreign key": (
        f"parent = sqlalchemy.Column(sqlalchemy.ForeignKey('notes.id', name='{LONG}'))",
        "of a constraint of notes has 65 bytes",
    ),
    "a type": (
        f"kind = sqlalchemy.Column(sqlalchemy.Enum('a', name='{LONG}'))",
        "of a type has 65 bytes",
    ),
    "a type of two columns": (
        f"kind, other = (sqlalchemy.Column(sqlalchemy.Enum('a', name='{LONG}')) for _ in 'ab')",
        "of a type has 65 bytes",
    ),
    "a type in an array": (
        (
            f"kinds = sqlalchemy.ARRAY(sqlalchemy.Enum('a', name='{LONG}'))\n"
            "kind = sqlalchemy.Column(sqlalchemy.JSON().with_variant(kinds, 'postgresql'))"
        ),
        "of a type has 65 bytes",
    ),
    "a type that the plugin decorates": (
        (
            "class Kind(sqlalchemy.TypeDecorator):\n"
            f"    impl, cache_ok = sqlalchemy.Enum('a', name='{LONG}'), True\n"
            "kind = sqlalchemy.Column(Kind)"
        ),
        "of a type has 65 bytes",
    ),
    "a domain": (
        (
            "from sqlalchemy.dialects.postgresql import DOMAIN\n"
            f"kind = sqlalchemy.Column(DOMAIN('{LONG}', sqlalchemy.Integer))"
        ),
        "of a type has 65 bytes",
    ),
    "a value": (
        f"kind = sqlalchemy.Column(sqlalchemy.Enum('{LONG}', name='kind'))",
        "of a value of the type kind has 65 bytes",
    ),
    "a sequence": (
        f"kind = sqlalchemy.Column(sqlalchemy.Integer, sqlalchemy.Sequence('{LONG}'))",
        "of a sequence has 65 bytes",
    ),
}


@pytest.mark.parametrize("columns,told", REFUSED.values(), ids=list(REFUSED))
def test_a_name_that_postgresql_would_cut_or_refuse_stops_the_start(
    plugin_folder: PluginFolder, columns: str, told: str
) -> None:
    """It is told once, with its place."""
    plugin_folder.add_table("notes", columns=columns)
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing", "PLUGINS": "notes"})
    (problem,) = caught.value.problems
    assert ("notes", Code.MODEL_NAME_TOO_LONG) == (problem.plugin, problem.code)
    assert f"{told}, and PostgreSQL takes 63, at example_notes/plugin.py:" in problem.summary


ACCEPTED = f"""
__table_args__ = (
    sqlalchemy.Index(None, "{"a" * 60}"),
    sqlalchemy.UniqueConstraint("{"a" * 60}"),
    sqlalchemy.CheckConstraint("id > 0", name="{"b" * 63}"),
)
{"a" * 60} = sqlalchemy.Column(sqlalchemy.Integer)
kind = sqlalchemy.Column(
    sqlalchemy.Enum("a", "{"d" * 100}", name="{LONG}", native_enum=False, create_constraint=True)
)
other = sqlalchemy.Column(sqlalchemy.Enum("a", name="{"e" * 63}"))
"""

ENUMS = sa.text("SELECT typname FROM pg_type WHERE typtype = 'e'")


def test_names_that_sqlalchemy_shortens_are_no_mistake(
    plugin_folder: PluginFolder, make_app: MakeApp, postgres_url: str
) -> None:
    """What a naming convention makes fits; what is no type has no name in the database."""
    plugin_folder.add_table("notes", columns=ACCEPTED)
    app = make_app(plugins=None, upgrade=False, PLUGINS="notes", DATABASE_URL=postgres_url)
    with app.app_context():
        (plugin,) = get_registry().plugins
        assert plugin.metadata is not None
        plugin.metadata.create_all(db.engine)
        inspector = sa.inspect(db.engine)
        names = [one["name"] for one in inspector.get_indexes("notes")]
        names += [one["name"] for one in inspector.get_check_constraints("notes")]
        names += [name for (name,) in db.session.execute(ENUMS)]
    assert 5 == len(names)
    assert 63 >= max(len(str(name)) for name in names)
