"""The hooks of an item's life, on both databases."""

import logging
from typing import Any

import pytest
from marshmallow import ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session, load_only

import pegboard
from pegboard import db
from pegboard_items import Change, Item, Kind
from pegboard_items.models import table


class Listener:
    """A plugin that takes part in an item's life."""

    def __init__(self, name: str = "listener") -> None:
        self.name = name
        self.asked: list[tuple[str, str]] = []
        self.told: list[list[tuple[str, int, str, str | None]]] = []
        self.refuse: Exception | None = None
        self.fail = False
        self.rename: str | None = None

    @pegboard.hookimpl
    def pegboard_items_before_write(self, change: Change) -> None:
        """Note it; refuse or rename if told so."""
        self.asked.append((change.kind, change.item.name))
        if self.rename:
            change.item.name = self.rename
        if self.refuse:
            raise self.refuse

    @pegboard.hookimpl
    def pegboard_items_after_commit(self, changes: Any) -> None:
        """Note them, and fail if told so."""
        self.told.append(
            [(one.kind, one.item.id, one.item.name, one.item.description) for one in changes]
        )
        if self.fail:
            message = "the listener is broken"
            raise RuntimeError(message)


@pytest.fixture
def listener() -> Listener:
    """A plugin that listens."""
    return Listener()


@pytest.fixture
def app(make_app, database_url, listener):
    """An app with items and the listener."""
    return make_app(plugins=["items", listener], DATABASE_URL=database_url)


def test_the_api_asks_before_and_tells_after(client, listener):
    """Each write of each kind."""
    client.post("/api/items/", json={"name": "Hammer", "description": "x"})
    client.put("/api/items/1", json={"name": "Saw", "description": "x"})
    client.put("/api/items/1", json={"name": "Saw", "description": "x"})
    client.delete("/api/items/1")

    assert [("created", "Hammer"), ("updated", "Saw"), ("deleted", "Saw")] == listener.asked
    assert [
        [("created", 1, "Hammer", "x")],
        [("updated", 1, "Saw", "x")],
        [("deleted", 1, "Saw", "x")],
    ] == listener.told


def test_reads_and_refused_requests_call_no_hook(client, listener):
    """Nothing is asked where nothing is written."""
    client.get("/api/items/")
    client.get("/api/items/1")
    client.post("/api/items/", json={"name": ""})
    client.delete("/api/items/1")

    assert ([], []) == (listener.asked, listener.told)


def test_a_listener_may_refuse(client, listener, read_rows):
    """By `abort` with its own status; nothing is written, and no commit is announced."""

    def refuse() -> None:
        pegboard.abort(409, "The anvil stays.")

    try:
        refuse()
    except Exception as error:  # noqa: BLE001 - whatever abort raises
        listener.refuse = error
    response = client.post("/api/items/", json={"name": "Anvil"})

    assert (409, "The anvil stays.") == (response.status_code, response.json["message"])
    assert [] == read_rows()
    assert [] == listener.told


def test_a_listener_may_find_a_field_invalid(client, listener, create, read_rows):
    """A ValidationError is 422 with the errors by field."""
    create("Hammer")
    listener.refuse = ValidationError({"name": ["Too heavy."]})

    response = client.put("/api/items/1", json={"name": "Anvil"})

    assert 422 == response.status_code
    assert {"name": ["Too heavy."]} == response.json["errors"]
    assert ["Hammer"] == [row["name"] for row in read_rows()]


def test_a_listener_may_change_the_item(client, listener):
    """What it says is what is written, shown and told."""
    listener.rename = "Renamed"

    response = client.post("/api/items/", json={"name": "Hammer"})

    assert "Renamed" == response.json["name"]
    assert "Renamed" == client.get("/api/items/1").json["name"]
    assert "Renamed" == listener.told[0][0][2]


def test_a_broken_listener_does_not_undo_what_is_done(client, listener, caplog):
    """The write is acknowledged; the error is logged with the plugin's name."""
    listener.fail = True

    response = client.post("/api/items/", json={"name": "Hammer"})

    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert ["plugin listener failed in pegboard_items_after_commit"] == errors
    assert 201 == response.status_code
    assert 200 == client.get("/api/items/1").status_code


def test_all_are_told_although_one_is_broken(make_app, database_url):
    """Whatever the order of the plugins."""
    listeners = [Listener(name) for name in ("first", "second", "third")]
    listeners[1].fail = True
    app = make_app(plugins=["items", *listeners], DATABASE_URL=database_url)

    app.test_client().post("/api/items/", json={"name": "Hammer"})

    assert [1, 1, 1] == [len(listener.told) for listener in listeners]


def test_what_another_program_of_the_app_writes_counts_too(app, listener):
    """One call for all changes of one commit, in the order of the writes."""
    with app.app_context():
        hammer, saw = Item(name="Hammer"), Item(name="Saw")
        db.session.add_all([hammer, saw])
        db.session.flush()
        saw.name = "Big saw"
        db.session.delete(hammer)
        db.session.commit()

    assert [
        [
            (Kind.CREATED, 1, "Hammer", None),
            (Kind.CREATED, 2, "Saw", None),
            (Kind.UPDATED, 2, "Big saw", None),
            (Kind.DELETED, 1, "Hammer", None),
        ]
    ] == listener.told


def test_any_session_counts_in_the_context_of_the_app(app, listener):
    """Also one that a program made by itself; outside of an app no hook is called."""
    with app.app_context():
        engine = db.engine
        with Session(engine) as session, session.begin():
            session.add(Item(name="Hammer"))
    with Session(engine) as session, session.begin():
        session.add(Item(name="Saw"))

    assert [("created", "Hammer")] == listener.asked
    assert [[(Kind.CREATED, 1, "Hammer", None)]] == listener.told


def test_nobody_is_told_of_what_is_rolled_back(app, listener):
    """Not at the rollback, nor with the next commit of the same session."""
    with app.app_context():
        db.session.add(Item(name="Hammer"))
        db.session.flush()
        db.session.rollback()
        db.session.add(Item(name="Saw"))
        db.session.flush()
        db.session.close()
        db.session.add(Item(name="Plane"))
        db.session.commit()

    assert [["Plane"]] == [[name for _, _, name, _ in told] for told in listener.told]
    assert 3 == len(listener.asked)


def test_savepoints_count_when_they_are_kept(app, listener):
    """What a savepoint's rollback undoes is not told; the rest waits for the commit."""
    with app.app_context():
        db.session.add(Item(name="outer"))
        with db.session.begin_nested():
            db.session.add(Item(name="kept"))
            with db.session.begin_nested():
                db.session.add(Item(name="kept, too"))
        lost = db.session.begin_nested()
        db.session.add(Item(name="lost"))
        with db.session.begin_nested():
            db.session.add(Item(name="lost with it"))
        lost.rollback()
        db.session.add(Item(name="last"))
        assert [] == listener.told
        db.session.commit()

    names = [name for told in listener.told for _, _, name, _ in told]
    assert ["outer", "kept", "kept, too", "last"] == names


def test_a_listener_may_write_items_itself(make_app, database_url):
    """They are asked about in turn, and may be told about while the database is at hand."""
    asked: list[str] = []
    found: list[str] = []

    class Writer:
        name = "writer"

        @pegboard.hookimpl
        def pegboard_items_before_write(self, change: Change) -> None:
            asked.append(change.item.name)
            if change.item.name == "Hammer":
                db.session.add(Item(name="Nail"))

        @pegboard.hookimpl
        def pegboard_items_after_commit(self, changes: Any) -> None:
            found.extend(db.session.get_one(Item, one.item.id).name for one in changes)

    app = make_app(plugins=["items", Writer()], DATABASE_URL=database_url)

    response = app.test_client().post("/api/items/", json={"name": "Hammer"})

    assert 201 == response.status_code
    assert ["Hammer", "Nail"] == asked
    assert ["Hammer", "Nail"] == sorted(found)


def test_a_plugin_may_write_after_a_commit_in_a_transaction_of_its_own(make_app, database_url):
    """It commits by itself: the write that it is told of is over."""

    class Echo:
        name = "echo"

        @pegboard.hookimpl
        @pegboard.transactional
        def pegboard_items_after_commit(self, changes: Any) -> None:
            for change in changes:
                if len(change.item.name) < 10:
                    db.session.add(Item(name=change.item.name * 2))

    app = make_app(plugins=["items", Echo()], DATABASE_URL=database_url)

    response = app.test_client().post("/api/items/", json={"name": "echo"})

    assert (201, "echo") == (response.status_code, response.json["name"])
    with app.app_context():
        rows = db.session.execute(table.select().order_by(table.columns.id)).all()
    assert ["echo", "echoecho", "echoecho" * 2] == [row.name for row in rows]


def test_an_item_that_was_not_loaded_is_told_whole(app, listener, create):
    """Although its session had forgotten it."""
    create("Hammer", description="For nails.")
    with app.app_context():
        item = db.session.get_one(Item, 1)
        db.session.commit()
        item.name = "Saw"
        db.session.commit()

    assert [(Kind.UPDATED, 1, "Saw", "For nails.")] == listener.told[-1]


def test_an_item_that_nobody_looked_at_is_told_whole(make_app, database_url):
    """It is loaded before the write; afterwards would be too late."""
    told: list[tuple[str, str, str | None]] = []

    class Reader:
        name = "reader"

        @pegboard.hookimpl
        def pegboard_items_after_commit(self, changes: Any) -> None:
            told.extend((one.kind, one.item.name, one.item.description) for one in changes)

    app = make_app(plugins=["items", Reader()], DATABASE_URL=database_url)
    with app.app_context():
        item = Item(name="Hammer", description="For nails.")
        db.session.add(item)
        db.session.commit()
        db.session.expunge_all()
        item = db.session.scalars(select(Item).options(load_only(Item.name))).one()
        item.name = "Saw"
        db.session.commit()
        db.session.delete(item)
        db.session.commit()

    assert [
        ("created", "Hammer", "For nails."),
        ("updated", "Saw", "For nails."),
        ("deleted", "Saw", "For nails."),
    ] == told


def test_copies_belong_to_no_session(make_app, database_url):
    """They can be kept, and written to without effect."""
    kept = []

    class Keeper:
        name = "keeper"

        @pegboard.hookimpl
        def pegboard_items_after_commit(self, changes: Any) -> None:
            kept.extend(changes)
            kept[-1].item.name = "Scribbled"

    app = make_app(plugins=["items", Keeper()], DATABASE_URL=database_url)
    client = app.test_client()
    client.post("/api/items/", json={"name": "Hammer"})

    assert "Scribbled" == kept[0].item.name
    assert kept[0].item.created_at is not None
    assert "Hammer" == client.get("/api/items/1").json["name"]


def test_statements_on_many_rows_pass_by(app, listener, create):
    """As hookspecs.py says."""
    create("Hammer")
    with app.app_context():
        db.session.execute(update(Item).values(name="Saw"))
        db.session.commit()

    assert 1 == len(listener.told)


@pytest.mark.slow
def test_two_apps_do_not_hear_of_each_other(make_app):
    """Each has its listeners; one may have none."""
    listeners = Listener(), Listener()
    apps = [make_app(plugins=["items", listener]) for listener in listeners]
    deaf = make_app(plugins=["items"])

    for app in (*apps, deaf):
        app.test_client().post("/api/items/", json={"name": "Hammer"})

    assert [1, 1] == [len(listener.told) for listener in listeners]
    assert [1, 1] == [len(listener.asked) for listener in listeners]


def test_a_plugin_with_only_before_write_costs_no_record(make_app, database_url):
    """Nothing is kept for a commit if no plugin implements the hook."""
    asked = []

    class Guard:
        name = "guard"

        @pegboard.hookimpl
        def pegboard_items_before_write(self, change: Change) -> None:
            asked.append(change.kind)

    app = make_app(plugins=["items", Guard()], DATABASE_URL=database_url)
    with app.app_context():
        db.session.add(Item(name="Hammer"))
        db.session.flush()
        assert not [key for key in db.session().info if "items" in str(key)]
        db.session.commit()

    assert [Kind.CREATED] == asked
