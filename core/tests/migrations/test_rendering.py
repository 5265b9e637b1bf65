import enum
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.database import Model, db
from pegboard.migrations import (
    MigrationError,
    downgrade,
    find_drift,
    remove_history,
    upgrade,
    write_empty_revisions,
    write_revisions,
)
from pegboard.testing.fixtures import MakeApp

DATABASES = ("sqlite", "postgresql")


class Color(enum.Enum):
    """Values of a column."""

    RED = 1
    BLUE = 2


class Shout(sa.TypeDecorator[str]):
    """A type of a plugin's own, stored as a text."""

    impl = sa.String
    cache_ok = True


class Digest(sa.TypeDecorator[Any]):
    """A type of a plugin's own that chooses how it is stored."""

    impl = sa.CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """Choose."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.Uuid())
        return dialect.type_descriptor(sa.CHAR(32))


class Notes:
    """A plugin whose models a test makes up."""

    name = "notes"

    def __init__(self, folder: Path) -> None:
        self.versions = folder
        self.base: type[DeclarativeBase]

    def define(self, models: Callable[[Any], object]) -> "Notes":
        """Replace the models by those that the function makes of a base."""

        class Base(Model, DeclarativeBase):
            """The models."""

        models(Base)
        self.base = Base
        return self

    @pegboard.hookimpl
    def pegboard_models(self) -> type[DeclarativeBase]:
        """Bring the models."""
        return self.base

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Bring the revisions."""
        return self.versions


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """The plugin."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return Notes(folder)


@pytest.fixture
def assemble(
    make_app: MakeApp, notes: Notes, sqlite_url: str, postgres_url: str
) -> Callable[[str], Flask]:
    """Build an app of the plugin on one of two empty databases."""
    urls = dict(zip(DATABASES, (sqlite_url, postgres_url), strict=True))
    return lambda kind: make_app(plugins=[notes], upgrade=False, DATABASE_URL=urls[kind])


Assemble = Callable[[str], Flask]


def first(base: Any) -> None:
    """Define models with all that a database may have its own way of saying."""

    class Note(base):  # type: ignore[misc]
        __tablename__ = "notes"
        __table_args__ = (
            sa.CheckConstraint("size > 0"),
            sa.CheckConstraint("title LIKE 'a%\\:b' OR title IS NOT NULL", name="title"),
            sa.Index("ix_notes_lower", sa.func.lower(sa.column("title")), unique=True),
            {"comment": "all notes"},
        )
        title: Mapped[str] = mapped_column(sa.String(20), server_default="it's", comment="short")
        size: Mapped[int] = mapped_column(server_default=sa.text("1"))
        flag: Mapped[bool] = mapped_column(server_default=sa.true())
        off: Mapped[bool] = mapped_column(server_default=sa.false())
        color: Mapped[Color] = mapped_column(server_default="RED")
        other: Mapped[Color | None]
        shade: Mapped[str | None] = mapped_column(
            sa.Enum("a", "b", name="shade", native_enum=False, create_constraint=True)
        )
        at: Mapped[Any] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
        form: Mapped[Any] = mapped_column(
            sa.JSON().with_variant(JSONB, "postgresql"), server_default="{}"
        )
        low: Mapped[Any] = mapped_column(Shout(30), server_default=sa.func.lower("A:B"))
        digest: Mapped[Any] = mapped_column(Digest, nullable=True)
        double: Mapped[Any] = mapped_column(sa.Integer, sa.Computed("id * 2", persisted=True))
        number: Mapped[Any] = mapped_column(sa.Numeric(10, 2), server_default=sa.literal(3))

    table = Note.__table__
    table.append_constraint(sa.CheckConstraint(table.c.flag.is_(True) | table.c.off))
    sa.Index("ix_notes_two", sa.func.lower(table.c.title), table.c.size.desc())
    on = table.c.flag.is_(True)
    sa.Index("ix_notes_part", table.c.size, postgresql_where=on, sqlite_where=on)

    class Tag(base):  # type: ignore[misc]
        __tablename__ = "tags"
        name: Mapped[str] = mapped_column(sa.String(5), server_default="x", unique=True)
        at: Mapped[Any] = mapped_column(sa.DateTime, server_default=sa.func.now())
        done: Mapped[bool] = mapped_column(server_default=sa.false())
        note_id: Mapped[int] = mapped_column(sa.ForeignKey("notes.id", ondelete="CASCADE"))
        __table_args__ = (
            sa.Index("ix_tags_lower", sa.func.lower(sa.column("name"))),
            sa.CheckConstraint("name IN ('x', 'y')"),
        )


def second(base: Any) -> None:
    """Define models of which one is gone, one has changed and one has come."""
    first(base)
    metadata = base.metadata
    metadata.remove(metadata.tables["tags"])
    table = metadata.tables["notes"]
    table.indexes -= {index for index in table.indexes if index.name == "ix_notes_lower"}
    table.append_column(sa.Column("weight", sa.Integer, sa.CheckConstraint("weight > 0")))
    table.append_column(sa.Column("mood", sa.Enum("good", "bad", name="mood")))
    table.append_column(sa.Column("done", sa.Boolean, server_default=sa.true(), nullable=False))
    table.c.size.type = sa.BigInteger()
    sa.Index("ix_notes_upper", sa.func.upper(table.c.title), unique=True)

    class Other(base):  # type: ignore[misc]
        __tablename__ = "others"
        color: Mapped[Color]


def third(base: Any) -> None:
    """Define models without enumerated types, which are gone from both tables."""
    first(base)
    metadata = base.metadata
    metadata.remove(metadata.tables["tags"])
    table = metadata.tables["notes"]
    for name in ("color", "other"):
        table._columns.remove(table.c[name])


def cyclic(base: Any) -> None:
    """Define tables that refer to each other, and one that needs no `use_alter`."""

    class Artist(base):  # type: ignore[misc]
        __tablename__ = "artists"
        best_id: Mapped[int | None] = mapped_column(sa.ForeignKey("records.id", use_alter=True))
        first_id: Mapped[int | None] = mapped_column(sa.ForeignKey("artists.id", use_alter=True))

    class Record(base):  # type: ignore[misc]
        __tablename__ = "records"
        artist_id: Mapped[int] = mapped_column(sa.ForeignKey("artists.id"))


@pytest.mark.slow
@pytest.mark.parametrize("written_on", DATABASES)
def test_tables_may_refer_to_each_other(assemble: Assemble, notes: Notes, written_on: str) -> None:
    """A revision that creates or drops both can be applied and undone on every database."""
    for models in (cyclic, lambda _base: None):
        notes.define(models)
        write_revisions(assemble(written_on))
        for kind in DATABASES:
            app = assemble(kind)
            upgrade(app)
            assert () == find_drift(app)
            downgrade(app)
            upgrade(app)
            assert () == find_drift(app)


def circle(base: Any) -> None:
    """Define tables that refer to each other, of which none says that its key comes later."""

    class Team(base):  # type: ignore[misc]
        __tablename__ = "teams"
        lead_id: Mapped[int | None] = mapped_column(sa.ForeignKey("people.id"))

    class Person(base):  # type: ignore[misc]
        __tablename__ = "people"
        team_id: Mapped[int] = mapped_column(sa.ForeignKey("teams.id"))


@pytest.mark.slow
@pytest.mark.parametrize("written_on", DATABASES)
@pytest.mark.parametrize("downgrade_fails", [False, True])
def test_tables_in_a_circle_need_nothing_said(
    assemble: Assemble,
    notes: Notes,
    written_on: str,
    downgrade_fails: bool,  # noqa: FBT001 - a parameter
) -> None:
    """No command warns of them, as pytest would make an error of that."""
    notes.define(circle)
    write_revisions(assemble(written_on))
    if downgrade_fails:
        (path,) = notes.versions.glob("*.py")
        path.write_text(path.read_text().replace("op.drop_table", "op.no_such"))
    for kind in DATABASES:
        app = assemble(kind)
        upgrade(app)
        assert () == find_drift(app)
        if not downgrade_fails:
            downgrade(app)
            upgrade(app)
        assert () == write_revisions(app)
        assert remove_history(app, "notes")
        with app.app_context():
            assert [] == sa.inspect(db.engine).get_table_names()


def types(app: Flask) -> list[str]:
    """Return the enumerated types of the database."""
    with app.app_context(), db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            return []
        query = sa.text("SELECT typname FROM pg_type WHERE typtype = 'e' ORDER BY typname")
        return [*connection.scalars(query)]


@pytest.mark.slow
@pytest.mark.parametrize("written_on", DATABASES)
def test_a_revision_fits_every_database(assemble: Assemble, notes: Notes, written_on: str) -> None:
    """Written on one, it can be applied and undone on the other, which then agrees."""
    notes.define(first)
    write_revisions(assemble(written_on))
    for kind in DATABASES:
        app = assemble(kind)
        for _ in range(2):
            upgrade(app)
            assert () == find_drift(app)
            downgrade(app, revision="base")
            assert [] == types(app)
        upgrade(app)

    notes.define(second)
    (path,) = write_revisions(assemble(written_on))
    for kind in DATABASES:
        app = assemble(kind)
        for _ in range(2):
            upgrade(app)
            assert () == find_drift(app)
            assert types(app) in ([], ["color", "mood"])
            with app.app_context():
                checks = sa.inspect(db.engine).get_check_constraints("notes")
            assert "ck_notes_weight_0_" in "".join(str(check["name"]) for check in checks)
            downgrade(app)
            assert types(app) in ([], ["color"])

    path.unlink()
    notes.define(first)
    assert [(), ()] == [find_drift(assemble(kind)) for kind in DATABASES]

    notes.define(third)
    write_revisions(assemble(written_on))
    for kind in DATABASES:
        app = assemble(kind)
        upgrade(app)
        assert () == find_drift(app)
        assert [] == types(app)


def change_color(notes: Notes, number: int, before: str, after: str, *defaults: str) -> None:
    """Write a revision that changes the values of a column's type."""
    there, back = [f", server_default={default!r}" for default in defaults] or ["", ""]
    (notes.versions / f"notes_{number:04}.py").write_text(
        f"""\
import sqlalchemy as sa
from alembic import op

revision = "notes_{number:04}"
down_revision = "notes_{number - 1:04}"

before = sa.Enum({before}, name="color")
after = sa.Enum({after}, name="color")


def upgrade() -> None:
    with op.batch_alter_table("notes") as batch:
        batch.alter_column("color", existing_type=before, type_=after{there})


def downgrade() -> None:
    with op.batch_alter_table("notes") as batch:
        batch.alter_column("color", existing_type=after, type_=before{back})
"""
    )


@pytest.mark.slow
def test_the_values_of_an_enumerated_type_can_change(assemble: Assemble, notes: Notes) -> None:
    """Values come and go with a revision; rows, defaults and other tables keep theirs."""

    def models(base: Any) -> None:
        class Note(base):  # type: ignore[misc]
            __tablename__ = "notes"
            color: Mapped[Color] = mapped_column(server_default="RED")

        class Tag(base):  # type: ignore[misc]
            __tablename__ = "tags"
            color: Mapped[Color | None]

    notes.define(models)
    write_revisions(assemble("sqlite"))
    change_color(notes, 2, "'RED', 'BLUE'", "'PINK', 'RED', \"it's\", 'BLUE', 'LAST'")
    change_color(notes, 3, "'PINK', 'RED', \"it's\", 'BLUE', 'LAST'", "'RED', 'BLUE', '50%'")
    change_color(notes, 4, "'RED', 'BLUE', '50%'", "'BLUE', 'NEW'", "NEW", "RED")
    for kind in DATABASES:
        app = assemble(kind)
        upgrade(app, revision="notes_0001")
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO notes (id, color) VALUES (1, 'BLUE')"))
        upgrade(app)
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO notes (id) VALUES (2)"))
            colors = sa.text("SELECT color FROM notes ORDER BY id")
            assert ["BLUE", "NEW"] == [*connection.scalars(colors)]
            if kind == "postgresql":
                values = sa.text("SELECT enumlabel FROM pg_enum ORDER BY enumsortorder")
                assert ["BLUE", "NEW"] == [*connection.scalars(values)]
            connection.execute(sa.text("DELETE FROM notes WHERE id = 2"))
        downgrade(app, revision="notes_0001")
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO notes (id) VALUES (3)"))
            assert ["BLUE", "RED"] == [*connection.scalars(colors)]


def test_a_type_of_another_is_not_taken(make_app: MakeApp, postgres_url: str, notes: Notes) -> None:
    """A type that has the name but other values is named, and left as it is."""

    def models(base: Any) -> None:
        class Note(base):  # type: ignore[misc]
            __tablename__ = "notes"
            color: Mapped[Color]

    notes.define(models)
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    write_revisions(app)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("CREATE TYPE color AS ENUM ('left', 'right')"))

    with pytest.raises(MigrationError, match="color exists, with the values left, right; give"):
        upgrade(app)
    assert ["color"] == types(app)


@pytest.mark.slow
def test_a_rebuilt_table_keeps_its_indexes(assemble: Assemble, notes: Notes) -> None:
    """On SQLite, too, where an alteration copies the table, and an index may be an expression."""

    def before(base: Any) -> None:
        class Note(base):  # type: ignore[misc]
            __tablename__ = "notes"
            title: Mapped[str | None] = mapped_column(sa.String(20))
            double: Mapped[Any] = mapped_column(sa.Integer, sa.Computed("id * 2", persisted=True))

        sa.Index(
            "ix_notes_odd",
            sa.func.replace(Note.__table__.c.title, "),", '" where'),
            Note.__table__.c.id.desc(),
            unique=True,
            sqlite_where=Note.__table__.c.title != ") where",
        )

    def after(base: Any) -> None:
        before(base)
        base.metadata.tables["notes"].c.title.nullable = False
        sa.Index("ix_notes_lower", sa.func.lower(base.metadata.tables["notes"].c.title))

    notes.define(before)
    app = assemble("sqlite")
    write_revisions(app)
    upgrade(app)
    with app.app_context(), db.engine.connect() as connection:
        query = sa.text("SELECT sql FROM sqlite_master WHERE name = 'ix_notes_odd'")
        index = connection.scalar(query)

    notes.define(after)
    app = assemble("sqlite")
    write_revisions(app)
    upgrade(app)

    assert () == find_drift(app)
    with app.app_context(), db.engine.connect() as connection:
        assert index == connection.scalar(query)


def test_a_changed_expression_is_noticed(assemble: Assemble, notes: Notes) -> None:
    """An index on another expression is another index, and one that is gone is dropped."""

    def models(*functions: str) -> Callable[[Any], None]:
        def define(base: Any) -> None:
            columns = {"title": mapped_column(sa.String(20)), "__tablename__": "notes"}
            model: Any = type("Note", (base,), columns)
            table = model.__table__
            for name in functions:
                sa.Index("ix_notes_title", getattr(sa.func, name)(table.c.title))

        return define

    notes.define(models("lower"))
    write_revisions(assemble("sqlite"))
    upgrade(assemble("sqlite"))
    for functions in ("upper",), ():
        notes.define(models(*functions))
        app = assemble("sqlite")
        assert find_drift(app)
        write_revisions(app)
        upgrade(app)
        assert () == find_drift(app)


@pytest.mark.slow
def test_a_type_of_a_plugin_is_written_without_it(
    assemble: Assemble, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decorated type is written as what it is stored as, any other with the import of it."""
    (tmp_path / "points_of_tests.py").write_text(
        "from sqlalchemy.types import UserDefinedType\n"
        "class Point(UserDefinedType):\n"
        "    cache_ok = True\n"
        "    def get_col_spec(self, **kwargs):\n"
        "        return 'POINT'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = pytest.importorskip("points_of_tests")

    def models(base: Any) -> None:
        class Note(base):  # type: ignore[misc]
            __tablename__ = "notes"
            shout: Mapped[Any] = mapped_column(Shout(30))
            digest: Mapped[Any] = mapped_column(Digest)
            varied: Mapped[Any] = mapped_column(Shout(30).with_variant(JSONB(), "postgresql"))
            point: Mapped[Any] = mapped_column(module.Point)

    notes.define(models)
    (path,) = write_revisions(assemble("sqlite"))
    assert "import points_of_tests\n" in path.read_text()
    # A formatter that is at hand changes quotes and lines.
    written = "".join(path.read_text().split()).replace("'", '"')
    assert "points_of_tests.Point()" in written
    assert 'sa.Column("shout",sa.String(length=30),nullable=False)' in written
    assert 'sa.CHAR(length=32).with_variant(sa.Uuid(),"postgresql")' in written
    assert "sa.String(length=30).with_variant(postgresql.JSONB(astext_type=sa.Text())," in written
    for kind in DATABASES:
        upgrade(assemble(kind))


def test_a_check_without_a_name_is_named_alike(assemble: Assemble, notes: Notes) -> None:
    """Models, written revisions and revisions by hand give it the same name on every database."""

    def models(base: Any) -> None:
        class Note(base):  # type: ignore[misc]
            __tablename__ = "notes"
            __table_args__ = (sa.CheckConstraint("size > 0"), sa.CheckConstraint("size < 9"))
            size: Mapped[int] = mapped_column(sa.CheckConstraint("size <> 5"))
            flag: Mapped[bool] = mapped_column(sa.Boolean(create_constraint=True))

    notes.define(models)
    table = notes.base.metadata.tables["notes"]
    names = {
        constraint.name
        for constraint in (*table.constraints, *table.c.size.constraints)
        if isinstance(constraint, sa.CheckConstraint) and isinstance(constraint.name, str)
    }
    assert 3 == len(names)
    write_revisions(assemble("sqlite"))
    (path,) = notes.versions.glob("*.py")
    assert names == {name for name in names if name in path.read_text()}
    path.write_text(re.sub(r", name=op\.f\(.ck_[a-z0-9_]+.\)", "", path.read_text()))
    assert "ck_" not in path.read_text()
    for kind in DATABASES:
        app = assemble(kind)
        upgrade(app)
        with app.app_context():
            found = sa.inspect(db.engine).get_check_constraints("notes")
        assert names <= {constraint["name"] for constraint in found}


def test_an_empty_revision_can_be_filled_in(assemble: Assemble, notes: Notes) -> None:
    """It imports what a revision by hand needs."""
    notes.define(lambda _base: None)
    (path,) = write_empty_revisions(assemble("sqlite"), "notes", report=print)
    assert "import sqlalchemy as sa\nfrom alembic import op\n" in path.read_text()


REFUSED = {
    "other values": "before, type_=sa.Enum('RED', name='color')",
    "a text": "before, type_=sa.Text()",
    "a type of another schema": "before, type_=sa.Enum('RED', '50%', name='color', schema='other')",
    "of a text": "sa.Text(), type_=before",
    "of nothing that is said": "None, type_=before",
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_printed_sql_changes_no_enumerated_type(
    make_app: MakeApp, postgres_url: str, notes: Notes, change: str
) -> None:
    """Which columns have it only the database knows: all or nothing is printed."""
    app = make_app(
        plugins=[notes.define(lambda _base: None)], upgrade=False, DATABASE_URL=postgres_url
    )
    change_color(notes, 1, "'RED', '50%'", "'RED'")
    path = notes.versions / "notes_0001.py"
    text = path.read_text().replace('"notes_0000"', "None")
    path.write_text(text.replace("before, type_=after", change))

    done = app.test_cli_runner().invoke(args=["db", "upgrade", "notes", "--sql"])

    assert 1 == done.exit_code
    assert "" == done.stdout
    assert "the change of notes.color is not printed" in done.stderr
    assert "hint: Run pegboard db upgrade or downgrade." in done.stderr


def test_printed_sql_leaves_what_the_command_does(
    make_app: MakeApp, postgres_url: str, notes: Notes
) -> None:
    """Run by any client: with percent signs, and defaults that are expressions."""
    app = make_app(
        plugins=[notes.define(lambda _base: None)], upgrade=False, DATABASE_URL=postgres_url
    )
    kind = "sa.Enum('a', '50%', name='kind')"
    (notes.versions / "notes_0001.py").write_text(
        f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "notes_0001", None


def upgrade():
    op.create_table("notes", sa.Column("kind", {kind}, server_default="50%"),
        sa.Column("size", sa.Integer, server_default=sa.text("1 + 1")))
    op.alter_column("notes", "size", existing_type=sa.Integer(), type_=sa.BigInteger(),
        existing_server_default=sa.text("1 + 1"))
    op.alter_column("notes", "kind", existing_type={kind}, type_={kind}, nullable=False)
    op.execute("INSERT INTO notes (size) SELECT 5 % 3 WHERE 'a%' LIKE 'a%'")


def downgrade():
    pass
"""
    )
    done = app.test_cli_runner().invoke(args=["db", "upgrade", "notes", "--sql"])
    assert 0 == done.exit_code, done.output
    with app.app_context():
        with db.engine.connect() as connection:
            connection.connection.cursor().execute(done.stdout)
        with db.engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT kind, size FROM notes")).all()
            assert [("50%", 2)] == rows
            assert "BIGINT" == str(sa.inspect(connection).get_columns("notes")[1]["type"])


def test_values_that_go_are_told(make_app: MakeApp, postgres_url: str, notes: Notes) -> None:
    """When the revision is written, and where a row still has one."""

    def migrate(*values: str) -> list[str]:
        def models(base: Any) -> None:
            class Note(base):  # type: ignore[misc]
                __tablename__ = "notes"
                kind = mapped_column(sa.Enum(*values, name="kind"))

        app = make_app(plugins=[notes.define(models)], upgrade=False, DATABASE_URL=postgres_url)
        told: list[str] = []
        write_revisions(app, report=told.append)
        upgrade(app)
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(
                sa.text("INSERT INTO notes (kind) VALUES (:kind)"), {"kind": values[0]}
            )
        return told

    advice = (
        "Rows cannot keep a value that the enumerated type no longer has: give them another one by "
        "op.execute before the column is altered."
    )
    migrate("a", "b")
    *_, told = migrate("a", "b", "c")
    assert told.startswith("notes: correct ")
    assert told.endswith(f": notes.kind loses c in downgrade(). {advice}")
    with pytest.raises(MigrationError) as failure:
        migrate("b", "c")
    assert f"\n  hint: {advice}" in failure.value.message


def test_printed_sql_creates_a_type_once(
    make_app: MakeApp, postgres_url: str, notes: Notes, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the table or the column that needs it; what is in the database is not asked."""

    def before(base: Any) -> None:
        class Note(base):  # type: ignore[misc]
            __tablename__ = "notes"
            color: Mapped[Color]

    def after(base: Any) -> None:
        before(base)
        for name in ("one", "two"):
            mood = sa.Column[Any](name, sa.Enum("good", "bad", name="mood"))
            base.metadata.tables["notes"].append_column(mood)

    def migrate(models: Callable[[Any], None]) -> Flask:
        app = make_app(plugins=[notes.define(models)], upgrade=False, DATABASE_URL=postgres_url)
        write_revisions(app)
        upgrade(app)
        return app

    migrate(before)
    app = migrate(after)
    capsys.readouterr()
    with app.app_context():
        flask_migrate.upgrade("notes", sql=True)
    printed = capsys.readouterr().out
    assert ["color", "mood"] == re.findall(r"CREATE TYPE (\w+) AS ENUM", printed)


UNWRITABLE: dict[str, dict[str, Any]] = {
    "Enum('a', 'b') in the models has no name, which PostgreSQL demands": {
        "type_": sa.Enum("a", "b")
    },
    "Enum('c') in the models has no name": {
        "type_": sa.ARRAY(sa.Enum("c")).with_variant(sa.JSON(), "sqlite")
    },
    "an SQL expression of the models cannot be written: Could not render literal value": {
        "type_": sa.String(9),
        "server_default": sa.cast(5, sa.String),
    },
}


@pytest.mark.parametrize("message", UNWRITABLE)
def test_what_only_one_database_takes_is_not_written(
    assemble: Assemble, notes: Notes, message: str
) -> None:
    """The plugin is named, and no file is left."""

    def models(base: Any) -> None:
        column = mapped_column(**UNWRITABLE[message])
        type("Note", (base,), {"__tablename__": "notes", "kind": column})

    notes.define(models)
    with pytest.raises(MigrationError) as raised:
        write_revisions(assemble("sqlite"))
    assert raised.value.message.startswith(f"notes: {message}")
    assert [] == [*notes.versions.glob("*.py")]


@pytest.mark.slow
def test_a_text_becomes_the_first_enum_of_its_name_and_a_text_again(
    assemble: Assemble, notes: Notes
) -> None:
    """Written on SQLite, on rows that are kept; the type comes and goes with the column."""

    def of(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], object]:
        body = {"__tablename__": "notes", "kind": mapped_column(kind)}
        return lambda base: type("Note", (base,), dict(body))

    for kind in (sa.String(5), sa.Enum("a", "b", name="kind"), sa.String(5)):
        notes.define(of(kind))
        app = assemble("sqlite")
        write_revisions(app)
        upgrade(app)

    app = assemble("postgresql")
    upgrade(app, revision="notes_0001")
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO notes (kind) VALUES ('b')"))
    for revision in ("notes_0002", "notes_0003"):
        upgrade(app, revision=revision)
    for revision in ("notes_0002", "notes_0001"):
        downgrade(app, revision=revision)
    upgrade(app)
    with app.app_context(), db.engine.begin() as connection:
        assert "b" == connection.scalar(sa.text("SELECT kind FROM notes"))
        assert None is connection.scalar(sa.text("SELECT to_regtype('kind')::text"))
