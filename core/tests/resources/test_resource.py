"""Resources whose steps are overridden, whose operations are replaced, and wrong declarations."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import request
from marshmallow import Schema, fields
from sqlalchemy import JSON, Index, Select, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Comparison, Filter, Line, Operation, ResourceError
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Note(Base):
    """A note that belongs to somebody."""

    __tablename__ = "notes"

    owner: Mapped[str | None]
    text: Mapped[str]
    labels: Mapped[Any] = mapped_column(JSON, default=dict)

    @property
    def summary(self) -> str:
        """The first word."""
        return self.text.partition(" ")[0]


class Thing(Base):
    """Something with the same columns."""

    __tablename__ = "things"

    owner: Mapped[str | None]
    text: Mapped[str]
    labels: Mapped[Any] = mapped_column(JSON, default=dict)


class Task(Base):
    """Something with an index on a column whose values may be missing."""

    __tablename__ = "tasks"
    __table_args__ = (Index(None, "due", "id"),)

    due: Mapped[int | None]


class Other(Base):
    """Another model."""

    __tablename__ = "others"

    size: Mapped[int]


class Pair(Base):
    """A model whose key has two columns."""

    __tablename__ = "pairs"

    other_id: Mapped[int] = mapped_column(primary_key=True)


class TaskSchema(Schema):
    """A task."""

    id = fields.Integer(dump_only=True)
    due = fields.Integer(load_default=None, allow_none=True)


class PageSchema(Schema):
    """A task whose time has the name of a parameter of lists."""

    id = fields.Integer(dump_only=True)
    due = fields.Integer(data_key="page")


class NoteSchema(Schema):
    """A note; clients call its owner the author."""

    id = fields.Integer(dump_only=True)
    owner = fields.String(dump_only=True, data_key="author", allow_none=True)
    text = Line(required=True)
    labels = fields.Dict(load_default=dict)
    secret = fields.String(load_only=True)


class SummarySchema(NoteSchema):
    """A note, with what the model computes."""

    summary = fields.String(dump_only=True)


Start = Callable[..., Any]


@pytest.fixture
def start(make_app: MakeApp, database_url: str) -> Start:
    """Start an app with one resource."""

    def start(*resources: pegboard.Resource[Any]) -> Any:
        class Plugin:
            name = "notes"

            @pegboard.hookimpl
            def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
                return [one.blueprint for one in resources]

        app = make_app(plugins=[Plugin()], DATABASE_URL=database_url, TESTING=True)
        with app.app_context():
            Base.metadata.create_all(pegboard.db.engine)
        return app.test_client()

    return start


def declare(kind: type[pegboard.Resource[Note]] = pegboard.Resource, **options: Any) -> Any:
    """A resource of notes."""
    options = {"noun": "note", "operations": frozenset(Operation), **options}
    name = options.pop("name", "notes")
    return kind(name, __name__, Note, options.pop("schema", NoteSchema), **options)


class Private(pegboard.Resource[Note]):
    """Notes that only their owners see, and that only some may write."""

    def rows(self) -> Select[tuple[Note]]:
        """Those of the client."""
        return super().rows().where(Note.owner == request.headers.get("X-User"))

    def permit_write(self, operation: Operation, row: Note | None = None) -> None:
        """Not for guests."""
        if request.headers.get("X-User") == "guest":
            pegboard.abort(403, f"A guest must not {operation} {row and row.text}.")

    def make(self, values: dict[str, Any]) -> Note:
        """For the client."""
        return super().make({**values, "owner": request.headers["X-User"]})

    def change(self, row: Note, values: dict[str, Any]) -> None:
        """With emphasis."""
        super().change(row, values)
        row.text = f"{row.text}!"


ANNA, BERT, GUEST = ({"X-User": name} for name in ("anna", "bert", "guest"))


def test_rows_that_a_client_may_not_see_are_not_there(start: Start) -> None:
    """In lists, by their ids, and for writes."""
    client = start(declare(Private))
    url = client.post("/api/notes/", json={"text": "one"}, headers=ANNA).headers["Location"]

    assert 200 == client.get(url, headers=ANNA).status_code
    assert 404 == client.get(url, headers=BERT).status_code
    assert 404 == client.put(url, json={"text": "x"}, headers=BERT).status_code
    assert 404 == client.patch(url, json={"text": "x"}, headers=BERT).status_code
    assert 404 == client.delete(url, headers=BERT).status_code
    found = client.get("/api/notes/", headers=BERT)
    assert ([], 0) == (found.json, json.loads(found.headers["X-Pagination"])["total"])
    assert ["one"] == [row["text"] for row in client.get("/api/notes/", headers=ANNA).json]
    assert [] == client.get("/api/notes/?after=", headers=BERT).json


def test_a_step_sees_the_operation_and_the_row(start: Start) -> None:
    """Of a create there is no row yet; a refusal writes nothing."""
    client = start(declare(Private))
    refused = client.post("/api/notes/", json={"text": "one"}, headers=GUEST)
    assert (403, "A guest must not create None.") == (refused.status_code, refused.json["message"])
    refused = client.post("/api/notes/bulk", json=[{"text": "one"}], headers=GUEST)
    assert 403 == refused.status_code
    assert [] == client.get("/api/notes/", headers=GUEST).json


def test_made_and_changed_rows_are_the_authors(start: Start) -> None:
    """By PUT, PATCH and bulk as well."""
    client = start(declare(Private))
    made = client.post("/api/notes/bulk", json=[{"text": "a"}, {"text": "b"}], headers=ANNA).json
    assert ["anna", "anna"] == [row["author"] for row in made]
    url = f"/api/notes/{made[0]['id']}"
    assert "c!" == client.put(url, json={"text": "c"}, headers=ANNA).json["text"]
    assert "d!" == client.patch(url, json={"text": "d"}, headers=ANNA).json["text"]


def test_permit_read_sees_the_row(start: Start) -> None:
    """And the list before it is read."""

    class Secretive(pegboard.Resource[Note]):
        def permit_read(self, operation: Operation, row: Note | None = None) -> None:
            if row is not None and row.text == "secret":
                pegboard.abort(403, f"{operation} of a secret")
            if row is None and "q" in request.args:
                pegboard.abort(403, f"{operation} of secrets")

    client = start(declare(Secretive, search=[Note.text]))
    url = client.post("/api/notes/", json={"text": "secret"}).headers["Location"]
    assert "get of a secret" == client.get(url).json["message"]
    assert "list of secrets" == client.get("/api/notes/?q=s").json["message"]
    assert 200 == client.get("/api/notes/").status_code
    document = client.get("/openapi.json").json["paths"]
    assert "403" in document["/api/notes/{note_id}"]["get"]["responses"]
    assert "403" not in document["/api/notes/{note_id}"]["put"]["responses"]


def test_an_operation_is_replaced_by_a_view(start: Start) -> None:
    """From the same steps; another action of a row is such a view, too."""
    notes = declare(operations=CRUD - {Operation.DELETE})

    @notes.blueprint.delete(notes.row_rule)
    @notes.blueprint.response(200, notes.output)
    @notes.blueprint.alt_response(412, "PRECONDITION_FAILED")
    @pegboard.transactional
    def clear(note_id: int) -> Any:
        """Clear a note."""
        note = notes.lock(note_id)
        note.text = "-"
        notes.save(note)
        return notes.represent.response(note)

    client = start(notes)
    created = client.post("/api/notes/", json={"text": "one"})
    url, etag = created.headers["Location"], created.headers["ETag"]
    assert 412 == client.delete(url, headers={"If-Match": '"other"'}).status_code
    assert "-" == client.delete(url, headers={"If-Match": etag}).json["text"]
    assert 404 == client.delete("/api/notes/99").status_code
    assert 404 == client.delete(f"/api/notes/{2**40}").status_code


def test_an_action_with_a_permission_locks_by_its_operation(start: Start) -> None:
    """404, then 403 whatever the preconditions are, then 412; without one nobody is asked."""
    notes = declare(Private)

    def clear(note_id: int) -> Any:
        """Clear a note."""
        note = notes.lock(note_id, Operation.MERGE if "ask" in request.args else None)
        note.text = "-"
        notes.save(note)
        return notes.represent.response(note)

    view = notes.blueprint.any_query(pegboard.transactional(clear))
    notes.blueprint.post(f"{notes.row_rule}/clear")(view)
    client = start(notes)
    with client.application.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(insert(Note).values(text="one", owner="guest", labels={}))
    url, stale = "/api/notes/1/clear?ask=", {"If-Match": '"stale"'}
    assert 404 == client.post(url, headers={**BERT, **stale}).status_code
    refused = client.post(url, headers={**GUEST, **stale})
    assert (403, "A guest must not merge one.") == (refused.status_code, refused.json["message"])
    assert 412 == client.post("/api/notes/1/clear", headers={**GUEST, **stale}).status_code
    assert "-" == client.post("/api/notes/1/clear", headers=GUEST).json["text"]
    client.post("/api/notes/", json={"text": "two"}, headers=ANNA)
    url = "/api/notes/2/clear?ask="
    assert 412 == client.post(url, headers={**ANNA, **stale}).status_code
    assert "-" == client.post(url, headers=ANNA).json["text"]


def test_answers_may_have_what_the_model_computes(start: Start) -> None:
    """The rows are objects of the model then."""
    client = start(declare(schema=SummarySchema))
    client.post("/api/notes/", json={"text": "one two"})
    assert ["one"] == [row["summary"] for row in client.get("/api/notes/").json]
    assert "one" == client.get("/api/notes/1").json["summary"]


def test_a_patch_merges_objects_inside(start: Start) -> None:
    """RFC 7396: null removes a member, an array replaces another."""
    client = start(declare())
    labels = {"a": 1, "b": {"c": [1, 2], "d": 3}}
    client.post("/api/notes/", json={"text": "one", "labels": labels})
    patch = {"labels": {"a": None, "b": {"c": [3]}, "e": {"f": None, "g": 4}}}
    changed = client.patch("/api/notes/1", json=patch).json
    assert {"b": {"c": [3], "d": 3}, "e": {"g": 4}} == changed["labels"]
    assert "one" == changed["text"]


def test_a_patch_leaves_alone_what_another_program_wrote(start: Start) -> None:
    """Also what a client could not write; the patch itself is checked."""
    client = start(declare())
    with client.application.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(insert(Note).values(text="a\tb", labels={}))
    assert 422 == client.patch("/api/notes/1", json={"text": "a\tb"}).status_code
    changed = client.patch("/api/notes/1", json={"labels": {"a": 1}})
    assert (200, "a\tb") == (changed.status_code, changed.json["text"])


def test_two_resources_keep_their_statements_apart(start: Start) -> None:
    """Though the parameters of their lists are the same."""
    things = pegboard.Resource("things", __name__, Thing, NoteSchema, noun="thing")
    other = pegboard.Resource(
        "labels",
        __name__,
        Note,
        type("LabelSchema", (NoteSchema,), {"__module__": __name__}),
        noun="label",
    )
    client = start(things, other)
    client.post("/api/things/", json={"text": "thing"})
    client.post("/api/labels/", json={"text": "label"})
    for _ in range(2):
        assert ["thing"] == [row["text"] for row in client.get("/api/things/").json]
        assert ["label"] == [row["text"] for row in client.get("/api/labels/").json]


def test_change_is_given_what_a_patch_changes(start: Start) -> None:
    """The fields that it leaves out are not among the values; of a replaced row all are."""
    given: list[set[str]] = []

    class Watched(pegboard.Resource[Note]):
        def change(self, row: Note, values: dict[str, Any]) -> None:
            given.append(set(values))
            super().change(row, values)

    client = start(declare(Watched))
    client.post("/api/notes/", json={"text": "one", "labels": {"a": 1}})
    client.patch("/api/notes/1", json={"text": "two"})
    client.put("/api/notes/1", json={"text": "three"})
    assert [{"text"}, {"text", "labels"}] == given


def test_two_resources_may_have_one_model_and_schema(start: Start) -> None:
    """One of all rows, one of some; the document has each schema once."""
    client = start(declare(), declare(Private, name="own", noun="own note"))
    client.post("/api/notes/", json={"text": "found"})
    client.post("/api/own/", json={"text": "kept"}, headers=ANNA)
    assert ["found", "kept"] == [row["text"] for row in client.get("/api/notes/").json]
    assert ["kept"] == [row["text"] for row in client.get("/api/own/", headers=ANNA).json]
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    assert ["notes.Note"] == [name for name in schemas if name.endswith("Note")]


def test_an_indexed_key_with_missing_values_is_read_in_two_parts(start: Start) -> None:
    """At most, and by one where its first part fills the page."""
    tasks = pegboard.Resource(
        "tasks", __name__, Task, TaskSchema, noun="task", sort=[Task.due], operations=set(Operation)
    )
    client = start(tasks)
    dues = [3, None, 1, None, 2, 1]
    client.post("/api/tasks/bulk", json=[{"due": due} for due in dues])
    sent: list[str] = []
    with client.application.app_context():
        engine = pegboard.db.engine
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2]), named=False)
    for sort, expected in (
        ("due", [None, None, 1, 1, 2, 3]),
        ("-due", [3, 2, 1, 1, None, None]),
    ):
        found, url = [], f"/api/tasks/?sort={sort}&page_size=2&after="
        while url:
            sent.clear()
            response = client.get(url)
            reads = [one for one in sent if one.startswith("SELECT")]
            assert 1 <= len(reads) <= 2, reads
            found += [row["due"] for row in response.json]
            url = response.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert expected == found


WRONG: dict[str, Callable[[], object]] = {
    "the model is a class with a table": lambda: pegboard.Resource(
        "x",
        __name__,
        object,
        NoteSchema,
        noun="x",  # type: ignore[type-var]
    ),
    "the schema is a class of marshmallow": lambda: declare(schema=NoteSchema()),
    "operations are members of Operation": lambda: declare(operations=["fly"]),
    "sort has columns of Note, as in Note.id, not 'id'": lambda: declare(sort=["id"]),
    "search has columns of Note": lambda: declare(search=[Base.metadata]),
    "filters has columns of Note": lambda: declare(filters=[Filter(Other.size)]),
    "lists cannot be sorted by labels": lambda: declare(sort=[Note.labels]),
    "sort is a list, as in sort=[Note.id], not Note.text": lambda: declare(sort=Note.text),
    "sort has columns of Note, as in Note.id, not Other.size": lambda: declare(sort=[Other.size]),
    "sort_keys is a whole number and at least 1, not 0": lambda: declare(sort_keys=0),
    "search looks into texts, and Note.labels has": lambda: declare(search=[Note.labels]),
    "search looks into texts, and Note.id has": lambda: declare(search=[Note.id]),
    "filters is a list": lambda: declare(filters=Filter(Note.text)),
    "filters has members such as Filter(Note.id), not Note.text": lambda: declare(
        filters=[Note.text]
    ),
    "the filter of text has a list of comparisons": lambda: declare(
        filters=[Filter(Note.text, Comparison.EQ)]  # type: ignore[arg-type]
    ),
    "the comparisons of text are members of Comparison, not 'null'": lambda: declare(
        filters=[Filter(Note.text, ["null"])]  # type: ignore[list-item]
    ),
    "would have the name of another parameter": lambda: pegboard.Resource(
        "tasks", __name__, Task, PageSchema, noun="task", filters=[Filter(Task.due)]
    ),
    "page_sizes is a function": lambda: declare(page_sizes=(20, 100)),
    "ttl is a whole number of seconds and at least 1, not 0": lambda: declare(ttl=0),
    "there is no Operation.GET": lambda: declare(ttl=60, operations=[Operation.LIST]),
    "depends is of answers that are cached, and there is neither": lambda: declare(depends=[Other]),
    "depends is of answers": lambda: declare(depends=Other.id),
    "filters has Note.text by NE twice": lambda: declare(
        filters=[
            Filter(Note.text, [Comparison.EQ, Comparison.NE]),
            Filter(Note.text, [Comparison.IN, Comparison.NE]),
        ]
    ),
    "sort has Note.id twice": lambda: declare(sort=[Note.id, Note.text, Note.id]),
    "search has Note.text twice": lambda: declare(search=[Note.text, Note.text]),
    "sparse=True is of a list": lambda: declare(sparse=True, operations=[Operation.GET]),
    "filters=... is of a list": lambda: declare(
        filters=[Filter(Note.text)], operations=[Operation.GET]
    ),
    "operations is a collection": lambda: declare(operations=Operation.LIST),
    "the name has letters, digits": lambda: declare(name="my notes"),
    "the noun is a word or several": lambda: declare(noun="a/b"),
    "the noun differs from the name": lambda: declare(name="sheep", noun="sheep"),
    "url_prefix begins with a slash": lambda: declare(url_prefix="/api/notes/"),
    "NoteSchema shows txt, and Note has no txt": lambda: declare(
        schema=type("NoteSchema", (NoteSchema,), {"txt": fields.String()})
    ),
    "the filter of labels": lambda: declare(filters=[Filter(Note.labels)]),
    "with a ttl, rows must not be overridden": lambda: declare(Private, ttl=60),
    "the primary key of Pair is not one column of integers": lambda: pegboard.Resource(
        "pairs", __name__, Pair, NoteSchema, noun="pair"
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_declaration_fails_when_it_is_made(message: str) -> None:
    """With the resource's name and what is wrong."""
    with pytest.raises(ResourceError, match="the resource ") as caught:
        WRONG[message]()
    assert message in str(caught.value)


@pytest.mark.parametrize("sizes", [(0, 0), (20, True), 20, ("20", 100)])
def test_wrong_page_sizes_fail_at_the_start(start: Start, sizes: Any) -> None:
    """A function returns them, which may read settings, so not before."""
    with pytest.raises(pegboard.StartupError, match="page_sizes returns two whole numbers"):
        start(declare(page_sizes=lambda: sizes))


TYPED = """
import pegboard
from marshmallow import Schema
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from pegboard.resources import Operation

class Base(pegboard.Model, DeclarativeBase): ...
class Note(Base):
    __tablename__ = "notes"
    text: Mapped[str]
class Mark(Base):
    __tablename__ = "marks"
    note_id: Mapped[int] = mapped_column(ForeignKey(Note.id))
class NoteSchema(Schema): ...

class Notes(pegboard.Resource[Note]):
    def permit_write(self, operation: Operation, row: Note | None = None) -> None: ...
    def make(self, values: dict[str, object]) -> Note:
        return super().make(values)

notes = Notes(
    "notes", __name__, Note, NoteSchema, noun="note", sort=[Note.text], ttl=9, depends=Mark.note_id
)
text: str = notes.find(1).text

@notes.blueprint.post("/found")
@notes.blueprint.response(200, notes.output)
def found() -> Note:
    return notes.find(1)

@notes.blueprint.delete("/found")
@notes.blueprint.response(204)
def remove() -> None: ...

@notes.blueprint.get("/all")
@notes.blueprint.response(200, notes.output(many=True))
@pegboard.transactional
def everything() -> list[Note]:
    return [found()]

@notes.blueprint.put("/found")
@notes.blueprint.patch("/found")
@notes.blueprint.route("/found", methods=["LINK"])
@notes.blueprint.arguments(NoteSchema)
@notes.blueprint.response(200, notes.output)
def change(sent: dict[str, object]) -> tuple[Note, int]:
    return notes.make(sent), 200
"""

MISTYPED = {
    "sort=[Note.text]": "sort=[Note.txt]",
    "row: Note | None = None": "row: int = 0",
    "super().make(values)": "super().mkae(values)",
    "notes.find(1).text": "notes.find(1).id",
    'noun="note"': 'nuon="note"',
    "return [found()]": "return found()",
    '.put("/found")': ".put(found)",
}


@pytest.mark.slow
def test_types_guard_an_author(tmp_path: Path) -> None:
    """A misspelled key, a wrong signature, a misspelled call of the base are found by mypy."""
    (tmp_path / "right.py").write_text(TYPED)
    for number, (right, wrong) in enumerate(MISTYPED.items()):
        (tmp_path / f"wrong{number}.py").write_text(TYPED.replace(right, wrong))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    found = {line.partition(":")[0] for line in done.stdout.splitlines() if ": error:" in line}
    assert {f"wrong{number}.py" for number in range(len(MISTYPED))} == found, done.stdout
