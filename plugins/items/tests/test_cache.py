"""The one look-up of items: it is cached, and whatever writes is seen."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, insert, text, update
from sqlalchemy.dialects import postgresql, sqlite

import pegboard
from pegboard.testing.fixtures import Clock
from pegboard.testing.services import run_pegboard
from pegboard_items import Item
from pegboard_items.models import table

Write = Callable[[int], object]


@pytest.fixture
def app(make_app: Any, database_url: str) -> Flask:
    """An app with items and a cache in memory, on SQLite and on PostgreSQL."""
    app: Flask = make_app(
        plugins=["items"], DATABASE_URL=database_url, CACHE="memory", CACHE_STATUS_HEADER=True
    )
    return app


def told(response: Any) -> str:
    """How the answer came about."""
    status: str = response.headers["Cache-Status"].removeprefix("pegboard; ")
    return status


@pytest.fixture
def cached(client, create) -> Callable[[], str]:
    """Make an item whose answer is cached; returns its URL."""

    def make() -> str:
        url = f"/api/items/{create()['id']}"
        client.get(url)
        assert "hit" == told(client.get(url))
        return url

    return make


def test_a_cached_answer_refuses_an_unknown_parameter_as_the_view_does(client, cached):
    """No answer from the cache passes the check of the query by; writes are refused, too."""
    url = cached()
    first = client.get(f"{url}?foo=1")
    assert (422, ["foo"]) == (first.status_code, list(first.json["errors"]))
    assert 422 == client.put(f"{url}?foo=1", json={"name": "Saw"}).status_code
    assert 422 == client.delete(f"{url}?foo=1").status_code
    assert 422 == client.post("/api/items/?foo=1", json={"name": "Saw"}).status_code
    assert "Hammer" == client.get(f"{url}?").json["name"]
    assert "hit" == told(client.get(url))


def orm_update(number: int) -> None:
    """As a view or a shell does it."""
    pegboard.db.session.get_one(Item, number).name = "Saw"
    pegboard.db.session.commit()


def bulk_update(number: int) -> None:
    """As a plugin may do it for many rows."""
    pegboard.db.session.execute(update(Item).values(name="Saw"))
    pegboard.db.session.commit()


def core_update(number: int) -> None:
    """Past all sessions."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(update(table).where(table.c.id == number).values(name="Saw"))


def text_update(number: int) -> None:
    """As SQL."""
    pegboard.db.session.execute(text("UPDATE items SET name = 'Saw'"))
    pegboard.db.session.commit()


def driver_update(number: int) -> None:
    """As SQL for the driver."""
    with pegboard.db.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE items SET name = 'Saw' WHERE id = {number}")  # noqa: S608 - a number


def upsert(number: int) -> None:
    """Insert or update."""
    dialect: Any = sqlite if pegboard.db.engine.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(Item).values(id=number, name="Saw")
    with pegboard.db.engine.begin() as connection:
        changing = statement.on_conflict_do_update(index_elements=[Item.id], set_={"name": "Saw"})
        connection.execute(changing)


def autocommit(number: int) -> None:
    """Without a transaction."""
    with pegboard.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(update(table).where(table.c.id == number).values(name="Saw"))


def replace(number: int) -> None:
    """Delete a row and insert another of its number."""
    with pegboard.db.session.begin_nested():
        pegboard.db.session.execute(delete(Item).where(Item.id == number))
    pegboard.db.session.execute(insert(Item).values(id=number, name="Saw"))
    pegboard.db.session.commit()


WRITES = [
    *(orm_update, bulk_update, core_update, text_update),
    *(driver_update, upsert, autocommit, replace),
]


@pytest.mark.parametrize("write", WRITES)
def test_whatever_writes_is_seen_by_the_next_reader(
    app: Flask, client: Any, cached: Any, write: Write
) -> None:
    """Without any code for it; and a reader that began before the write stores no old value."""
    url = cached()
    with app.app_context():
        write(int(url.rpartition("/")[2]))
    response = client.get(url)
    assert ("Saw", "fwd=miss; stored") == (response.json["name"], told(response))
    assert "hit" == told(client.get(url))


@pytest.mark.parametrize("method, expected", [("PUT", 200), ("DELETE", 404)])
def test_a_write_by_the_api_is_seen(client: Any, cached: Any, method: str, expected: int) -> None:
    """By the very next request, and answered with the new ETag."""
    url, other = cached(), cached()
    written = client.open(url, method=method, json={"name": "Saw"})
    read = client.get(url)
    assert expected == read.status_code
    assert written.headers.get("ETag") == read.headers.get("ETag")
    assert 200 == client.get(other).status_code


def test_what_was_rolled_back_was_never_there(app: Flask, client: Any, cached: Any) -> None:
    """The cached answer stays."""
    url = cached()
    with app.app_context():
        pegboard.db.session.execute(update(Item).values(name="Saw"))
        pegboard.db.session.rollback()
    assert "hit" == told(client.get(url))


def test_an_item_that_is_not_there_is_not_cached(client: Any) -> None:
    """Nor are ids that no item can have."""
    for url in ("/api/items/999", "/api/items/0", f"/api/items/{2**31}"):
        for _ in range(2):
            assert 404 == client.get(url).status_code


def test_a_hit_costs_no_statement(client: Any, cached: Any, sql: Any) -> None:
    """Whatever the condition of the request."""
    url = cached()
    etag = client.get(url).headers["ETag"]
    with sql() as sent:
        assert 200 == client.get(url).status_code
        assert 200 == client.head(url).status_code
        assert 304 == client.get(url, headers={"If-None-Match": etag}).status_code
        assert 412 == client.get(url, headers={"If-Match": '"x"'}).status_code
    assert [] == sent


def test_an_answer_is_kept_for_300_seconds(client: Any, cached: Any, clock: Clock) -> None:
    """For other programs that write the table, which Pegboard cannot see."""
    url = cached()
    clock.advance(299)
    assert "hit" == told(client.get(url))
    clock.advance(2)
    assert "fwd=miss; stored" == told(client.get(url))


# Other processes


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str) -> Callable[..., Any]:
    """Run a command in a process of its own, on the database of `shared`."""

    def run(*arguments: str) -> Any:
        settings = {"PEGBOARD_ENV": "development", "PEGBOARD_PLUGINS": "items"}
        done = run_pegboard(*arguments, directory=tmp_path, DATABASE_URL=sqlite_url, **settings)
        assert 0 == done.returncode, done.stdout
        return done

    return run


@pytest.fixture
def shared(make_app: Any, sqlite_url: str) -> Any:
    """A client of an app on a file that other processes write."""
    return make_app(
        plugins=["items"], DATABASE_URL=sqlite_url, CACHE_STATUS_HEADER=True
    ).test_client()


@pytest.mark.slow
def test_a_command_in_another_process_is_seen(
    shared: Any, run: Callable[..., Any], tmp_path: Path
) -> None:
    """An import, in a cache that knows nothing of it but the file's version."""
    (tmp_path / "items.jsonl").write_text(json.dumps({"name": "Saw"}) + "\n", encoding="utf-8")
    shared.post("/api/items/", json={"name": "Hammer"})
    shared.get("/api/items/1")
    assert "hit" == told(shared.get("/api/items/1"))
    run("items", "import", "items.jsonl")
    assert "fwd=miss; stored" == told(shared.get("/api/items/1"))
    assert "Saw" == shared.get("/api/items/2").json["name"]


@pytest.mark.slow
def test_a_write_of_another_program_is_seen(shared: Any, tmp_path: Path) -> None:
    """It need not be Pegboard's at all."""
    shared.post("/api/items/", json={"name": "Hammer"})
    shared.get("/api/items/1")
    code = (
        "import sqlite3; connection = sqlite3.connect('pegboard.db');"
        "connection.execute(\"UPDATE items SET name = 'Saw'\"); connection.commit()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert "Saw" == shared.get("/api/items/1").json["name"]
