"""What `db check` compares: also what databases describe in words of their own."""

import re

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import mapped_column

from pegboard.migrations import downgrade, find_drift, upgrade, write_revisions


def number(**options):
    """Return a column of a model."""
    return mapped_column(sa.Integer, **options)


def text(length=10, **options):
    """Return a column of a model."""
    return mapped_column(sa.String(length), **options)


def arguments(*items):
    """Return the table arguments of a model."""
    return {"__table_args__": items}


def check(condition, name="size"):
    """Return the table arguments of a model with a CHECK."""
    return arguments(sa.CheckConstraint(condition, name=name))


def partial(condition):
    """Return the table arguments of a model with a partial index."""
    where = sa.text(condition)
    return arguments(sa.Index("ix", "size", postgresql_where=where, sqlite_where=where))


def differences(app):
    """Return what the database and the models differ in; all of it must have been compared."""
    not_compared: list[str] = []
    drifts = find_drift(app, report=not_compared.append)
    found = [line for drift in drifts for line in drift.differences]
    assert [] == not_compared
    return [line.replace("from '1'", "from 1") for line in found]


def either(*values):
    """Return a column of an enumeration that is stored as a text with a CHECK."""
    options = {"native_enum": False, "create_constraint": True, "name": "k"}
    return mapped_column(sa.Enum(*values, **options))


def at(default):
    """Return a column with a time."""
    return mapped_column(sa.DateTime, server_default=default)


CHANGES = {
    "server default of a number": (
        lambda: {"size": number(server_default="1")},
        lambda: {"size": number(server_default="2")},
        ["modify default of notes.size from 1 to 2"],
    ),
    "server default of a text": (
        lambda: {"name": text(server_default="it's")},
        lambda: {"name": text(server_default="its")},
        None,
    ),
    "server default of a boolean": (
        lambda: {"flag": mapped_column(sa.Boolean, server_default=sa.true())},
        lambda: {"flag": mapped_column(sa.Boolean, server_default=sa.false())},
        None,
    ),
    "server default that is a function": (
        lambda: {"at": at(sa.func.current_timestamp())},
        lambda: {"at": at(sa.text("'2024-01-01 00:00:00'"))},
        None,
    ),
    "a server default that goes": (
        lambda: {"size": number(server_default="1")},
        lambda: {"size": number()},
        ["modify default of notes.size from 1 to None"],
    ),
    "a CHECK": (
        lambda: {"size": number(), **check("size > 0")},
        lambda: {"size": number(), **check("size > 1")},
        ["remove constraint ck_notes_size of notes", "add constraint ck_notes_size of notes"],
    ),
    "a CHECK that comes": (
        lambda: {"size": number()},
        lambda: {"size": number(), **check("size > 0 AND (size < 10 OR size = 100)")},
        ["add constraint ck_notes_size of notes"],
    ),
    "a CHECK with a colon": (
        lambda: {"name": text(), **check(r"name <> 'a%\:b'", "name")},
        lambda: {"name": text(20), **check(r"name <> 'a%\:d'", "name")},
        None,
    ),
    "a CHECK that goes": (
        lambda: {"size": number(), **check("size IN (1, 2)")},
        lambda: {"size": number()},
        ["remove constraint ck_notes_size of notes"],
    ),
    "a value of a CHECK of an enumeration": (
        lambda: {"kind": either("a", "b")},
        lambda: {"kind": either("a", "c")},
        ["remove constraint ck_notes_k of notes", "add constraint ck_notes_k of notes"],
    ),
    "the condition of an index": (
        lambda: {"size": number(), **partial("size > 0")},
        lambda: {"size": number(), **partial("size > 1")},
        ["remove index ix of notes", "add index ix of notes"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("before, after, lines", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed_and_can_be_migrated(assemble, notes, before, after, lines):
    """It is a difference until the revision that is written for it is applied."""
    notes.model("notes", **before())
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)
    assert [] == differences(app)

    notes.without_models().model("notes", **after())
    app = assemble(notes)
    found = differences(app)
    assert found
    assert lines in (None, found)
    write_revisions(app)
    upgrade(app)
    assert [] == differences(app)

    downgrade(app)
    upgrade(app)
    assert [] == differences(app)


@pytest.mark.slow
def test_a_value_of_an_enumerated_type_is_noticed(make_app, postgres_url, notes):
    """PostgreSQL keeps the values in a type of its own, which the revision changes."""

    def assemble(*values):
        kind = sa.Enum(*values, name="kind")
        columns = {"kind": mapped_column(kind), "kinds": mapped_column(sa.ARRAY(kind))}
        notes.without_models().model("notes", **columns)
        return make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    app = assemble("a", "b")
    write_revisions(app)
    upgrade(app)
    assert [] == differences(app)
    assert [] == differences(assemble("b", "a"))

    app = assemble("a", "b", "c")
    assert [
        "modify type of notes.kind from kind (a, b) to kind (a, b, c)",
        "modify type of notes.kinds from kind (a, b)[] to kind (a, b, c)[]",
    ] == differences(app)
    write_revisions(app)
    upgrade(app)
    assert [] == differences(app)


INDEXES = {
    "operator classes": {"postgresql_ops": {"name": "varchar_pattern_ops"}},
    "included columns": {"postgresql_include": ["size"]},
}


OLD = tuple(int(part) for part in re.findall(r"\d+", sa.__version__)[:3]) < (2, 0, 43)


@pytest.mark.slow
@pytest.mark.parametrize("options", INDEXES.values(), ids=INDEXES)
def test_what_only_an_index_of_postgresql_has_is_noticed(make_app, postgres_url, notes, options):
    """Alembic does not compare it."""
    if OLD and "postgresql_ops" in options:
        pytest.skip("SQLAlchemy does not read operator classes before 2.0.43")

    def assemble(**options):
        table = arguments(sa.Index("ix", "name", **options))
        notes.without_models().model("notes", size=number(), name=text(), **table)
        return make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    app = assemble()
    write_revisions(app)
    upgrade(app)

    app = assemble(**options)
    assert ["remove index ix of notes", "add index ix of notes"] == differences(app)
    write_revisions(app)
    upgrade(app)
    assert [] == differences(app)
    downgrade(app)
    upgrade(app)
    assert [] == differences(app)


def test_a_changed_type_is_told_as_the_database_has_it(make_app, postgres_url, notes):
    """Not as the type of SQLAlchemy that has a variant for it."""

    def assemble(form, *, zone):
        columns = {"form": mapped_column(form), "at": mapped_column(sa.DateTime(timezone=zone))}
        notes.without_models().model("notes", **columns)
        return make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    app = assemble(sa.JSON(), zone=False)
    write_revisions(app)
    upgrade(app)

    app = assemble(sa.JSON().with_variant(JSONB(), "postgresql"), zone=True)
    assert [
        "modify type of notes.form from JSON to JSONB",
        "modify type of notes.at from TIMESTAMP WITHOUT TIME ZONE to TIMESTAMP WITH TIME ZONE",
    ] == differences(app)


def test_a_generated_column_is_compared_and_written_by_hand(assemble, notes, cli):
    """No database changes the expression of a column in place."""

    def twice(factor):
        notes.without_models()
        notes.model("notes", twice=number_of(f"id * {factor}"))
        return assemble(notes)

    def number_of(expression):
        return mapped_column(sa.Integer, sa.Computed(expression, persisted=True))

    app = twice(2)
    write_revisions(app)
    upgrade(app)
    assert [] == differences(app)

    app = twice(3)
    (found,) = differences(app)
    assert found.startswith("modify generated column notes.twice from ")
    result = cli("db", "migrate", app=app)
    assert "notes: to be written by hand: modify generated column notes.twice" in result.output


def test_what_cannot_be_compared_is_said(make_app, postgres_url, notes, cli):
    """Here the default of the model calls a function that the database does not have."""
    notes.model("notes", size=number(server_default="1"))
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    write_revisions(app)
    upgrade(app)
    notes.without_models().model("notes", size=number(server_default=sa.text("unheard_of()")))
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    result = cli("db", "check", app=app)

    assert (
        "notes: not compared: server defaults, CHECK constraints and conditions of indexes of "
        "notes: the database cannot create the table of the model: function unheard_of() does not "
        "exist"
    ) in result.output
    assert 0 == result.exit_code


COLLATIONS = {
    "of all databases": sa.String(10, collation="C").with_variant(
        sa.String(10, collation="NOCASE"), "sqlite"
    ),
    "of one": sa.String(10).with_variant(sa.String(10, collation="C"), "postgresql"),
}


@pytest.mark.parametrize("collated", COLLATIONS.values(), ids=COLLATIONS)
def test_what_is_never_compared_is_said(assemble, notes, cli, collated):
    """SQLAlchemy does not read collations, and no revision creates a sequence."""
    numbered = mapped_column(sa.Integer, sa.Sequence("numbers"))
    notes.model("notes", name=mapped_column(collated), size=numbered)
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)

    result = cli("db", "check", app=app)

    assert (
        "notes: not compared: the collation of notes.name\n"
        "notes: not compared: the sequence numbers of notes.size\n"
        "The models and the database agree.\n"
    ) == result.output


def test_whether_a_unique_key_is_deferrable_is_never_compared(make_app, postgres_url, notes, cli):
    """SQLAlchemy does not read it, and SQLite does not have it."""
    unique = sa.UniqueConstraint("size", name="once", deferrable=True)
    notes.model("notes", size=number(), **arguments(unique))
    app = make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)
    write_revisions(app)
    upgrade(app)

    result = cli("db", "check", app=app)

    assert (
        "notes: not compared: whether once of notes is deferrable\n"
        "The models and the database agree.\n" == result.output
    )


def test_what_means_the_same_is_no_difference(assemble, notes):
    """Whatever the database makes of it, and whatever a constraint is called."""
    notes.model(
        "notes",
        __table_args__=(
            sa.CheckConstraint("size IN (1, 2)", name="either"),
            sa.CheckConstraint("name <> ''", name="named"),
            sa.Index("ix", "size", postgresql_where=sa.text("size>0")),
        ),
        size=number(server_default="1"),
        name=text(server_default=""),
        flag=mapped_column(sa.Boolean, server_default=sa.true()),
        at=mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now()),
        day=mapped_column(sa.Date, server_default=sa.text("CURRENT_DATE")),
        price=mapped_column(sa.Numeric(10, 2), server_default="0"),
        form=mapped_column(sa.JSON, server_default='{"a": 1}'),
    )
    notes.write(
        1,
        """\
        op.create_table(
            "notes",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("size", sa.Integer(), server_default=sa.text("(1)")),
            sa.Column("name", sa.String(10), server_default=sa.text("''")),
            sa.Column("flag", sa.Boolean(), server_default=sa.true()),
            sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now()),
            sa.Column("day", sa.Date(), server_default=sa.text("current_date")),
            sa.Column("price", sa.Numeric(10, 2), server_default=sa.text("0")),
            sa.Column("form", sa.JSON(), server_default='{"a": 1}'),
            sa.Column("created_at", sa.DateTime(), server_default=sa.func.current_timestamp()),
            sa.Column("updated_at", sa.DateTime(), server_default=sa.func.current_timestamp()),
            sa.CheckConstraint("size in (1,2)", name="another_name"),
            sa.CheckConstraint("(name <> '')", name="ck_notes_named"),
            sqlite_autoincrement=True,
        )
        op.create_index("ix", "notes", ["size"], postgresql_where=sa.text("(size > 0)"))
        """,
    )
    app = assemble(notes)
    upgrade(app)

    assert [] == differences(app)


@pytest.mark.parametrize("is_native", [True, False])
def test_values_that_are_a_text_are_said_not_to_be_compared(
    assemble, notes, cli, database_url, is_native
):
    """A database that stores them as a text takes any; PostgreSQL's own types are compared."""
    notes.model("notes", kind=mapped_column(sa.Enum("a", "b", name="kind", native_enum=is_native)))
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)

    is_compared = is_native and database_url.startswith("postgresql")
    told = "not compared: the values of the Enum notes.kind, a text in this database"
    assert is_compared is not (told in cli("db", "check", app=app).output)
    assert is_compared is not (told in cli("db", "migrate", app=app).output)


def test_an_identity_is_no_difference_where_the_database_has_none(assemble, notes, cli):
    """Else each `db migrate` on SQLite would write one more revision that changes nothing."""
    notes.model("notes", size=mapped_column(sa.Integer, sa.Identity()))
    app = assemble(notes)
    write_revisions(app)
    upgrade(app)

    assert "The models and the database agree.\n" in cli("db", "check", app=app).output
    assert () == write_revisions(app)


def test_a_generated_column_in_place_of_an_identity_is_noticed(make_app, postgres_url, notes):
    def assemble(generated):
        notes.without_models()
        notes.model("notes", size=mapped_column(sa.Integer, generated, nullable=False))
        return make_app(plugins=[notes], upgrade=False, DATABASE_URL=postgres_url)

    app = assemble(sa.Identity())
    write_revisions(app)
    upgrade(app)

    app = assemble(sa.Computed("id * 2", persisted=True))
    assert ["modify generated column notes.size from identity to (id * 2)"] == differences(app)
