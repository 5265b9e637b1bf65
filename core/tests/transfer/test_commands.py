"""The commands of a resource that has values of every kind, on both databases."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal as DecimalNumber
from itertools import count
from typing import Any

import click
import pytest
from flask import Flask, request
from marshmallow import Schema, fields
from sqlalchemy import (
    JSON,
    ForeignKey,
    Numeric,
    Select,
    String,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column, validates

import pegboard
from pegboard.resources import (
    CRUD,
    EQUALITY,
    Change,
    Decimal,
    Filter,
    Line,
    Listener,
    Moment,
    Operation,
    Text,
    TransferLimits,
)
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class Shelf(Base):
    """Where tools are."""

    __tablename__ = "shelves"

    label: Mapped[str] = mapped_column(String(50))


class Tool(Base):
    """A tool."""

    __tablename__ = "tools"

    code: Mapped[str] = mapped_column("code_", String(20), unique=True)
    notes: Mapped[str | None]
    weight: Mapped[int | None]
    is_sharp: Mapped[bool]
    price: Mapped[DecimalNumber | None] = mapped_column(Numeric(12, 2))
    tags: Mapped[Any] = mapped_column(JSON)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"))
    owner: Mapped[str | None]

    @property
    def summary(self) -> str:
        """The code, louder."""
        return self.code.upper()


class ToolSchema(Schema):
    """A tool; clients call its notes remarks."""

    id = fields.Integer(dump_only=True)
    code = Line(required=True, max_length=20, what="A code")
    notes = Text(load_default=None, allow_none=True, data_key="remarks")
    weight = fields.Integer(load_default=None, allow_none=True, strict=True)
    is_sharp = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    price = Decimal(load_default=None, allow_none=True)
    tags = fields.List(fields.String(), load_default=list)
    shelf_id = fields.Integer(load_default=None, allow_none=True, strict=True)
    summary = fields.String(dump_only=True)
    created_at = Moment(dump_only=True)


class ShelfSchema(Schema):
    """A shelf, in which no time is shown."""

    id = fields.Integer(dump_only=True)
    label = Line(required=True, max_length=50)


class BoltSchema(Schema):
    """A bolt."""

    id = fields.Integer(dump_only=True)
    code = Line(required=True)


class Animal(Base):
    """Something that lives."""

    __tablename__ = "animals"

    label: Mapped[str]


class Dog(Animal):
    """An animal whose rows have a table of their own."""

    __tablename__ = "dogs"

    id: Mapped[int] = mapped_column(ForeignKey("animals.id"), primary_key=True)


class Private(pegboard.Resource[Tool]):
    """Tools of which a client sees its own, and makes such."""

    def rows(self) -> Select[tuple[Tool]]:
        """Return those of the client."""
        return super().rows().where(Tool.owner == request.headers.get("X-User"))

    def permit_read(self, operation: Operation, row: Tool | None = None) -> None:
        """Refuse guests; with a query of its own."""
        pegboard.db.session.execute(select(1))
        if "X-User" not in request.headers:
            pegboard.abort(403, f"Guests may not {operation}.")

    def make(self, values: dict[str, Any]) -> Tool:
        """Refuse a code; give another to all others."""
        if values["code"] == "anvil":
            pegboard.abort(409, "The anvil stays.")
        return super().make({**values, "code": f"my {values['code']}", "owner": "maker"})


def declare(kind: type[pegboard.Resource[Tool]] = pegboard.Resource, **options: Any) -> Any:
    """A resource of tools."""
    options = {
        "noun": "tool",
        "sort": [Tool.id, Tool.code, Tool.weight],
        "search": [Tool.code],
        "filters": [Filter(Tool.weight, EQUALITY)],
        "sparse": True,
        "export": True,
        **options,
    }
    return kind("tools", __name__, Tool, ToolSchema, **options)


def samples() -> Iterator[Mapping[str, Any]]:
    """Bodies without end."""
    for number in count():
        yield {"code": f"tool {number}", "price": f"{number}.50", "tags": ["a", "b"]}


@dataclass
class Recorder:
    """A plugin that listens to tools, and may refuse them."""

    name: str = "recorder"
    told: list[Any] = field(default_factory=list)

    @pegboard.hookimpl
    def pegboard_listeners(self) -> list[Listener]:
        """Listen to everything."""
        return [
            Listener(
                [Tool],
                before_write=self.before_write,
                written=self.written,
                after_commit=self.after_commit,
            )
        ]

    def before_write(self, change: Change) -> None:
        """Refuse one, and change the others."""
        if change.row.code == "refused":
            pegboard.abort(422, "No.", errors={"code": ["Not this one."]})
        change.row.owner = "prepared"

    def written(self, changes: Any) -> None:
        """Refuse a batch with a certain row."""
        if any(change.row.code == "late" for change in changes):
            pegboard.abort(409, "Too late.")

    def after_commit(self, changes: Any) -> None:
        """Record them."""
        self.told.append([change.row.code for change in changes])


Start = Callable[..., Flask]


@pytest.fixture
def start(make_app: MakeApp, database_url: str) -> Iterator[Start]:
    """Start an app with resources of tools or shelves; keyword arguments are for the commands."""
    apps: list[tuple[Flask, Any]] = []

    def start(resource: Any, *others: Any, base: Any = Base, **options: Any) -> Flask:
        group = pegboard.transfer_commands(resource, **options)

        class Plugin:
            name = "workshop"

            @pegboard.hookimpl
            def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
                return [resource.blueprint]

            @pegboard.hookimpl
            def pegboard_commands(self) -> list[click.Command]:
                return [group]

        app: Flask = make_app(plugins=[Plugin(), *others], DATABASE_URL=database_url, TESTING=True)
        with app.app_context():
            base.metadata.create_all(pegboard.db.engine)
        apps.append((app, base))
        return app

    yield start
    for app, base in apps:
        with app.app_context():
            base.metadata.drop_all(pegboard.db.engine)


@pytest.fixture
def app(start: Start) -> Flask:
    """An app with all commands of tools, in small batches."""
    return start(declare(), samples=samples, limits=TransferLimits(batch=3))


Run = Callable[..., Any]


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """Run a command, on `app` or another app; returns click's result."""

    def run(*arguments: object, app: Any = None, **options: Any) -> Any:
        app = app or request.getfixturevalue("app")
        return app.test_cli_runner().invoke(args=["tools", *map(str, arguments)], **options)

    return run


def stored(app: Flask) -> list[dict[str, Any]]:
    """Return all tools as another program reads them."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        rows = connection.execute(select(Tool.__table__).order_by(Tool.id))
        return [dict(row) for row in rows.mappings()]


def codes(app: Flask) -> list[str]:
    """Return the codes of all tools."""
    return [row["code_"] for row in stored(app)]


def store(app: Flask, *rows: dict[str, Any]) -> None:
    """Write tools, by attribute, as the app would."""
    with app.app_context():
        for row in rows:
            pegboard.db.session.add(Tool(**{"is_sharp": False, "tags": [], **row}))
        pegboard.db.session.commit()


def clear(app: Flask) -> None:
    """Delete all tools."""
    with app.app_context():
        pegboard.db.session.execute(delete(Tool))
        pegboard.db.session.commit()


def lines(*rows: Any) -> str:
    """A file of JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


MOMENT = datetime(2024, 1, 1, 2, 3, 4)  # noqa: DTZ001 - as stored


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_import_is_the_inverse_of_export(app, run, tmp_path, form):
    """Everything comes back that is not read-only; through a pipe, too."""
    store(
        app,
        {"code": "12", "notes": None, "weight": 5, "created_at": MOMENT},
        {"code": "true", "notes": "", "is_sharp": True, "price": DecimalNumber("12.50")},
        {"code": '"a", b', "notes": ' one\r\n\ttwo,"three" ', "tags": ["1", 'x,"y"', ""]},
        {"code": "d", "created_at": None},
    )
    before = stored(app)
    file = tmp_path / f"tools.{form}"

    assert 0 == run("export", file).exit_code
    clear(app)
    result = run("import", "-", input=file.read_bytes())

    assert (0, "4 tools imported.\n", "") == (result.exit_code, result.stdout, result.stderr)
    kept = [name for name in before[0] if name not in {"id", "updated_at"}]
    assert [[row[name] for name in kept] for row in before] == [
        [row[name] for name in kept] for row in stored(app)
    ]


def test_columns_are_those_of_answers(app, run):
    """With the names that clients know."""
    store(app, {"code": "a"})

    header = run("export", "-", "--format", "csv").stdout.splitlines()[0]

    assert "id,code,remarks,weight,is_sharp,price,tags,shelf_id,summary,created_at" == header
    bad = run("import", "-", input="notes\na\n")
    assert "out of id, code, remarks, weight" in bad.stderr
    assert "code must be among them." in bad.stderr


def test_export_writes_what_the_api_shows(app, run):
    """Line by line."""
    store(app, {"code": "a", "price": DecimalNumber("1.5")}, {"code": "b", "created_at": MOMENT})

    shown = app.test_client().get("/api/tools/").json

    assert shown == [json.loads(line) for line in run("export").stdout.splitlines()]


def test_the_help_says_what_rows_have(app, run):
    """Required, optional and ignored columns; in the words of the resource."""
    text = " ".join(run("import", "--help").stdout.split())

    assert "Create a tool for each row of FILE" in text
    assert (
        "Rows have code and optionally remarks, weight, is_sharp, price, tags, shelf_id and "
        "created_at; id and summary are ignored." in text
    )
    assert "Import, export and create tools." in run("--help").stdout


@pytest.mark.parametrize("skip_bad", [False, True])
def test_what_the_database_refuses_is_a_bad_row(app, run, skip_bad):
    """With its line and its field, wherever it is in its batch."""
    store(app, {"code": "taken"})
    data = lines(
        {"code": "a"},
        {"code": "taken"},
        {"code": "b", "weight": "much"},
        {"code": "c", "shelf_id": 77},
        {"code": "d"},
        {"code": "a"},
        {"code": "e"},
    )

    result = run("import", "-", *(["--skip-bad"] if skip_bad else []), input=data)

    assert 1 == result.exit_code
    complaints = result.stderr.splitlines()
    assert "line 2: code: Is in use already." == complaints[0]
    assert "line 3: weight: Not a valid integer." == complaints[1]
    assert (["taken", "a", "d", "e"] if skip_bad else ["taken"]) == codes(app)
    if skip_bad:
        assert [
            "line 4: shelf_id: There is nothing that this refers to.",
            "line 6: code: Is in use already.",
            "Error: 4 bad rows.",
        ] == complaints[2:]


def test_the_number_of_bad_rows_is_the_least_if_not_all_were_tried(app, start, run):
    """As after rows that the database has refused no others are sent to it."""
    app = start(declare(), limits=TransferLimits(batch=2))
    store(app, {"code": "a"}, {"code": "b"}, {"code": "c"})
    rows = [{"code": code} for code in "abc"]
    whole = run("import", "-", input=lines(*rows[:2]), app=app)
    assert "Error: 2 bad rows, so nothing was imported." == whole.stderr.splitlines()[-1]
    early = run("import", "-", input=lines(*rows), app=app)
    assert "Error: At least 2 bad rows, so nothing was imported." == early.stderr.splitlines()[-1]
    all_ = run("import", "-", "--skip-bad", input=lines(*rows), app=app)
    assert "Error: 3 bad rows." == all_.stderr.splitlines()[-1]


def test_the_first_bad_rows_are_shown(start, run):
    """In the order of the file, though a batch is refused after later lines were read."""
    app = start(declare(), limits=lambda: TransferLimits(batch=4, bad_rows_shown=2))
    data = lines({"code": "a"}, {"code": "a"}, {"code": ""}, {"code": ""}, {"code": "b"}, {})

    result = run("import", "-", "--skip-bad", input=data, app=app)

    assert ["line 2:", "line 3:", "... and", "Error: 4"] == [
        " ".join(line.split()[:2]) for line in result.stderr.splitlines()
    ]


def test_rows_are_made_by_the_resource(start, run):
    """Which may refuse one; a time of the file is kept; whom `rows` lets see is not asked."""
    app = start(declare(Private))
    data = lines({"code": "a", "created_at": "2024-01-01T02:03:04"}, {"code": "anvil"})

    result = run("import", "-", "--skip-bad", input=data, app=app)

    assert "line 2: The anvil stays." == result.stderr.splitlines()[0]
    [row] = stored(app)
    assert ("my a", "maker", MOMENT) == (row["code_"], row["owner"], row["created_at"])
    assert "my a" == json.loads(run("export", app=app).stdout)["code"]


def test_validators_of_the_model_are_asked(start, run):
    """A row is made as an object where the class of the model has something to say."""

    class ValidatedBase(pegboard.Model, DeclarativeBase):
        pass

    class Bolt(ValidatedBase):
        __tablename__ = "bolts"
        code: Mapped[str]

        @validates("code")
        def upper(self, _key: str, code: str) -> str:
            return code.upper()

    resource = pegboard.Resource("tools", __name__, Bolt, BoltSchema, noun="tool")
    app = start(resource, base=ValidatedBase)

    assert 0 == run("import", "-", input="code\nm8\n", app=app).exit_code
    assert [{"id": 1, "code": "M8"}] == app.test_client().get("/api/tools/").json


def test_what_the_database_computes_is_exported(start, run):
    """It is no column of the table, and is ignored when it comes back."""

    class ComputedBase(pegboard.Model, DeclarativeBase):
        pass

    class Nail(ComputedBase):
        __tablename__ = "nails"
        code: Mapped[str]
        shouted = column_property(func.upper(literal_column("code")))

    class NailSchema(BoltSchema):
        shouted = fields.String(dump_only=True)

    resource = pegboard.Resource("tools", __name__, Nail, NailSchema, noun="tool")
    app = start(resource, base=ComputedBase)

    assert 0 == run("import", "-", input="code,shouted\na,b\n", app=app).exit_code
    assert "A" == json.loads(run("export", app=app).stdout)["shouted"]


def test_listeners_are_asked_and_told(start, run):
    """For each row before, in batches, and after the commit; never after a refusal."""
    recorder = Recorder()
    app = start(declare(), recorder, limits=TransferLimits(batch=2))

    refused = run("import", "-", input=lines({"code": "a"}, {"code": "refused"}), app=app)
    assert "line 2: code: Not this one." == refused.stderr.splitlines()[0]

    late = run("import", "-", "--skip-bad", input=lines({"code": "late"}), app=app)
    assert 1 == late.exit_code
    assert "Too late." in late.stderr
    assert [] == codes(app)
    assert [] == recorder.told

    run("import", "-", input=lines(*({"code": str(number)} for number in range(3))), app=app)
    assert [["0", "1"], ["2"]] == recorder.told
    assert ["prepared"] * 3 == [row["owner"] for row in stored(app)]


def test_seed_creates_samples(app, run):
    """As many as are wanted, through the schema; only into an empty table when told so."""
    assert "5 sample tools made.\n" == run("seed", "--count", "5").stdout
    assert "0 sample tools made.\n" == run("seed", "--count", "5", "--if-empty").stdout
    rows = stored(app)
    assert [f"tool {number}" for number in range(5)] == [row["code_"] for row in rows]
    assert [DecimalNumber("4.50"), ["a", "b"]] == [rows[4]["price"], rows[4]["tags"]]

    again = run("seed", "--count", "5")
    assert "Error: sample 1: code: Is in use already.\n" == again.stderr
    assert 5 == len(codes(app))


def test_without_samples_there_is_no_seed(start, run):
    """Nor is it in the help."""
    app = start(declare())

    assert 2 == run("seed", app=app).exit_code
    assert "Import and export tools." in run("--help", app=app).stdout


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: pegboard.transfer_commands(Tool), "takes a pegboard.Resource"),  # type: ignore[arg-type]
        (lambda: pegboard.transfer_commands(declare(), samples=samples()), "is a function"),  # type: ignore[arg-type]
        (
            lambda: pegboard.transfer_commands(
                pegboard.Resource("dogs", __name__, Dog, ShelfSchema, noun="dog")
            ),
            "Dog is stored in more than one table",
        ),
        (lambda: declare(operations=CRUD - {Operation.LIST}), "no Operation.LIST"),
        (lambda: TransferLimits(batch=0), "at least 1"),
        (
            lambda: pegboard.transfer_commands(
                pegboard.Resource(
                    "dogs",
                    __name__,
                    Animal,
                    type("DogSchema", (Schema,), {"id": fields.Integer(dump_only=True)}),
                    noun="dog",
                )
            ),
            "the resource dogs: a body has no fields",
        ),
        (
            lambda: pegboard.transfer_commands(declare(), limits=1000),  # type: ignore[arg-type]
            "limits is a TransferLimits, or a function that returns one, not 1000",
        ),
    ],
    ids=range(7),
)
def test_a_wrong_declaration_is_refused_at_once(call, message):
    """Not when a command is run."""
    with pytest.raises(ValueError, match=message):
        call()
