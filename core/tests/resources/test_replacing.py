"""The answer to a write is what is read next, with what relationships load; PUT replaces a row."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import ForeignKey, Select, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import pegboard
from pegboard.resources import Operation, ResourceError
from pegboard.testing.contracts import ResourceContract
from pegboard.testing.contracts.resources.api import ResourceClient
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the tests."""


class Maker(Base):
    """A row that another refers to."""

    __tablename__ = "makers"

    name: Mapped[str]
    tools: Mapped[list["Tool"]] = relationship(back_populates="maker")


class Tool(Base):
    """A row with a relationship, and with columns that have defaults of every sort."""

    __tablename__ = "tools"

    maker_id: Mapped[int | None] = mapped_column(ForeignKey("makers.id"))
    maker: Mapped[Maker | None] = relationship(back_populates="tools")
    note: Mapped[str | None]
    grade: Mapped[str] = mapped_column(default="new")
    rank: Mapped[int] = mapped_column(server_default="7")
    is_good: Mapped[bool] = mapped_column(server_default="1")
    code: Mapped[str] = mapped_column(server_default="it's 5%")
    tags: Mapped[str | None] = mapped_column(default=lambda: "none")
    secret: Mapped[str | None]
    size: Mapped[int]

    @property
    def maker_name(self) -> str | None:
        """The name of the maker."""
        return None if self.maker is None else self.maker.name


class MakerSchema(Schema):
    """A maker."""

    id = fields.Integer(dump_only=True)
    name = fields.String(required=True)


class ToolSchema(Schema):
    """A tool."""

    id = fields.Integer(dump_only=True)
    maker_id = fields.Integer(allow_none=True, strict=True)
    maker = fields.Nested(MakerSchema, dump_only=True, allow_none=True)
    makers = fields.List(
        fields.Nested(lambda: MakerSchema(only=("name",))), dump_only=True, dump_default=list
    )
    maker_name = fields.String(dump_only=True, allow_none=True)
    note = fields.String(allow_none=True)
    grade = fields.String()
    rank = fields.Integer()
    is_good = fields.Boolean()
    code = fields.String()
    tags = fields.String(allow_none=True)
    secret = fields.String(load_only=True)
    size = fields.Integer(load_default=1)


class Serving:
    """A plugin that serves resources."""

    name = "tools"

    def __init__(self, *resources: pegboard.Resource[Any]) -> None:
        self._resources = resources

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve them."""
        return [one.blueprint for one in self._resources]


@pytest.fixture
def client(make_app: MakeApp, database_url: str) -> FlaskClient:
    """A client of an app with tools, and with the makers 1 and 2."""
    # The first resource shows the schema of the second, which is declared later.
    tools = pegboard.Resource(
        "tools", __name__, Tool, ToolSchema, noun="tool", operations=frozenset(Operation)
    )
    makers = pegboard.Resource("makers", __name__, Maker, MakerSchema, noun="maker")

    app = make_app(plugins=[Serving(tools, makers)], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    for name in ("Ann", "Bob"):
        client.post("/api/makers/", json={"name": name})
    return client


def test_an_answer_follows_a_changed_reference(client: FlaskClient) -> None:
    """The object that the row referred to before is not shown, and the `ETag` can be sent."""
    created = client.post("/api/tools/", json={"maker_id": 1})
    url, tag = created.headers["Location"], created.headers["ETag"]
    steps: list[tuple[str, Any, str | None]] = [
        ("PUT", {"maker_id": 2}, "Bob"),
        ("PATCH", {"maker_id": 1}, "Ann"),
        ("PATCH", {"maker_id": None}, None),
        ("PUT", {"maker_id": 1}, "Ann"),
    ]
    for method, body, name in steps:
        answer = client.open(url, method=method, json=body, headers={"If-Match": tag})
        assert 200 == answer.status_code, answer.get_json()
        assert name == answer.get_json()["maker_name"]
        assert client.get(url).data == answer.data
        tag = answer.headers["ETag"]


def test_a_step_can_read_what_a_column_gets(make_app: MakeApp, database_url: str) -> None:
    """The default of the database is a number or a text where it is written as one."""
    given: list[Any] = []

    class Tools(pegboard.Resource[Tool]):
        def change(self, row: Tool, values: dict[str, Any]) -> None:
            given.append((values["rank"], values["code"], values["grade"], values["tags"]))
            super().change(row, values)

    tools = Tools("tools", __name__, Tool, ToolSchema, noun="tool")

    app = make_app(plugins=[Serving(tools)], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    url = client.post("/api/tools/", json={"rank": 1, "code": "c"}).headers["Location"]
    assert 7 == client.put(url, json={}).get_json()["rank"]
    assert [(7, "it's 5%", "new", "none")] == given


def test_put_leaves_nothing_of_the_row_that_it_replaces(client: FlaskClient) -> None:
    """What the body leaves out is as in a new row, but write-only fields that no answer shows."""
    new = client.post("/api/tools/", json={}).get_json()
    sent = {
        "note": "old",
        "grade": "used",
        "rank": 9,
        "is_good": False,
        "code": "c",
        "tags": "a",
        "secret": "s",
        "size": 4,
    }
    created = client.post("/api/tools/", json={**sent, "secret": "s", "size": 4})
    replaced = client.put(created.headers["Location"], json={})
    assert 200 == replaced.status_code, replaced.get_json()
    own = {"id", "created_at", "updated_at"}
    assert {name: value for name, value in new.items() if name not in own} == {
        name: value for name, value in replaced.get_json().items() if name not in own
    }
    assert client.get(created.headers["Location"]).data == replaced.data
    with client.application.app_context():
        row = pegboard.db.session.get(Tool, replaced.get_json()["id"])
        assert row is not None
        assert "s" == row.secret
    kept = client.patch(created.headers["Location"], json={"note": "x"}).get_json()
    assert ("x", "new", 7) == (kept["note"], kept["grade"], kept["rank"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_contract_knows_the_calls_of_a_resource_with_a_hyphen(
    make_app: MakeApp, database_url: str
) -> None:
    """In their names it is an underscore."""
    operations = frozenset(Operation)
    makers = pegboard.Resource(
        "tool-makers", __name__, Maker, MakerSchema, noun="tool-maker", operations=operations
    )

    client = make_app(plugins=[Serving(makers)], DATABASE_URL=database_url).test_client()
    api = ResourceClient(client, makers, iter(()))
    ResourceContract().test_operations_are_documented(api)
    ResourceContract().test_conditions_of_writes_are_documented(api)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_request_creates_a_bounded_number_of_rows(client: FlaskClient) -> None:
    """As 80,000 rows fit into a body, and would keep a worker and all writers of SQLite busy."""
    response = client.post("/api/tools/bulk", json=[{}] * 1001)
    assert 422 == response.status_code
    message = "At most 1000 rows; send more in several requests."
    assert {"_schema": [message]} == response.get_json()["errors"]
    assert [] == client.get("/api/tools/").get_json()
    assert 1000 == len(client.post("/api/tools/bulk", json=[{}] * 1000).get_json())
    assert 201 == client.post("/api/tools/", json={}).status_code


class BusyError(Exception):
    """What a driver raises when the database has rolled back because of another transaction."""

    pgcode = "40001"


def test_a_step_is_given_the_same_values_when_a_transaction_is_run_again(
    make_app: MakeApp, database_url: str
) -> None:
    """Even if it has taken some of them out."""
    left: list[int] = []

    class Tools(pegboard.Resource[Tool]):
        def make(self, values: dict[str, Any]) -> Tool:
            note = values.pop("note")
            if left:
                left.pop()
                raise DBAPIError(None, None, BusyError())
            return super().make({**values, "note": f"{note}!"})

    tools = Tools("tools", __name__, Tool, ToolSchema, noun="tool", operations=frozenset(Operation))

    app = make_app(plugins=[Serving(tools)], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    bodies: list[tuple[str, Any]] = [("", {"note": "a"}), ("bulk", [{"note": "a"}])]
    for path, body in bodies:
        left.append(1)
        response = app.test_client().post(f"/api/tools/{path}", json=body)
        assert (201, []) == (response.status_code, left), response.get_json()
        assert "a!" in response.get_data(as_text=True)


def test_a_cached_answer_depends_on_the_rows_that_it_shows() -> None:
    """Else it would be stale after a write to one of them."""
    given: dict[str, Any] = {"noun": "thing", "ttl": 60}
    missing: list[Any] = [[], [Tool]]
    for depends in missing:
        with pytest.raises(ResourceError, match=r"shows maker .* depends=\[Maker\]"):
            pegboard.Resource("tools", __name__, Tool, ToolSchema, depends=depends, **given)
    with pytest.raises(ResourceError, match="shows maker"):
        pegboard.Resource("tools", __name__, Tool, ToolSchema, noun="tool", list_ttl=60)
    enough: list[Any] = [[Maker], [Tool, Maker.__table__]]
    for depends in enough:
        pegboard.Resource("tools", __name__, Tool, ToolSchema, depends=depends, **given)

    class ShelfSchema(Schema):
        tools = fields.List(fields.Pluck(ToolSchema, "id"), dump_only=True)

    with pytest.raises(ResourceError, match=r"shows tools .* depends=\[Tool\]"):
        pegboard.Resource("shelves", __name__, Maker, ShelfSchema, **given)
    keys: list[Any] = [Tool.maker_id, [Tool.__table__.c.maker_id]]
    for key in keys:
        pegboard.Resource("shelves", __name__, Maker, ShelfSchema, depends=key, **given)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_resource_shows_the_schema_of_another(client: FlaskClient) -> None:
    """The document has one schema for the other's rows, wherever they are shown."""
    components = client.get("/openapi.json").get_json()["components"]["schemas"]
    (tool,) = (found for name, found in components.items() if name.endswith(".Tool"))
    (maker,) = (name for name in components if name.endswith(".Maker"))
    assert maker in str(tool["properties"]["maker"])
    assert {"id", "name"} == {*components[maker]["required"]}


def test_a_page_beyond_the_end_of_an_empty_table_leads_to_the_first(client: FlaskClient) -> None:
    """As one beyond the end of a longer list; the first page is not beyond the end."""
    response = client.get("/api/tools/?page=5")
    assert (200, []) == (response.status_code, response.get_json())
    pagination = '{"total":0,"total_pages":0,"first_page":1,"last_page":1}'
    assert pagination == response.headers["X-Pagination"]
    links = '</api/tools/?page=1>; rel="first", </api/tools/?page=1>; rel="last"'
    assert links == response.headers["Link"]
    first = client.get("/api/tools/")
    assert "Link" not in first.headers
    assert '{"total":0,"total_pages":0}' == first.headers["X-Pagination"]


def test_rows_may_be_made_of_several(make_app: MakeApp, database_url: str) -> None:
    """A DISTINCT list has its own total, and its rows can be locked, but not those outside it."""

    class Makers(pegboard.Resource[Maker]):
        def rows(self) -> Select[tuple[Maker]]:
            return super().rows().join(Tool).distinct()

    operations = frozenset(Operation)
    makers = Makers(
        "makers", __name__, Maker, MakerSchema, noun="maker", operations=operations, export=True
    )

    app = make_app(plugins=[Serving(makers)], DATABASE_URL=database_url, TESTING=True)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
        tools = [Tool(size=1), Tool(size=2)]
        pegboard.db.session.add_all([Maker(name="Ann", tools=tools), Maker(name="Bob")])
        pegboard.db.session.commit()
        ids = {one.name: one.id for one in pegboard.db.session.scalars(select(Maker))}
    client = app.test_client()
    response = client.get("/api/makers/")
    assert ["Ann"] == [row["name"] for row in response.get_json()]
    assert 1 == json.loads(response.headers["X-Pagination"])["total"]
    for method in ("PUT", "PATCH"):
        answer = client.open(f"/api/makers/{ids['Ann']}", method=method, json={"name": method})
        assert (200, method) == (answer.status_code, answer.get_json()["name"])
        other = client.open(f"/api/makers/{ids['Bob']}", method=method, json={"name": method})
        assert 404 == other.status_code
