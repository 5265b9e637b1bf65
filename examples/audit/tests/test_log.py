"""What is in the log: all that is written, and only what is committed."""

import pytest
from sqlalchemy import ForeignKey, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.exceptions import HTTPException

import pegboard
from pegboard.resources import Kind
from pegboard_audit.models import Entry
from pegboard_items import Item


def test_each_write_is_logged_with_who_what_and_when(client, bob, logged):
    """Before and after: all of a new or deleted row, of a changed one what was changed."""
    made = bob.post("/api/items/", json={"name": "Hammer"}).get_json()
    client.patch("/api/items/1", json={"name": "Anvil"})
    client.delete("/api/items/1")
    created, updated, deleted = logged()
    assert ("user:bob", "created", "items", "1") == tuple(
        created[name] for name in ("who", "kind", "table", "key")
    )
    assert made["created_at"][:16] == created["at"][:16]
    assert (None, "Hammer") == (created["before"], created["after"]["name"])
    assert made["created_at"] == created["after"]["created_at"]
    assert ("user:ada", "updated") == (updated["who"], updated["kind"])
    assert ({"name": "Hammer"}, {"name": "Anvil"}) == (updated["before"], updated["after"])
    assert ("deleted", None) == (deleted["kind"], deleted["after"])
    assert "Anvil" == deleted["before"]["name"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_logs_what_could_be_answered_without_flask(make_app, plugins, database_url):
    """A listener keeps the writes of a model from the fast path, so none is missed."""
    app = make_app(plugins=plugins, DATABASE_URL=database_url, AUDIT_READERS=("127.0.0.1",))
    client = app.test_client()
    client.post("/api/items/", json={"name": "Hammer"})
    client.put("/api/items/1", json={"name": "Anvil"})
    client.delete("/api/items/1")
    assert ["created", "updated", "deleted"] == [
        one["kind"] for one in client.get("/api/audit/").get_json()
    ]


def test_a_write_that_is_rolled_back_leaves_no_entry(app, client, logged):
    """Neither one that a row of the same request refuses, nor one of a savepoint."""
    client.post("/api/items/bulk", json=[{"name": "Hammer"}, {"name": ""}])
    with app.app_context():
        pegboard.db.session.add(Item(name="Gone"))
        pegboard.db.session.flush()
        pegboard.db.session.rollback()
        pegboard.db.session.add(Item(name="Kept"))
        with pegboard.db.session.begin_nested() as savepoint:
            pegboard.db.session.add(Item(name="Gone"))
            pegboard.db.session.flush()
            savepoint.rollback()
        pegboard.db.session.commit()
    assert ["Kept"] == [one["after"]["name"] for one in logged()]


def test_a_refused_write_leaves_no_entry(client, logged):
    """Of a stale tag, of a row that is not there."""
    client.post("/api/items/", json={"name": "Hammer"})
    assert 412 == client.delete("/api/items/1", headers={"If-Match": '"stale"'}).status_code
    assert 404 == client.delete("/api/items/2").status_code
    assert ["created"] == [one["kind"] for one in logged()]


def test_rows_at_once_and_imported_rows_are_logged(app, client, cli, logged, tmp_path):
    """Each row; a command stands for the client."""
    client.post("/api/items/bulk", json=[{"name": "Hammer"}, {"name": "Anvil"}])
    file = tmp_path / "items.csv"
    file.write_text("name\nSaw\nAxe\n")
    assert 0 == cli("items", "import", str(file)).exit_code
    assert [("1", "Hammer"), ("2", "Anvil"), ("3", "Saw"), ("4", "Axe")] == [
        (one["key"], one["after"]["name"]) for one in logged()
    ]
    assert ["user:ada"] * 2 + ["command:pegboard items import"] * 2 == [
        one["who"] for one in logged()
    ]


def test_a_statement_on_a_model_is_one_entry(app, logged):
    """Which rows it has written is not known; one that has written none leaves no entry."""
    with app.app_context():
        pegboard.db.session.add(Item(name="Hammer"))
        pegboard.db.session.flush()
        pegboard.db.session.execute(update(Item).values(name="Anvil"))
        pegboard.db.session.commit()
        pegboard.db.session.execute(update(Item).where(Item.id == -1).values(name="Nobody"))
        pegboard.db.session.commit()
    (entry,) = logged(kind=Kind.MANY)
    assert ("items", None, None) == (entry["table"], entry["key"], entry["after"])


def test_a_write_fails_whose_entry_cannot_be_written(app, client):
    """An error, and no row; with the table back, all is as before."""
    with app.app_context():
        pegboard.db.session.execute(pegboard.db.text("ALTER TABLE audit_entries RENAME TO gone"))
        pegboard.db.session.commit()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    refused = client.post("/api/items/", json={"name": "Hammer"})
    assert {"status": 500} == {"status": refused.get_json()["status"]}
    assert [] == client.get("/api/items/").get_json()
    with app.app_context():
        pegboard.db.session.execute(pegboard.db.text("ALTER TABLE gone RENAME TO audit_entries"))
        pegboard.db.session.commit()
    assert 201 == client.post("/api/items/", json={"name": "Hammer"}).status_code


def test_values_of_hidden_columns_are_not_kept(make_app, plugins):
    """That they were written is."""
    app = make_app(plugins=plugins, AUDIT_HIDDEN=("items.name",), AUDIT_READERS=("127.0.0.1",))
    client = app.test_client()
    client.post("/api/items/", json={"name": "Hammer", "description": "Heavy"})
    client.patch("/api/items/1", json={"name": "Anvil"})
    created, updated = client.get("/api/audit/").get_json()
    assert ("hidden", "Heavy") == (created["after"]["name"], created["after"]["description"])
    assert ({"name": "hidden"}, {"name": "hidden"}) == (updated["before"], updated["after"])


class People(pegboard.Model, DeclarativeBase):
    """The base of models of which one inherits from another, each with a table."""


class Person(People):
    """The class at the root."""

    __tablename__ = "people"

    kind: Mapped[str]
    password: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Employee(Person):
    """A class with a table of its own for what it adds."""

    __tablename__ = "employees"

    id: Mapped[int] = mapped_column(ForeignKey(Person.id, onupdate="CASCADE"), primary_key=True)
    salary: Mapped[int]
    note: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "employee"}  # noqa: RUF012


@pytest.mark.parametrize("spelling", ["people.password", "employees.password"])
def test_a_row_of_a_class_that_inherits(make_app, plugins, spelling):
    """Its hidden columns are those of any of its tables; it is filed under that of the root."""
    hidden = (spelling, "employees.salary")
    app = make_app(plugins=plugins, AUDIT_HIDDEN=hidden, AUDIT_READERS=("127.0.0.1",))
    with app.app_context():
        session = pegboard.db.session
        People.metadata.create_all(session.connection())
        employee = Employee(password="old", salary=1, note="new here")
        session.add(employee)
        session.commit()
        employee.password, employee.salary, employee.note = "young", 2, "known"
        session.commit()
        employee.id = 500
        session.commit()
    found = app.test_client().get("/api/audit/?table=people&key=1").get_json()
    created, updated, moved = found
    assert ("hidden", "hidden", "new here") == tuple(
        created["after"][name] for name in ("password", "salary", "note")
    )
    secret = {"password": "hidden", "salary": "hidden"}
    assert {**secret, "note": "new here"} == updated["before"]
    assert {**secret, "note": "known"} == updated["after"]
    assert ({"id": 1}, {"id": 500}) == (moved["before"], moved["after"])


def test_the_log_is_only_added_to(app, client, logged):
    """Not by the API, not by the model, not by a statement on it."""
    client.post("/api/items/", json={"name": "Hammer"})
    assert 405 == client.delete("/api/audit/1").status_code
    with app.app_context():
        session = pegboard.db.session
        for write in (
            lambda: session.execute(update(Entry).values(who="user:eve")),
            lambda: session.delete(session.get(Entry, 1)),
            lambda: setattr(session.get(Entry, 1), "who", "user:eve"),
        ):
            with pytest.raises(HTTPException, match="only ever added to"):  # noqa: PT012 - the flush
                write()
                session.flush()
            session.rollback()
    assert ["user:ada"] == [one["who"] for one in logged()]


CHANGES = {
    "update": "UPDATE audit_entries SET who = 'user:eve'",
    "delete": "DELETE FROM audit_entries WHERE id = 1",
    "replace": "REPLACE INTO audit_entries (id, who, kind, table_name) VALUES (1, 'eve', 'x', 'x')",
    "truncate": "TRUNCATE audit_entries",
}


@pytest.mark.parametrize("kind,others", [("sqlite", {"truncate"}), ("postgresql", {"replace"})])
def test_the_database_refuses_what_no_listener_sees(request, make_app, plugins, kind, others):
    """Statements on the table, of whatever spelling each database has."""
    url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    app = make_app(plugins=plugins, DATABASE_URL=url)
    app.test_client().post("/api/items/", json={"name": "Hammer"})
    with app.app_context():
        session = pegboard.db.session
        for code in (code for name, code in CHANGES.items() if name not in others):
            with pytest.raises(IntegrityError, match="The audit log is only ever added to"):
                session.execute(text(code))
            session.rollback()
        assert ["127.0.0.1"] == session.scalars(text("SELECT who FROM audit_entries")).all()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_entries_cost_one_statement(make_app, plugins, database_url, statement_budget):
    """For one row and for a hundred."""
    client = make_app(plugins=plugins, DATABASE_URL=database_url).test_client()
    client.post("/api/items/", json={"name": "Hammer"})
    for body, path in (
        ({"name": "Anvil"}, "/api/items/"),
        ([{"name": f"Peg {number}"} for number in range(100)], "/api/items/bulk"),
    ):
        with statement_budget(statements=2) as costs:
            assert 201 == client.post(path, json=body).status_code
        assert ["items", "audit_entries"] == [
            statement.partition("INTO ")[2].split()[0] for statement in costs.requests[0].statements
        ]
