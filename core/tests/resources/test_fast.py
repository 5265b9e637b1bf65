"""The fast paths of resources answer what the views answer, byte for byte."""

import asyncio
import enum
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal as DecimalNumber
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

import psycopg2
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marshmallow import Schema, fields
from sqlalchemy import Enum, Numeric, String, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, TestResponse
from werkzeug.wrappers import Request

import pegboard
from pegboard import CoreSettings, get_settings
from pegboard.cache import MemoryStrategy
from pegboard.database import AsyncPool, CompiledStatement
from pegboard.resources import (
    CRUD,
    EQUALITY,
    RANGE,
    Change,
    Comparison,
    Decimal,
    Filter,
    Line,
    Listener,
    Moment,
    Operation,
    Text,
)
from pegboard.server.requests import Gateway
from pegboard.stages import Stages
from pegboard.testing.databases import fresh_database
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import WAIT_TIMEOUT, wait_until

_SERVER_TIME = re.compile(rb"20(?:2[6-9]|[3-9][0-9])-[0-9-]{5}T[0-9:.]{8,15}")
_OWN_HEADERS = frozenset({"x-request-id", "date", "cache-status", "content-length", "etag"})


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class Level(enum.Enum):
    """How high."""

    low = "low"
    high = "high"


class Thing(Base):
    """A row with a column of each kind."""

    __tablename__ = "things"

    name: Mapped[str] = mapped_column(String(20), unique=True)
    note: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(default=3)
    level: Mapped[Level] = mapped_column(Enum(Level), default=Level.low)
    price: Mapped[DecimalNumber | None] = mapped_column(Numeric(12, 2))
    is_open: Mapped[bool]
    seen_at: Mapped[datetime | None]
    rank: Mapped[int] = mapped_column(server_default="7")


class Label(Base):
    """A row whose answer is not cached, with plain columns only."""

    __tablename__ = "labels"

    name: Mapped[str] = mapped_column(String(20))
    note: Mapped[str | None]


class ThingSchema(Schema):
    """A thing."""

    id = fields.Integer(dump_only=True)
    name = Line(required=True, max_length=20)
    note = Text(allow_none=True, load_default=None)
    size = fields.Integer(allow_none=True, strict=True)
    level = fields.Enum(Level)
    price = Decimal(allow_none=True, load_default=None)
    is_open = fields.Boolean(load_default=False, truthy={True}, falsy={False})
    seen_at = Moment(allow_none=True, data_key="seenAt")
    rank = fields.Integer(dump_only=True)
    created_at = Moment(dump_only=True)
    updated_at = Moment(dump_only=True)


class LabelSchema(Schema):
    """A label."""

    id = fields.Integer(dump_only=True)
    name = Line(required=True, max_length=20)
    note = Text(allow_none=True, load_default=None)
    updated_at = Moment(dump_only=True)


_ALL = CRUD | {Operation.MERGE, Operation.BULK_CREATE}


def things_resource(**options: Any) -> pegboard.Resource[Thing]:
    """Declare the resource of things."""
    return pegboard.Resource(
        "things",
        __name__,
        Thing,
        ThingSchema,
        noun="thing",
        operations=_ALL,
        sort=[Thing.id, Thing.name, Thing.size, Thing.price, Thing.created_at],
        search=[Thing.name, Thing.note],
        filters=[
            Filter(Thing.name, (*EQUALITY, *RANGE)),
            Filter(Thing.size, (*EQUALITY, *RANGE, Comparison.NULL)),
            Filter(Thing.level),
            Filter(Thing.seen_at, RANGE),
        ],
        sparse=True,
        export=True,
        ttl=60,
        **options,
    )


def labels_resource(**options: Any) -> pegboard.Resource[Label]:
    """Declare the resource of labels."""
    return pegboard.Resource(
        "labels",
        __name__,
        Label,
        LabelSchema,
        noun="label",
        operations=_ALL,
        sort=[Label.id, Label.name],
        **options,
    )


class Stock:
    """A plugin with both."""

    name = "stock"

    def __init__(self, **options: Any) -> None:
        self._resources: list[pegboard.Resource[Any]] = [
            things_resource(**options),
            labels_resource(**options),
        ]

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve both."""
        return [one.blueprint for one in self._resources]


class Loop:
    """A gateway of an app, on an event loop in a thread."""

    def __init__(self, app: Flask) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._gateway = Gateway(app, threads=2)

    def close(self) -> None:
        """End both."""
        self._loop.call_soon_threadsafe(self._gateway.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def ask(self, request: Request) -> TestResponse:
        """Send a request."""
        future = asyncio.run_coroutine_threadsafe(self._ask(request), self._loop)
        return future.result(WAIT_TIMEOUT)

    async def _ask(self, request: Request) -> TestResponse:
        sent: list[dict[str, Any]] = []
        body = [request.get_data()]
        is_gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not body:  # the client stays until it is answered
                await is_gone.wait()
            return {"type": "http.request", "body": body.pop(), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(name.lower().encode(), value.encode()) for name, value in request.headers]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query_string,
            "headers": headers,
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        await self._gateway(scope, receive, send)  # type: ignore[arg-type]
        start, *parts = sent
        found = Headers(
            [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        )
        data = b"".join(part["body"] for part in parts)
        return TestResponse([data], str(start["status"]), found, request)


@dataclass
class Service:
    """An app, and how many of its answers were those of fast paths."""

    app: Flask
    fast_answers: int = 0
    loop: Loop | None = None
    """What serves it; without one, each request is served by the thread that asks."""

    def __post_init__(self) -> None:
        """Count them."""
        stages: Any = self.app.wsgi_app
        while not isinstance(stages, Stages):
            stages = stages.app
        take: Callable[..., Any] = stages.take_fast_path

        async def counting(stage_run: Any, waiting: Any) -> Any:
            answer = await take(stage_run, waiting)
            self.fast_answers += answer is not None
            return answer

        stages.take_fast_path = counting  # type: ignore[method-assign]

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        """Send a request."""
        if self.loop is not None:
            with closing(EnvironBuilder(path, method=method, **options)) as builder:
                return self.loop.ask(builder.get_request())
        client = self.app.test_client(use_cookies=False)
        return client.open(path, method=method, **options)

    @contextmanager
    def expecting(self, fast: int) -> Iterator[None]:
        """Check how many requests of the block fast paths have answered."""
        before = self.fast_answers
        yield
        assert fast == self.fast_answers - before

    def empty(self) -> None:
        """Delete all rows, and begin with the first id again."""
        with self.app.app_context(), pegboard.db.engine.begin() as connection:
            connection.execute(text("TRUNCATE things, labels RESTART IDENTITY"))

    def skip_ids(self, *others: "Service") -> None:
        """Let the next rows of all get the same ids, as refused inserts use up some."""
        services = (self, *others)
        for table in ("things", "labels"):
            last = max(one._next_id(table) for one in services)
            for one in services:
                one._row(f"SELECT setval('{table}_id_seq', {last}, false)")

    def _next_id(self, table: str) -> int:
        last, is_called = self._row(f"SELECT last_value, is_called FROM {table}_id_seq")  # noqa: S608 - ours
        return int(last) + bool(is_called)

    def _row(self, statement: str) -> Any:
        with self.app.app_context(), pegboard.db.engine.begin() as connection:
            return connection.execute(text(statement)).one()


MakeService = Callable[..., Service]


@pytest.fixture
def make_service(make_app: MakeApp, postgres_url: str) -> Iterator[MakeService]:
    """Makes apps with both resources on PostgreSQL."""
    stack = ExitStack()

    def make(
        *plugins: object,
        url: str = postgres_url,
        options: Mapping[str, Any] = {},
        on_loop: bool = False,
        **config: Any,
    ) -> Service:
        app = make_app(plugins=[Stock(**options), *plugins], DATABASE_URL=url, **config)
        with app.app_context():
            Base.metadata.create_all(pegboard.db.engine)
        return Service(app, loop=stack.enter_context(closing(Loop(app))) if on_loop else None)

    with stack:
        yield make


@pytest.fixture
def loop_statements(monkeypatch: pytest.MonkeyPatch) -> list[CompiledStatement]:
    """The statements that event loops have executed."""
    found: list[CompiledStatement] = []
    execute = AsyncPool.execute

    async def noting(self: AsyncPool, statement: CompiledStatement, values: Any) -> Any:
        rows = await execute(self, statement, values)
        found.append(statement)
        return rows

    monkeypatch.setattr(AsyncPool, "execute", noting)
    return found


@pytest.fixture
def other_url(postgres_server: str) -> Iterator[str]:
    """URL of a second PostgreSQL database."""
    with fresh_database(postgres_server) as url:
        yield url


@dataclass(frozen=True)
class Seen:
    """What of an answer must be the same."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    has_own_tag: bool | None = field(default=None)

    @classmethod
    def of(cls, response: TestResponse, *, is_exact: bool) -> "Seen":
        """Return it; unless it `is_exact`, with times of now by their order."""
        body = response.get_data()
        skipped = {"x-request-id", "date", "cache-status"} if is_exact else _OWN_HEADERS
        given = ((name.lower(), value) for name, value in response.headers)
        headers = sorted((name, value) for name, value in given if name not in skipped)
        if is_exact:
            return cls(response.status_code, headers, body)
        etag, _ = response.get_etag()
        own = None if etag is None else etag == blake2b(body, digest_size=16).hexdigest()
        times = sorted(set(_SERVER_TIME.findall(body)))
        for place, time in enumerate(times):
            body = body.replace(time, b"time %d" % place)
        return cls(response.status_code, headers, body, own)


_texts = st.text(st.sampled_from('abÄß€😀 \t\n"\\/\x00\x7f\u2028%_'), max_size=8) | st.sampled_from(
    ["a", "b", "c", "x" * 20, "x" * 21]
)
_numbers = st.sampled_from([0, 1, -1, 3, 2**31 - 1, 2**31, 2**63, 1.0, 1.5, True, "1", None])
_values = {
    "name": _texts,
    "note": _texts | st.none(),
    "size": _numbers,
    "level": st.sampled_from(["low", "high", "other", None]),
    "price": st.sampled_from(["1.50", "0", "-3.005", "1e5", 1, None]),
    "is_open": st.sampled_from([True, False, None, "true", 0]),
    "seenAt": st.sampled_from(
        ["2024-01-01T00:00:00", "2024-02-30T00:00:00", "2024-01-01T10:00:00.5+01:00", "", None]
    ),
}
_others = {name: values for name, values in _values.items() if name != "name"}
_bodies = st.fixed_dictionaries({"name": _texts}, optional=_others) | st.fixed_dictionaries(
    {}, optional={**_values, "id": st.just(1), "unknown": st.just(1)}
)
_raw = st.sampled_from(
    [b"", b"{", b"[]", b"null", b'{"name":"a","name":"b"}', b'{"name":"\\u0041"}', b'{"name":NaN}']
)
_types = st.sampled_from(
    ["application/json"] * 6
    + ["application/json; charset=utf-8", "application/merge-patch+json", "text/plain"]
)
_values_of_headers = st.sampled_from(
    ["*", '"0"', "https://a.example", "gzip", "text/csv", "application/json", "count=exact"]
)
_names_of_headers = ["If-Match", "If-None-Match", "Origin", "Accept", "Prefer"]
_headers = st.dictionaries(st.sampled_from(_names_of_headers), _values_of_headers, max_size=1)
_headers_of_reads = st.dictionaries(
    st.sampled_from([*_names_of_headers, "Accept-Encoding"]), _values_of_headers, max_size=1
)
_write = st.tuples(
    st.sampled_from(["POST", "PUT", "PUT", "PATCH", "PATCH", "DELETE"]),
    st.sampled_from(["things", "things", "labels"]),
    st.sampled_from([1, 1, 2, 2, 3, 4, 99, 0, 2**31]),
    _bodies.map(lambda body: json.dumps(body).encode()) | _raw,
    _types,
    _headers,
    st.sampled_from([""] * 9 + ["?x=1"]),
)
_parameters = {
    "page": st.sampled_from(["1", "2", "0", "01", "999999", "x", ""]),
    "page_size": st.sampled_from(["1", "2", "100", "101", "0"]),
    "after": st.sampled_from(["", "x", "1.3.0.a"]),
    "sort": st.sampled_from(["id", "-id", "name", "-size,name", "price,-id", "note", "name,name"]),
    "q": st.sampled_from(["a", "%", "_", "", "Ä"]),
    "fields": st.sampled_from(["id", "name,seenAt", "x"]),
    "name": _texts,
    "name[ne]": _texts,
    "name[in]": st.sampled_from(["a,b", '"a,b",c']),
    "name[gte]": _texts,
    "size": st.sampled_from(["1", "x", "99999999999"]),
    "size[lt]": st.sampled_from(["3", "-1"]),
    "size[null]": st.sampled_from(["true", "false", "1"]),
    "level": st.sampled_from(["low", "other"]),
    "seen_at[gte]": st.sampled_from(["2024-01-01T00:00:00", "2024-01-01"]),
    "unknown": st.just("1"),
}
_read = st.tuples(
    st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS"]),
    st.sampled_from(["things/", "things/", "labels/", "things/1", "labels/1", "labels/2"]),
    st.lists(
        st.sampled_from(sorted(_parameters)).flatmap(
            lambda name: st.tuples(st.just(name), _parameters[name])
        ),
        max_size=3,
    ),
    _headers_of_reads,
)


@pytest.fixture(params=[False, True], ids=["thread", "loop"])
def on_loop(request: pytest.FixtureRequest) -> bool:
    """Whether requests are served by an event loop."""
    return bool(request.param)


@pytest.mark.slow
def test_answers_are_those_of_the_views(make_service, other_url, loop_statements, on_loop):
    """For bodies, queries and headers of any kind, with writes between the reads.

    Reads are asked of two apps on one database; writes are made on one database by each.
    """
    fast = make_service(on_loop=on_loop)
    plain = make_service(RESOURCES_FAST=False)
    other = make_service(url=other_url, RESOURCES_FAST=False)

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(st.tuples(_write, _read), min_size=4, max_size=10))
    def check(steps):
        fast.empty()
        other.empty()
        for service in (fast, other):
            for name in ("a", "b"):
                for rows in ("things", "labels"):
                    service.ask("POST", f"/api/{rows}/", json={"name": name})
        for write, read in steps:
            method, rows, row_id, body, media_type, headers, query = write
            path = f"/api/{rows}/{query}" if method == "POST" else f"/api/{rows}/{row_id}{query}"
            options = {"data": body, "content_type": media_type, "headers": headers}
            fast.skip_ids(other)
            written = [
                Seen.of(one.ask(method, path, **options), is_exact=False) for one in (other, fast)
            ]
            assert written[0] == written[1]
            method, path, pairs, headers = read
            path = f"/api/{path}?{urlencode(pairs)}"
            answers = [
                # A thread finds the route of a URL that is asked for the first time.
                Seen.of(one.ask(method, path, headers=headers), is_exact=True)
                for one in (plain, fast, fast)
            ]
            assert answers[0] == answers[1] == answers[2]

    check()
    assert plain.fast_answers == other.fast_answers == 0
    assert fast.fast_answers > 50
    assert len(loop_statements) > 50 if on_loop else not loop_statements


_USUAL = [
    ("POST", "/api/labels/", {"json": {"name": "c"}}, 201),
    ("GET", "/api/labels/", {}, 200),
    ("GET", "/api/labels/?page=2&page_size=1", {}, 200),
    ("HEAD", "/api/labels/?after=&page_size=1&sort=-name", {}, 200),
    ("GET", "/api/labels/1", {}, 200),
    ("GET", "/api/labels/1", {"headers": {"If-None-Match": "*"}}, 304),
    ("PUT", "/api/labels/1", {"json": {"name": "d"}}, 200),
    ("PATCH", "/api/labels/1", {"json": {"note": "e"}}, 200),
    ("DELETE", "/api/labels/2", {}, 204),
]
_IDS = [f"{method} {path}" for method, path, _, _ in _USUAL]


def with_labels(service: Service) -> Service:
    """Return the service with two labels."""
    for name in ("a", "b"):
        assert 201 == service.ask("POST", "/api/labels/", json={"name": name}).status_code
    return service


@pytest.mark.parametrize("usual", _USUAL, ids=_IDS)
def test_usual_requests_take_the_fast_path(make_service, loop_statements, on_loop, usual):
    """Each operation has one, whose statement an event loop executes itself."""
    method, path, options, status = usual
    service = with_labels(make_service(on_loop=on_loop))
    # A thread finds the route of a URL that is asked for the first time.
    service.ask(method, path, headers={"If-Match": '"0"'})
    loop_statements.clear()
    with service.expecting(fast=1):
        assert status == service.ask(method, path, **options).status_code
    assert on_loop == bool(loop_statements)


def test_requests_that_wait_for_locks_do_not_hold_up_others(make_service, postgres_url):
    """Not even when there are as many as the event loop has connections."""
    limits = {"DATABASE_LOCK_TIMEOUT": WAIT_TIMEOUT, "DATABASE_STATEMENT_TIMEOUT": WAIT_TIMEOUT}
    service = make_service(on_loop=True, **limits)
    with_labels(with_labels(service))
    # A thread finds the route of a URL that is asked for the first time.
    assert 200 == service.ask("GET", "/api/labels/").status_code

    def change(number: int) -> Any:
        return service.ask("PUT", f"/api/labels/{number}", json={"name": "x"}).status_code

    with (
        ThreadPoolExecutor(4) as threads,
        closing(psycopg2.connect(postgres_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM labels FOR UPDATE")
        changes = [threads.submit(change, number) for number in (1, 2, 3, 4)]
        blocked = "SELECT count(*) = 4 FROM pg_locks WHERE NOT granted"
        wait_until(lambda: query(cursor, blocked), "all wait")
        for _ in range(3):
            assert 200 == service.ask("GET", "/api/labels/").status_code
        assert not any(one.done() for one in changes)
        connection.rollback()
        assert [200] * 4 == [one.result() for one in changes]


def query(cursor: Any, statement: str) -> Any:
    """Return the only value of a statement."""
    cursor.execute(statement)
    return cursor.fetchone()[0]


@pytest.mark.parametrize(
    "options, config", [({"fast": False}, {}), ({}, {"RESOURCES_FAST": False})]
)
def test_the_fast_path_can_be_turned_off(make_service, options, config):
    """For one resource, and for all."""
    service = with_labels(make_service(options=options, **config))
    assert 200 == service.ask("GET", "/api/labels/").status_code
    assert 0 == service.fast_answers


def test_the_fast_path_is_on_unless_it_is_turned_off(app):
    """By the setting `PEGBOARD_RESOURCES_FAST`."""
    assert get_settings(CoreSettings, app).resources_fast


class Watcher:
    """A plugin that has something to say about labels."""

    name = "watcher"

    @pegboard.hookimpl
    def pegboard_listeners(self, app: Flask) -> list[Listener]:
        """Refuse a name."""

        def before_write(change: Change) -> None:
            if getattr(change.row, "name", "") == "refused":
                pegboard.abort(422, "Not this one.")

        return [Listener([Label], before_write=before_write)]


class Guard:
    """A plugin with a function before each request."""

    name = "guard"

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Refuse all."""

        @app.before_request
        def refuse() -> None:
            pegboard.abort(403, "Not today.")


class Signer:
    """A plugin with a function after each request."""

    name = "signer"

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Sign all."""

        @app.after_request
        def sign(response: Any) -> Any:
            response.headers["X-Signed"] = "yes"
            return response


def test_a_listener_sees_each_write(make_service):
    """Rows of other models, and reads, still take the fast path."""
    service = make_service(Watcher())
    assert 422 == service.ask("POST", "/api/labels/", json={"name": "refused"}).status_code
    with service.expecting(fast=2):
        assert 200 == service.ask("GET", "/api/labels/").status_code
        assert 201 == service.ask("POST", "/api/things/", json={"name": "a"}).status_code


def test_functions_before_requests_are_called(make_service):
    """No fast path goes round them."""
    assert 403 == make_service(Guard()).ask("GET", "/api/labels/").status_code


def test_functions_after_requests_are_called(make_service):
    """No fast path goes round them."""
    assert "yes" == make_service(Signer()).ask("GET", "/api/labels/").headers["X-Signed"]


@pytest.mark.parametrize(
    "target, name",
    [
        (Session, "before_flush"),
        (Session, "after_commit"),
        (Label, "before_insert"),
        (Label.name, "set"),
    ],
    ids=["flush", "commit", "insert", "attribute"],
)
def test_events_of_sqlalchemy_are_called(make_service, target, name):
    """A plugin may listen to them instead."""
    seen: list[object] = []

    def listen(*given: object) -> None:
        seen.append(given)

    event.listen(target, name, listen)
    try:
        service = make_service()
        assert 201 == service.ask("POST", "/api/labels/", json={"name": "a"}).status_code
    finally:
        event.remove(target, name, listen)
    assert seen


def test_statements_can_be_counted(make_service):
    """By an event of the engine, also from some time on: then the views answer."""
    service = with_labels(make_service())
    seen: list[str] = []

    def note(*given: Any) -> None:
        seen.append(given[2])

    with service.app.app_context():
        engine = pegboard.db.engine
    service.ask("GET", "/api/labels/")
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert 200 == service.ask("GET", "/api/labels/").status_code
        assert 200 == service.ask("PUT", "/api/labels/1", json={"name": "c"}).status_code
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert any(statement.startswith("SELECT") for statement in seen)
    assert any(statement.startswith("UPDATE") for statement in seen)
    with service.expecting(fast=1):
        service.ask("GET", "/api/labels/")


def test_the_cookie_of_a_session_is_renewed(make_service):
    """By Flask, which a request with a session therefore reaches."""
    service = with_labels(make_service())
    with service.expecting(fast=0):
        service.ask("GET", "/api/labels/", headers={"Cookie": "session=x"})
    with service.expecting(fast=1):
        service.ask("GET", "/api/labels/", headers={"Cookie": "theme=dark"})


class Narrow(pegboard.Resource[Label]):
    """A resource that shows some rows."""

    def rows(self) -> Any:
        """Only those with a note."""
        return super().rows().where(Label.note.is_not(None))


def test_an_overridden_step_is_called(make_app, postgres_url):
    """The fast path stands for the steps as they are."""
    resource = Narrow("labels", __name__, Label, LabelSchema, noun="label")

    class Notes:
        name = "notes"

        @pegboard.hookimpl
        def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
            return [resource.blueprint]

    app = make_app(plugins=[Notes()], DATABASE_URL=postgres_url)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    client.post("/api/labels/", json={"name": "a"})
    client.post("/api/labels/", json={"name": "b", "note": "c"})
    assert ["b"] == [row["name"] for row in client.get("/api/labels/").json]


class Memory:
    """A plugin with a cache in memory, which is right for one process."""

    name = "memory"

    @pegboard.hookimpl
    def pegboard_cache_strategy(self, app: Flask) -> MemoryStrategy:
        """Store in memory."""
        return MemoryStrategy(size=100)


@pytest.fixture
def cached(make_service: MakeService) -> Service:
    """An app that caches, with two things."""
    service = make_service(Memory(), CACHE_STATUS_HEADER=True)
    for name in ("a", "b"):
        assert 201 == service.ask("POST", "/api/things/", json={"name": name}).status_code
    return service


def outcome_of(response: TestResponse) -> str:
    """Return how an answer came about: `hit`, or why it was no hit."""
    return response.headers["Cache-Status"].partition("; ")[2]


def test_a_row_is_stored_by_the_fast_path(cached):
    """With the same answer to all who ask next."""
    with cached.expecting(fast=1):
        first = cached.ask("GET", "/api/things/1")
        second = cached.ask("GET", "/api/things/1")
    assert "stored" in outcome_of(first)
    assert "hit" == outcome_of(second)
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]


@pytest.mark.parametrize(
    "method, body, status",
    [
        ("PUT", {"name": "c", "size": 1, "level": "high", "seenAt": None}, 200),
        ("PATCH", {"note": "c"}, 200),
        ("DELETE", None, 204),
    ],
)
def test_a_write_by_the_fast_path_invalidates(cached, method, body, status):
    """What was cached of the row is not answered any more, nor is the total of the list."""
    cached.ask("GET", "/api/things/1")
    cached.ask("GET", "/api/things/")
    with cached.expecting(fast=1):
        written = cached.ask(method, "/api/things/1", json=body)
    assert status == written.status_code
    found = cached.ask("GET", "/api/things/1")
    listed = cached.ask("GET", "/api/things/")
    if method == "DELETE":
        assert 404 == found.status_code
        assert '"total":1' in listed.headers["X-Pagination"]
    else:
        assert written.data == found.data
        assert json.loads(written.data) in listed.json


def test_a_new_row_is_counted(cached):
    """A total that was cached before is not told any more."""
    assert '"total":2' in cached.ask("GET", "/api/things/").headers["X-Pagination"]
    with cached.expecting(fast=1):
        cached.ask("POST", "/api/things/", json={"name": "c"})
    assert '"total":3' in cached.ask("GET", "/api/things/").headers["X-Pagination"]


@pytest.mark.parametrize("name, status", [("b", 409), ("a", 200)], ids=["refused", "the same"])
def test_a_statement_that_writes_nothing_leaves_no_fence(cached, name, status):
    """What is read next can be cached."""
    body = cached.ask("GET", "/api/things/1").json
    sent = {one: body[one] for one in body if one not in {"id", "created_at", "updated_at", "rank"}}
    assert status == cached.ask("PUT", "/api/things/1", json={**sent, "name": name}).status_code
    cached.ask("GET", "/api/things/1")
    assert "hit" == outcome_of(cached.ask("GET", "/api/things/1"))


@pytest.mark.slow
def test_a_locked_row_is_a_503_at_the_lock_time_out(make_service, on_loop):
    """Waiting twice, in the fast path and in the view, would take twice as long."""
    service = with_labels(make_service(LOCK_TIMEOUT=0.2, on_loop=on_loop))
    with service.app.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(text("SELECT * FROM labels WHERE id = 1 FOR UPDATE"))
        with service.expecting(fast=1):
            answer = service.ask("PUT", "/api/labels/1", json={"name": "c"})
    assert 503 == answer.status_code
    assert {"message", "status"} == json.loads(answer.data).keys()
    assert answer.headers["Retry-After"]
    assert 200 == service.ask("PUT", "/api/labels/1", json={"name": "c"}).status_code
