"""Totals and whole lists that are cached: right after each write, and not read anew without one."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import ForeignKey, Select, delete, event, func, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column
from werkzeug.test import TestResponse

import pegboard
from pegboard.cache import find_cached_lists, get_cache
from pegboard.resources import CRUD, Comparison, Filter, Line, Operation, ResourceError
from pegboard.testing.fixtures import MakeApp

ALL = "/api/notes/?page_size=1"
RED = "/api/notes/?color=red&page_size=2"


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Note(Base):
    """A note with a color."""

    __tablename__ = "notes"

    color: Mapped[str]


class Word(Base):
    """A part of a note."""

    __tablename__ = "words"

    note_id: Mapped[int | None] = mapped_column(ForeignKey(Note.id, ondelete="CASCADE"))


class Counted(Base):
    """A note that also says how many words it has."""

    __table__ = Note.__table__
    words = column_property(
        select(func.count())
        .select_from(Word)
        .where(Word.note_id == Note.__table__.c.id)
        .scalar_subquery()
    )


class NoteSchema(Schema):
    """A note."""

    id = fields.Integer(dump_only=True)
    color = Line(required=True)


class Own(pegboard.Resource[Note]):
    """Notes of which each client sees others."""

    def rows(self) -> Select[tuple[Note]]:
        """The green ones."""
        return super().rows().where(Note.color == "green")


def declare(kind: Any = pegboard.Resource, model: Any = Note, **options: Any) -> Any:
    """A resource of notes."""
    options = {
        "noun": "note",
        "operations": CRUD | {Operation.BULK_CREATE},
        "filters": [Filter(Note.color)],
        "search": [Note.color] if model is Note else [],
        "ttl": 300,
        **options,
    }
    return kind("notes", __name__, model, NoteSchema, **options)


Start = Callable[..., FlaskClient]


@pytest.fixture
def start(make_app: MakeApp, database_url: str) -> Start:
    """Start an app with a resource, and with three notes, two of them red."""

    def start(resource: Any = None, **config: Any) -> FlaskClient:
        resource = resource or declare()

        class Plugin:
            name = "notes"

            @pegboard.hookimpl
            def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
                return [resource.blueprint]

        app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, CACHE="memory", **config)
        with app.app_context():
            Base.metadata.create_all(pegboard.db.engine)
            rows = [{"color": color} for color in ("red", "red", "green")]
            pegboard.db.session.execute(insert(Note), rows)
            pegboard.db.session.commit()
        return app.test_client()

    return start


@contextmanager
def counted(client: FlaskClient) -> Iterator[list[str]]:
    """Record the statements that count."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT count("):
            sent.append(statement)

    with client.application.app_context():
        engine = pegboard.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def total(client: FlaskClient, url: str = ALL) -> int:
    """The total of a list."""
    response = client.get(url)
    assert 200 == response.status_code, response.json
    found: int = json.loads(response.headers["X-Pagination"])["total"]
    return found


def test_a_total_is_counted_once_for_all_pages_and_orders(start: Start):
    """And once for each filter with its values; what is searched for is always counted."""
    client = start()
    with counted(client) as statements:
        for url in (ALL, "/api/notes/", "/api/notes/?page=2&sort=-id", RED, RED):
            assert (3 if "color" not in url else 2) == total(client, url)
        assert 2 == len(statements)
        assert 1 == total(client, "/api/notes/?color=green")
        assert 2 == total(client, "/api/notes/?color[ne]=green")
        assert 3 == total(client, "/api/notes/?color[in]=red,green")
        assert 5 == len(statements)
        assert 2 == total(client, "/api/notes/?q=red") == total(client, "/api/notes/?q=red")
        assert 7 == len(statements)


def orm_insert() -> None:
    """As a view does it."""
    pegboard.db.session.add(Note(color="red"))
    pegboard.db.session.commit()


def bulk_insert() -> None:
    """As an import does it."""
    rows = [{"color": "red"}, {"color": "green"}]
    pegboard.db.session.execute(insert(Note), rows)
    pegboard.db.session.commit()


def insert_from_select() -> None:
    """Every row once more."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(insert(Note).from_select(["color"], select(Note.color)))


def text_insert() -> None:
    """Past SQLAlchemy's expressions."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO notes (color, created_at, updated_at) "
                "VALUES ('red', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
            )
        )


def orm_delete() -> None:
    """Of one row by its key."""
    pegboard.db.session.delete(pegboard.db.session.get_one(Note, 1))
    pegboard.db.session.commit()


def bulk_delete() -> None:
    """Of all that are red."""
    with pegboard.db.engine.begin() as connection:
        connection.execute(delete(Note).where(Note.color == "red"))


def orm_update() -> None:
    """Of one row, which another filter then leaves."""
    pegboard.db.session.get_one(Note, 1).color = "green"
    pegboard.db.session.commit()


def bulk_update() -> None:
    """Of all."""
    pegboard.db.session.execute(update(Note).values(color="red"))
    pegboard.db.session.commit()


WRITES = [
    orm_insert,
    bulk_insert,
    insert_from_select,
    text_insert,
    orm_delete,
    bulk_delete,
    orm_update,
    bulk_update,
]


@pytest.mark.parametrize("write", WRITES)
def test_a_total_is_exact_after_a_write(start: Start, write: Callable[[], None]):
    """Whatever wrote."""
    client = start()
    before = total(client), total(client, RED)
    with client.application.app_context():
        write()
        rows = list(pegboard.db.session.scalars(select(Note.color)))
    after = total(client), total(client, RED)
    assert before != after == (len(rows), rows.count("red"))
    with counted(client) as statements:
        assert after == (total(client), total(client, RED))
        assert [] == statements


def test_a_total_is_exact_after_each_operation(start: Start):
    """Of a client."""
    client = start()
    assert (3, 2) == (total(client), total(client, RED))
    client.post("/api/notes/", json={"color": "red"})
    assert (4, 3) == (total(client), total(client, RED))
    client.post("/api/notes/bulk", json=[{"color": "red"}, {"color": "green"}])
    assert (6, 4) == (total(client), total(client, RED))
    client.put("/api/notes/1", json={"color": "green"})
    assert (6, 3) == (total(client), total(client, RED))
    client.delete("/api/notes/2")
    assert (5, 2) == (total(client), total(client, RED))


def test_a_rolled_back_write_leaves_a_total(start: Start):
    """It is not even counted anew."""
    client = start()
    assert 3 == total(client)
    with client.application.app_context():
        pegboard.db.session.add(Note(color="red"))
        pegboard.db.session.flush()
        pegboard.db.session.rollback()
    with counted(client) as statements:
        assert 3 == total(client)
    assert [] == statements


def test_a_filter_by_another_table_depends_on_it(start: Start):
    """Here by a subquery; and rows that the database itself deletes count."""
    filters = [Filter(Counted.words, [Comparison.EQ])]
    client = start(declare(model=Counted, filters=filters))
    assert 3 == total(client, "/api/notes/?words=0")
    with client.application.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(insert(Word), [{"note_id": 1}, {"note_id": 2}])
    assert 1 == total(client, "/api/notes/?words=0")
    assert 2 == total(client, "/api/notes/?words=1")
    with client.application.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(delete(Word).where(Word.note_id == 1))
    assert 2 == total(client, "/api/notes/?words=0")


@pytest.mark.parametrize(
    "resource, expected", [(declare(Own, ttl=None), 1), (declare(ttl=None), 3)], ids=["own", "bare"]
)
def test_what_is_not_cached_is_counted(start: Start, resource: Any, expected: int):
    """Rows that differ from client to client, and a resource that caches nothing."""
    client = start(resource)
    with counted(client) as statements:
        assert [expected] * 2 == [total(client), total(client)]
        assert 2 == len(statements)
    client.post("/api/notes/", json={"color": "green"})
    assert 0 == get_cache(client.application).strategy.stats()["fences"]


def test_a_damaged_total_is_counted(start: Start, monkeypatch: pytest.MonkeyPatch):
    """Whatever the cache holds."""
    client = start()
    strategy = get_cache(client.application).strategy
    monkeypatch.setattr(strategy, "look_up", lambda _: b"many")
    assert 3 == total(client)


# Whole lists


@pytest.fixture
def no_flask(monkeypatch: pytest.MonkeyPatch) -> Callable[[FlaskClient], None]:
    """Let every request fail that reaches Flask."""

    def forbid(client: FlaskClient) -> None:
        def fail(*_: object) -> None:
            pytest.fail("the request has reached Flask")

        monkeypatch.setattr(type(client.application), "request_context", fail)

    return forbid


def how(response: TestResponse) -> str:
    """How an answer came about."""
    return response.headers["Cache-Status"].removeprefix("pegboard; ")


def shown(response: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """What a client gets, but for what is another in each answer."""
    varying = {"X-Request-ID", "Date", "Cache-Status"}
    headers = [(name, value) for name, value in response.headers if name not in varying]
    return response.status_code, sorted(headers), response.data


def lists(**options: Any) -> Any:
    """A resource whose lists are cached."""
    return declare(list_ttl=60, ttl=None, sort=[Note.id, Note.color], **options)


QUERIES = [
    "",
    "?page=2&page_size=1",
    "?color=red&sort=-id",
    "?after=&page_size=1",
    "?color[in]=a,red",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_cached_list_is_given_before_flask(
    start: Start, no_flask: Callable[[FlaskClient], None], query: str
):
    """The same bytes and headers, whatever the order of the parameters; also to HEAD."""
    client = start(lists(), CACHE_STATUS_HEADER=True)
    url = f"/api/notes/{query}"
    first = client.get(url)
    assert (200, "fwd=miss; stored") == (first.status_code, how(first))
    head = client.head(url)
    no_flask(client)
    for one in (url, "/api/notes/?" + "&".join(reversed(query.removeprefix("?").split("&")))):
        again = client.get(one)
        assert "hit" == how(again)
        assert shown(first) == shown(again)
    assert shown(head) == shown(client.head(url))
    unchanged = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (304, b"") == (unchanged.status_code, unchanged.data)


@pytest.mark.parametrize("write", WRITES)
def test_a_list_is_new_after_a_write(start: Start, write: Callable[[], None]):
    """Whatever wrote, and whatever the filter."""
    client = start(lists(), CACHE_STATUS_HEADER=True)
    urls = "/api/notes/", RED, "/api/notes/?after="
    before = [shown(client.get(url)) for url in urls]
    assert before == [shown(client.get(url)) for url in urls]
    with client.application.app_context():
        write()
        rows = [
            {"id": number, "color": color}
            for number, color in pegboard.db.session.execute(
                select(Note.id, Note.color).order_by(Note.id)
            )
        ]
    red = [row for row in rows if row["color"] == "red"]
    after = [client.get(url) for url in urls]
    assert [rows, red[:2], rows] == [one.get_json() for one in after]
    assert ["hit"] * 3 == [how(client.get(url)) for url in urls]


def test_the_tag_of_a_list_changes_with_its_total(start: Start):
    """Although the rows of the page are the same."""
    client = start(lists())
    before = client.get(ALL)
    client.post("/api/notes/", json={"color": "blue"})
    after = client.get(ALL, headers={"If-None-Match": before.headers["ETag"]})
    assert (200, before.data) == (after.status_code, after.data)
    assert '"total":4' in after.headers["X-Pagination"].replace(" ", "")


@pytest.mark.parametrize("query", ["?q=red", "?page=1&q=red", "?%71=red"])
def test_what_is_searched_for_is_not_cached(start: Start, query: str):
    """However the parameter is written."""
    client = start(lists(), CACHE_STATUS_HEADER=True)
    found = [how(client.get(f"/api/notes/{query}")) for _ in range(2)]
    assert ["fwd=bypass; detail=query"] * 2 == found


def test_an_invalid_query_is_refused_beside_a_cached_list(start: Start):
    """Each time."""
    client = start(lists())
    for _ in range(2):
        assert 200 == client.get("/api/notes/").status_code
        assert 422 == client.get("/api/notes/?nonsense=1").status_code
        assert 422 == client.get("/api/notes/?page=1&page=1").status_code


def test_a_file_is_not_a_cached_list(start: Start):
    """Nor is a list given to those who want a file."""
    client = start(lists(export=True), CACHE_STATUS_HEADER=True)
    for expected in ("fwd=miss; stored", "hit"):
        response = client.get("/api/notes/")
        assert expected == how(response)
        assert "Accept" in response.vary
        file = client.get("/api/notes/", headers={"Accept": "text/CSV"})
        assert ("text/csv", b"id,color") == (file.mimetype, file.data[:8])
        assert "application/json" == client.get("/api/notes/").mimetype


def test_a_total_on_request_is_not_a_cached_list(start: Start):
    """Nor is a list without one given to those who ask."""
    client = start(lists(), RESOURCES_TOTAL="request", CACHE_STATUS_HEADER=True)
    for expected in ("fwd=miss; stored", "hit"):
        assert expected == how(response := client.get("/api/notes/"))
        assert "total" not in response.headers["X-Pagination"]
        asked = client.get("/api/notes/", headers={"Prefer": "count=exact"})
        assert "total" in asked.headers["X-Pagination"]


def test_each_path_prefix_has_lists_of_its_own(start: Start):
    """As they have links with it."""
    client = start(lists(), CACHE_STATUS_HEADER=True)
    for expected in ("fwd=miss; stored", "hit"):
        for prefix in ("", "/shop", "/other"):
            response = client.get("/api/notes/", environ_overrides={"SCRIPT_NAME": prefix})
            assert expected == how(response)
            assert f"<{prefix}/api/notes/?" in response.headers["Link"]


@pytest.mark.parametrize("depends", [[Word], [Word.__table__], Word.note_id, [Word.note_id]])
def test_a_list_depends_on_what_is_declared(start: Start, depends: Any):
    """A model, a table, or a foreign key, whose writes invalidate all lists."""
    client = start(lists(depends=depends), CACHE_STATUS_HEADER=True)
    client.get("/api/notes/")
    with client.application.app_context():
        pegboard.db.session.add(Word(note_id=1))
        pegboard.db.session.commit()
    assert "fwd=miss; stored" == how(client.get("/api/notes/"))
    assert "hit" == how(client.get("/api/notes/"))


class Guarded(pegboard.Resource[Note]):
    """Notes that not everybody may read."""

    def permit_read(self, operation: Operation, row: Note | None = None) -> None:
        """Nobody."""


@pytest.mark.parametrize(
    "kind, options, reason",
    [
        (Own, {}, "with a list_ttl, rows must not be overridden"),
        (Guarded, {}, "with a list_ttl, permit_read must not be overridden"),
        (pegboard.Resource, {"operations": {Operation.GET}}, "there is no Operation.LIST"),
        (pegboard.Resource, {"list_ttl": 0}, "list_ttl is a whole number of seconds"),
        (pegboard.Resource, {"ttl": True}, "ttl is a whole number of seconds"),
    ],
)
def test_lists_that_differ_between_clients_are_not_cached(
    kind: Any, options: dict[str, Any], reason: str
):
    """It is refused where it is declared."""
    with pytest.raises(ResourceError, match=reason):
        declare(kind, **{"list_ttl": 60, "ttl": None, **options})


def test_apps_with_other_settings_share_no_list(start: Start):
    """As the default number of rows on a page is one of them."""
    resource = lists()
    keys = set()
    for expected in ("exact", "request"):
        app = start(resource, RESOURCES_TOTAL=expected).application
        [(_, lookup)] = find_cached_lists(app)
        keys.add(get_cache(app).key_of(lookup, {"QUERY_STRING": ""}, {}))
    assert 2 == len(keys)


def test_the_document_has_the_tag_of_a_cached_list(start: Start):
    """And what conditional requests are answered with."""
    path = start(lists()).get("/openapi.json").get_json()["paths"]["/api/notes/"]["get"]
    assert {"304", "412"} <= set(path["responses"])
    assert "ETag" in path["responses"]["200"]["headers"]
