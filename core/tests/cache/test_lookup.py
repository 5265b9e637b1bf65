"""Cached look-ups in a whole app: what is answered early, what is not, and that nobody notices."""

import functools
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import flask
import pytest
from flask import Flask, signals
from flask.testing import FlaskClient
from flask.views import MethodView
from sqlalchemy import MetaData, String, Uuid, event, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from werkzeug.test import TestResponse

import pegboard
from pegboard.cache import (
    CacheStrategy,
    Key,
    Lease,
    MemoryStrategy,
    Miss,
    MissReason,
    filling,
    get_cache,
    service,
    singleflight,
)
from pegboard.cache.declaration import lookup_of
from pegboard.cache.entry import Entry
from pegboard.resources import InvalidJSONError
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.recording import RecordingStrategy

VARYING = {"X-Request-ID", "Date", "Cache-Status"}
DEVICE = uuid.UUID("0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f")
View = Callable[..., Any]


class Base(pegboard.Model, DeclarativeBase):
    """The models of these tests."""


class Note(Base):
    """What is cached."""

    __tablename__ = "notes"

    text: Mapped[str] = mapped_column(String(20))


class Keyed(DeclarativeBase):
    """Models with keys of other kinds."""

    metadata = Base.metadata


class Device(Keyed):
    """What has a UUID."""

    __tablename__ = "devices"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


def answer(id: int) -> dict[str, Any]:  # noqa: A002 - the variable of the URL
    """Answer with a note."""
    text = pegboard.db.session.scalar(select(Note.text).where(Note.id == id))
    if text is None:
        pegboard.abort(404, f"There is no note {id}.")
    return {"id": id, "text": text}


class Notes:
    """A plugin with notes, whose views the test decorates and adds."""

    name = "notes"

    def __init__(self, migrations: Path) -> None:
        self.migrations = migrations
        self.blueprint = flask.Blueprint("notes", __name__, url_prefix="/notes")
        self.strategy = RecordingStrategy(MemoryStrategy(size=1000))
        self.declines = False
        self.set_up: Callable[[Flask], None] = lambda _: None

    def add(self, view: View, rule: str = "/<int:id>", name: str = "note", **options: Any) -> None:
        """Serve a view."""
        self.blueprint.add_url_rule(rule, name, view, **options)

    @pegboard.hookimpl
    def pegboard_models(self) -> type[DeclarativeBase]:
        """Own the tables."""
        return Base

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Have none: the test creates the tables."""
        return self.migrations

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> Sequence[flask.Blueprint]:
        """Serve the views."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_cache_strategy(self, app: Flask) -> CacheStrategy | None:
        """Store answers where the test can see it."""
        assert app.name == "pegboard"
        return None if self.declines else self.strategy

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Do what the test says."""
        self.set_up(app)


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """The plugin."""
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    return Notes(migrations)


@pytest.fixture
def serve(make_app: MakeApp, notes: Notes, sqlite_url: str) -> Callable[..., FlaskClient]:
    """Make an app of the plugin and others, with two notes; returns its client."""

    def serve(*others: object, **config: object) -> FlaskClient:
        defaults: dict[str, Any] = {"DATABASE_URL": sqlite_url, "CACHE_STATUS_HEADER": True}
        app = make_app(plugins=[notes, *others], **(defaults | config))
        with app.app_context():
            Base.metadata.create_all(pegboard.db.engine)
            if pegboard.db.session.get(Note, 1) is None:
                rows = [Note(id=1, text="one"), Note(id=2, text="two")]
                pegboard.db.session.add_all([*rows, Device(id=DEVICE, name="old")])
                pegboard.db.session.commit()
        notes.strategy.verbs.clear()
        return app.test_client()

    return serve


@contextmanager
def statements(client: FlaskClient) -> Iterator[list[str]]:
    """Record the statements that are sent inside the block."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    with client.application.app_context():
        engine = pegboard.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def write(client: FlaskClient, text: str, number: int = 1) -> None:
    """Change a note, as anything in the app may; returns when it is acknowledged."""
    with client.application.app_context():
        statement = update(Note).where(Note.id == number).values(text=text)
        pegboard.db.session.execute(statement)
        pegboard.db.session.commit()


def told(response: TestResponse) -> str:
    """How the answer came about."""
    return response.headers["Cache-Status"].removeprefix("pegboard; ")


def shown(response: TestResponse) -> tuple[int, list[tuple[str, str]], bytes]:
    """What a client gets, but for what is another in each answer."""
    headers = [(name, value) for name, value in response.headers if name not in VARYING]
    return response.status_code, sorted(headers), response.data


@pytest.fixture
def no_flask(monkeypatch: pytest.MonkeyPatch) -> Callable[[FlaskClient], None]:
    """Let every request fail that reaches Flask."""

    def forbid(client: FlaskClient) -> None:
        def fail(*_: object) -> None:
            pytest.fail("the request has reached Flask")

        monkeypatch.setattr(type(client.application), "request_context", fail)

    return forbid


# The same answers


REQUESTS: Sequence[tuple[str, dict[str, str]]] = (
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"If-None-Match": "TAG"}),
    ("GET", {"If-None-Match": 'W/TAG, "x"'}),
    ("HEAD", {"If-None-Match": "*"}),
    ("GET", {"If-None-Match": '"x"'}),
    ("GET", {"If-Match": "TAG"}),
    ("GET", {"If-Match": '"x"'}),
    ("HEAD", {"If-Match": '"x"'}),
    ("GET", {"If-Match": "nonsense"}),
    ("GET", {"If-Match": "TAG", "If-None-Match": "TAG"}),
    ("GET", {"Origin": "https://friend.example"}),
    ("GET", {"Origin": "https://foe.example"}),
    ("GET", {"Accept": "text/html"}),
)


@pytest.mark.parametrize("method, headers", REQUESTS)
def test_a_hit_looks_like_an_answer_without_a_cache(
    serve: Any, notes: Notes, method: str, headers: dict[str, str]
) -> None:
    """Byte for byte, whatever the request: found, found again, made anew and never cached."""

    def view(id: int) -> flask.Response:  # noqa: A002
        response = flask.jsonify(answer(id))
        response.headers["X-More"] = "more"
        response.headers.add("Link", "</a>")
        response.headers.add("Link", "</b>")
        response.cache_control.max_age = 60
        return response

    notes.add(pegboard.cached(Note, ttl=300)(view))
    cors = {"CORS_ORIGINS": "https://friend.example"}
    without, cached = serve(CACHE="none", **cors), serve(**cors)
    tag = without.get("/notes/1").headers["ETag"]
    headers = {name: value.replace("TAG", tag) for name, value in headers.items()}
    seen = [shown(without.open("/notes/1", method=method, headers=headers))]
    for expected in ("fwd=miss; stored", "hit", "hit"):
        response = cached.open("/notes/1", method=method, headers=headers)
        assert expected == told(response)
        seen.append(shown(response))
    assert 4 * seen[:1] == seen


def test_a_hit_costs_neither_sql_nor_flask(serve: Any, notes: Notes, no_flask: Any) -> None:
    """It is answered before."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    assert {"id": 1, "text": "one"} == client.get("/notes/1").json
    no_flask(client)
    notes.strategy.verbs.clear()
    with statements(client) as sent:
        assert {"id": 1, "text": "one"} == client.get("/notes/1").json
    assert ([], ["look_up"]) == (sent, notes.strategy.verbs)


def test_a_write_is_seen_by_the_next_reader(serve: Any, notes: Notes) -> None:
    """And by nobody's doing."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    for text in ("new", "newer"):
        client.get("/notes/1")
        client.get("/notes/2")
        write(client, text)
        assert text == client.get("/notes/1").json["text"]
        assert "hit" == told(client.get("/notes/1"))
        assert "hit" == told(client.get("/notes/2"))


def test_a_miss_asks_the_storage_once(serve: Any, notes: Notes) -> None:
    """What the stage has found out, the view's look-up knows."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    client.get("/notes/1")
    assert ["look_up", "lease", "fill"] == notes.strategy.verbs


def test_what_is_not_there_is_not_cached(serve: Any, notes: Notes) -> None:
    """And the next who asks need not wait for anybody."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    for _ in range(2):
        notes.strategy.verbs.clear()
        assert 404 == client.get("/notes/9").status_code
        assert ["look_up", "lease", "give_back"] == notes.strategy.verbs
    with client.application.app_context():
        pegboard.db.session.add(Note(id=9, text="nine"))
        pegboard.db.session.commit()
    assert "nine" == client.get("/notes/9").json["text"]


def no_store(response: flask.Response) -> None:
    """Forbid it."""
    response.cache_control.no_store = True


def private(response: flask.Response) -> None:
    """Address it to one client."""
    response.cache_control.private = True


def cookie(response: flask.Response) -> None:
    """Send something with it that is for one client."""
    response.set_cookie("who", "you")


def stream(response: flask.Response) -> None:
    """Let nobody know its length."""
    response.response = iter([b"part"])


def session(_: flask.Response) -> None:
    """Look at who asks; Flask sends the cookie later."""
    flask.session["seen"] = True


def error(response: flask.Response) -> None:
    """Answer otherwise than asked."""
    response.status_code = 203


@pytest.mark.parametrize("spoil", [no_store, private, cookie, stream, session, error])
def test_what_is_not_for_everybody_is_not_cached(
    serve: Any, notes: Notes, spoil: Callable[[flask.Response], None]
) -> None:
    """Nor what has no end; it is answered as it is."""

    @pegboard.cached(Note, ttl=300)
    def view(id: int) -> flask.Response:  # noqa: A002
        response = flask.make_response(answer(id))
        spoil(response)
        return response

    notes.add(view)
    client = serve(SECRET_KEY="x" * 40)
    for _ in range(2):
        notes.strategy.verbs.clear()
        assert "fwd=miss; detail=not-stored" == told(client.get("/notes/1"))
        assert ["look_up", "lease", "give_back"] == notes.strategy.verbs


def test_a_view_that_fails_gives_its_lease_back(serve: Any, notes: Notes) -> None:
    """The next request is served."""
    failing = [True]

    @pegboard.cached(Note, ttl=300)
    def view(id: int) -> Any:  # noqa: A002
        if failing.pop() if failing else False:
            raise InvalidJSONError
        return answer(id)

    notes.add(view)
    client = serve(PROPAGATE_EXCEPTIONS=False)
    with pytest.raises(InvalidJSONError):
        client.get("/notes/1")
    assert ["look_up", "lease", "give_back"] == notes.strategy.verbs
    assert "fwd=miss; stored" == told(client.get("/notes/1"))


# What comes before a view


@pytest.fixture
def calls() -> list[str]:
    """What a plugin's functions were called for."""
    return []


def test_what_is_around_the_look_up_is_never_left_out(
    serve: Any, notes: Notes, calls: list[str]
) -> None:
    """A decorator above it may want to refuse; what is cached is still used below it."""

    def login_required(view: View) -> View:
        @functools.wraps(view)
        def guard(**arguments: Any) -> Any:
            calls.append("login_required")
            if "X-Me" not in flask.request.headers:
                pegboard.abort(401, "Say who you are.")
            return view(**arguments)

        return guard

    notes.add(login_required(pegboard.cached(Note, ttl=300)(answer)))
    client = serve()
    headers = {"X-Me": "me"}
    expected = ["fwd=miss; stored", "hit"]
    assert expected == [told(client.get("/notes/1", headers=headers)) for _ in range(2)]
    assert 401 == client.get("/notes/1").status_code
    assert 3 * ["login_required"] == calls


def test_a_look_up_that_a_decorator_hides_is_refused(serve: Any, notes: Notes) -> None:
    """The platform cannot know what it must watch, and nothing would be cached."""
    view = pegboard.cached(Note, ttl=300)(answer)

    def hide(id: int) -> Any:  # noqa: A002
        return view(id=id)

    notes.add(hide)
    with pytest.raises(pegboard.StartupError, match="hides the cached of"):
        serve()


@pytest.mark.parametrize(
    "hook",
    [
        lambda app, function: app.before_request_funcs.update({None: [function]}),
        lambda app, function: app.before_request_funcs.update(notes=[function]),
        lambda app, function: app.url_value_preprocessor(lambda *_: function()),
        lambda app, function: app.teardown_request(lambda *_: function()),
    ],
    ids=["before_request", "of the blueprint", "url_value_preprocessor", "teardown_request"],
)
def test_what_a_plugin_hangs_before_views_sees_every_request(
    serve: Any, notes: Notes, calls: list[str], hook: Callable[..., Any]
) -> None:
    """It may want to refuse, or to count; what is cached is used after it."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    notes.set_up = lambda app: hook(app, functools.partial(calls.append, "called"))
    client = serve()
    assert ["fwd=miss; stored", "hit"] == [told(client.get("/notes/1")) for _ in range(2)]
    assert 2 * ["called"] == calls


@pytest.mark.parametrize(
    "signal", [signals.request_started, signals.request_finished, signals.request_tearing_down]
)
def test_who_listens_to_requests_hears_of_every_one(
    serve: Any, notes: Notes, calls: list[str], signal: Any
) -> None:
    """By Flask's signals."""

    def note(*_: object, **__: object) -> None:
        calls.append("heard")

    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    with signal.connected_to(note):
        assert ["fwd=miss; stored", "hit"] == [told(client.get("/notes/1")) for _ in range(2)]
    assert 2 * ["heard"] == calls


def test_what_a_plugin_hangs_after_views_sees_every_answer(
    serve: Any, notes: Notes, no_flask: Any
) -> None:
    """It changes a hit as it changes any answer; the view is not called for it."""

    def mark(response: flask.Response) -> flask.Response:
        response.headers["X-Marked"] = flask.request.path
        return response

    notes.add(pegboard.cached(Note, ttl=300)(answer))
    notes.set_up = lambda app: app.after_request_funcs.update({None: [mark]})
    client = serve()
    missed, hit = client.get("/notes/1"), client.get("/notes/1")
    assert "hit" == told(hit)
    assert "/notes/1" == hit.headers["X-Marked"]
    assert shown(missed) == shown(hit)


def test_a_look_up_may_say_that_it_precedes(serve: Any, notes: Notes, no_flask: Any) -> None:
    """Its answers are for all clients, whatever plugins have registered before views."""
    notes.add(pegboard.cached(Note, ttl=300, may_precede=True)(answer))
    notes.set_up = lambda app: app.before_request_funcs.update({None: [lambda: None]})
    client = serve()
    client.get("/notes/1")
    no_flask(client)
    assert "hit" == told(client.get("/notes/1"))


def view_class(**attributes: Any) -> View:
    """Return the view of a class with a cached look-up."""

    @pegboard.cached(Note, ttl=300)
    def get(_: MethodView, id: int) -> Any:  # noqa: A002
        return answer(id)

    members = {"get": get, **attributes}
    return type("NoteView", (MethodView,), members).as_view("note")  # type: ignore[attr-defined, no-any-return]


def test_a_method_of_a_class_is_answered_early(serve: Any, notes: Notes, no_flask: Any) -> None:
    """For HEAD, too."""
    notes.add(view_class())
    client = serve()
    client.get("/notes/1")
    no_flask(client)
    assert "hit" == told(client.get("/notes/1"))
    assert "hit" == told(client.head("/notes/1"))


def dispatching(self: MethodView, **arguments: Any) -> Any:
    """Do what a class does, and more."""
    flask.current_app.extensions["calls"].append("dispatched")
    return MethodView.dispatch_request(self, **arguments)


def decorating(view: View) -> View:
    """Do more around a view."""

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        flask.current_app.extensions["calls"].append("decorated")
        return view(**arguments)

    return run


@pytest.mark.parametrize(
    "attributes", [{"decorators": [decorating]}, {"dispatch_request": dispatching}]
)
def test_what_a_class_does_around_its_methods_is_never_left_out(
    serve: Any, notes: Notes, calls: list[str], attributes: dict[str, Any]
) -> None:
    """Its decorators and its own dispatch may want to refuse."""
    notes.add(view_class(**attributes))
    notes.set_up = lambda app: app.extensions.update(calls=calls)
    client = serve()
    assert ["fwd=miss; stored", "hit"] == [told(client.get("/notes/1")) for _ in range(2)]
    assert 2 == len(calls)


def test_only_reading_is_answered_from_the_cache(serve: Any, notes: Notes) -> None:
    """Another method of the same view is another matter."""

    @pegboard.cached(Note, ttl=300)
    def view(id: int) -> Any:  # noqa: A002
        return answer(id) if flask.request.method == "GET" else {"method": flask.request.method}

    notes.add(view, methods=["GET", "POST"])
    client = serve()
    client.get("/notes/1")
    assert {"method": "POST"} == client.post("/notes/1").json
    assert {"id": 1, "text": "one"} == client.get("/notes/1").json


# Readers at the same time


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for another is woken: he would wait longer than a test does."""
    monkeypatch.setattr(singleflight, "MAX_WAIT", 15.0)


class Gate:
    """A view that waits after it has read, and tells when it has."""

    def __init__(self) -> None:
        self.has_read, self.may_go = Event(), Event()
        self.reads = 0

    def view(self, id: int) -> Any:  # noqa: A002
        """Read, wait, answer."""
        found = answer(id)
        self.reads += 1
        if self.reads == 1:
            self.has_read.set()
            assert self.may_go.wait(10)
        return found


class CountingStrategy(MemoryStrategy):
    """Tells when so many have looked up."""

    def __init__(self, wanted: int) -> None:
        super().__init__(size=100)
        self.rest = [None] * wanted
        self.reached = Event()

    def look_up(self, key: Key) -> bytes | Miss:
        """Count."""
        found = super().look_up(key)
        if self.rest:
            self.rest.pop()
        if not self.rest:
            self.reached.set()
        return found


def in_background(client: FlaskClient, pool: ThreadPoolExecutor) -> "Future[TestResponse]":
    """Get the note from another thread."""
    return pool.submit(lambda: client.application.test_client().get("/notes/1"))


def test_of_a_hundred_readers_one_reads_the_database(
    serve: Any, notes: Notes, patient: None
) -> None:
    """The others get what it has read, whether they wait or come a moment later."""
    counting = CountingStrategy(100)
    notes.strategy = RecordingStrategy(counting)
    gate = Gate()
    notes.add(pegboard.cached(Note, ttl=300)(gate.view))
    client = serve()
    with ThreadPoolExecutor(100) as pool:
        readers = [in_background(client, pool) for _ in range(100)]
        assert counting.reached.wait(20)
        gate.may_go.set()
        answers = [reader.result(20).json["text"] for reader in readers]  # type: ignore[index]
    assert (100 * ["one"], 1) == (answers, gate.reads)


def test_who_waits_gets_nothing_older_than_what_he_was_told(
    serve: Any, notes: Notes, patient: None
) -> None:
    """A write is acknowledged between the read and the fill; the reader comes after it."""
    counting = CountingStrategy(2)
    notes.strategy = RecordingStrategy(counting)
    gate = Gate()
    notes.add(pegboard.cached(Note, ttl=300)(gate.view))
    client = serve()
    with ThreadPoolExecutor(2) as pool:
        slow = in_background(client, pool)
        assert gate.has_read.wait(10)
        write(client, "new")
        follower = in_background(client, pool)
        assert counting.reached.wait(10)
        gate.may_go.set()
        assert "one" == slow.result(10).json["text"]  # type: ignore[index]
        assert "new" == follower.result(10).json["text"]  # type: ignore[index]
    assert "new" == client.get("/notes/1").json["text"]


def test_who_waits_for_a_view_that_fails_reads_by_himself(
    serve: Any, notes: Notes, patient: None
) -> None:
    """Nobody is left waiting."""
    counting = CountingStrategy(2)
    notes.strategy = RecordingStrategy(counting)
    gate = Gate()

    @pegboard.cached(Note, ttl=300)
    def view(id: int) -> Any:  # noqa: A002
        found = gate.view(id)
        if gate.reads == 1:
            pegboard.abort(503, "Not now.")
        return found

    notes.add(view)
    client = serve()
    with ThreadPoolExecutor(2) as pool:
        failing = in_background(client, pool)
        assert gate.has_read.wait(10)
        follower = in_background(client, pool)
        assert counting.reached.wait(10)
        gate.may_go.set()
        assert (503, 200) == (failing.result(10).status_code, follower.result(10).status_code)


class ElsewhereStrategy(MemoryStrategy):
    """Another process holds the lease for a while."""

    def __init__(self, refusals: int) -> None:
        super().__init__(size=100)
        self.refusals = refusals

    def lease(self, key: Key) -> Lease | bytes | Miss:
        """Refuse it a few times; then it is there."""
        if self.refusals:
            self.refusals -= 1
            return Miss(MissReason.LEASED)
        given = super().lease(key)
        assert isinstance(given, Lease)
        entry = b'1.1\ntag\nContent-Type: application/json\n\n{"text": "elsewhere"}'
        super().fill(given, entry, 300)
        return entry


@pytest.mark.parametrize(
    "refusals, expected", [(3, "hit; detail=filled-elsewhere"), (99, "fwd=miss; detail=leased")]
)
def test_what_another_process_is_about_to_fill_is_waited_for(
    serve: Any, notes: Notes, monkeypatch: pytest.MonkeyPatch, refusals: int, expected: str
) -> None:
    """Briefly: then the database is read."""
    pauses: list[float] = []

    class Futures:
        Future = Future

        @staticmethod
        def wait(_: object, seconds: float) -> None:
            pauses.append(seconds)

    monkeypatch.setattr(filling, "futures", Futures)
    notes.strategy = RecordingStrategy(ElsewhereStrategy(refusals))
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    response = client.get("/notes/1")
    assert expected == told(response)
    assert ("elsewhere" if refusals == 3 else "one") == response.json["text"]
    assert 0.1 >= sum(pauses) > 0


# What a reader has read before


def test_a_reader_in_a_transaction_fills_nothing(serve: Any, notes: Notes) -> None:
    """What it reads may be older than the lease."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))

    def begin() -> None:
        pegboard.db.session.execute(select(Note))

    notes.set_up = lambda app: app.before_request_funcs.update({None: [begin]})
    client = serve()
    for _ in range(2):
        assert "fwd=bypass; detail=in-transaction" == told(client.get("/notes/1"))
    assert 2 * ["look_up"] == notes.strategy.verbs


def test_a_reader_does_not_fill_what_its_session_remembers(serve: Any, notes: Notes) -> None:
    """An object that was loaded before may be older than the lease, too."""

    @pegboard.cached(Note, ttl=300)
    def view(id: int) -> Any:  # noqa: A002
        return {"text": pegboard.db.session.get_one(Note, id).text}

    kept: list[Any] = []

    @pegboard.transactional
    def load() -> None:
        kept.append(pegboard.db.session.get_one(Note, 1))

    def remember() -> None:
        load()
        with pegboard.db.engine.begin() as other:
            other.execute(update(Note).where(Note.id == 1).values(text="new"))

    notes.add(view)
    notes.set_up = lambda app: app.before_request_funcs.update({None: [remember]})
    client = serve()
    assert ("new", "fwd=miss; stored") == (
        (response := client.get("/notes/1")).json["text"],
        told(response),
    )


# Keys


def test_one_row_has_one_key_however_it_is_spelled(serve: Any, notes: Notes) -> None:
    """A URL may spell a UUID in several ways; a write to the row forgets them all."""

    @pegboard.cached(Device, ttl=300)
    def view(id: str) -> Any:  # noqa: A002
        wanted = select(Device.name).where(Device.id == uuid.UUID(id))
        return {"name": pegboard.db.session.scalar(wanted)}

    notes.add(view, "/devices/<id>", "device")
    client = serve()
    urls = [f"/notes/devices/{spelled}" for spelled in (DEVICE, str(DEVICE).upper(), DEVICE.hex)]
    expected = ["fwd=miss; stored", "hit", "hit"]
    assert expected == [told(client.get(url)) for url in urls]
    with client.application.app_context():
        pegboard.db.session.get_one(Device, DEVICE).name = "new"
        pegboard.db.session.commit()
    assert 3 * ["new"] == [client.get(url).json["name"] for url in urls]


def test_two_views_of_one_row_have_each_their_own_answer(serve: Any, notes: Notes) -> None:
    """And one write forgets both."""

    @pegboard.cached(Note, ttl=300, name="other")
    def other(id: int) -> Any:  # noqa: A002
        return {"other": answer(id)["text"]}

    notes.add(pegboard.cached(Note, ttl=300)(answer))
    notes.add(other, "/<int:id>/other", "other")
    client = serve()
    for text in ("one", "new"):
        write(client, text)
        for _ in range(2):
            assert text == client.get("/notes/1").json["text"]
            assert {"other": text} == client.get("/notes/1/other").json


def test_bytes_that_are_no_answer_are_a_miss(
    serve: Any, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    """A strategy may hold garbage; the database is read, and a line is logged."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    client.get("/notes/1")
    for junk in (b"1.1\n", b"1.1\n\xff\n\n", b"1.1\ntag\nno header\n\n", b"1.1\n\x80\x04."):
        for entry in notes.strategy._strategy._entries.values():  # type: ignore[attr-defined]
            entry.value = junk
        response = client.get("/notes/1")
        assert ("one", "fwd=bypass; detail=unreadable") == (response.json["text"], told(response))
    assert "cannot be read" in caplog.text


# Configuration


def test_the_header_is_off_by_default(serve: Any, notes: Notes) -> None:
    """What is cached is nobody's business."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve(CACHE_STATUS_HEADER=False)
    for _ in range(2):
        assert "Cache-Status" not in client.get("/notes/1").headers


@pytest.mark.parametrize(
    "choice, expected",
    [("auto", RecordingStrategy), ("memory", MemoryStrategy), ("none", RecordingStrategy)],
)
def test_the_operator_chooses_the_strategy(
    serve: Any, notes: Notes, choice: str, expected: type
) -> None:
    """A plugin's is in force unless another is asked for."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve(CACHE=choice)
    assert expected is type(get_cache(client.application).strategy)
    statuses = [told(client.get("/notes/1")) for _ in range(2)]
    cached = ["fwd=miss; stored", "hit"]
    assert (2 * ["fwd=bypass; detail=off"] if choice == "none" else cached) == statuses


def test_without_a_plugin_memory_serves_where_it_is_right(
    make_app: MakeApp, sqlite_url: str, postgres_url: str
) -> None:
    """On SQLite, whose file tells of other processes; beside PostgreSQL only if asked for."""
    found = [
        get_cache(make_app(DATABASE_URL=url, CACHE=choice)).strategy.name
        for url in ("sqlite://", sqlite_url, postgres_url)
        for choice in ("auto", "memory")
    ]
    assert ["memory", "memory", "memory", "memory", "none", "memory"] == found


def test_a_cache_in_memory_beside_a_plugin_that_could_share_it_is_warned_of(
    serve: Any, make_app: MakeApp, postgres_url: str, sqlite_url: str, caplog: Any
) -> None:
    """In one line at the start; not where it is right, or where there is nothing to share it."""
    serve(CACHE="memory", DATABASE_URL=sqlite_url)
    serve(CACHE="auto", DATABASE_URL=postgres_url)
    make_app(CACHE="memory", DATABASE_URL=postgres_url)
    assert not any("PEGBOARD_CACHE" in message for message in caplog.messages)
    serve(CACHE="memory", DATABASE_URL=postgres_url)
    (said,) = [message for message in caplog.messages if "PEGBOARD_CACHE=memory" in message]
    assert "notes is not used" in said


def test_workers_that_would_each_have_a_cache_stop_the_start(serve: Any, postgres_url: str) -> None:
    """In memory beside PostgreSQL; it says what to do."""
    problem = start_problem(serve, CACHE="memory", WORKERS=2, DATABASE_URL=postgres_url)
    assert "several workers would each have their own" in problem.summary
    assert "WORKERS=1" in problem.hint


def test_a_plugin_may_decline(serve: Any, notes: Notes) -> None:
    """Then what serves without it serves."""
    notes.declines = True
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve()
    assert "memory" == get_cache(client.application).strategy.name
    assert ["fwd=miss; stored", "hit"] == [told(client.get("/notes/1")) for _ in range(2)]
    assert [] == notes.strategy.verbs


def test_rows_in_another_database_stop_the_start(serve: Any, notes: Notes, tmp_path: Path) -> None:
    """Nobody watches what is written there; as the row's table, and as one to depend on."""

    class Elsewhere(DeclarativeBase):
        metadata = MetaData(info={"bind_key": "other"})

    class Thing(Elsewhere):
        __tablename__ = "things"

        id: Mapped[int] = mapped_column(primary_key=True)

    binds = {"other": f"sqlite:///{tmp_path}/other.db"}
    notes.add(pegboard.cached(Thing, ttl=300)(answer))
    problem = start_problem(serve, SQLALCHEMY_BINDS=binds)
    assert "notes" == problem.plugin
    assert "test_lookup.answer" in problem.summary
    assert "Thing" in problem.summary
    assert "things, which is in the database of the bind other" in problem.summary
    assert "bind_key" in problem.hint
    notes.blueprint = flask.Blueprint("notes", __name__)
    notes.add(pegboard.cached(Note, ttl=300, depends=[Thing])(answer))
    problem = start_problem(serve, SQLALCHEMY_BINDS=binds)
    assert "things, which is in the database of the bind other" in problem.summary


def test_models_that_cannot_be_mapped_stop_the_start(serve: Any, notes: Notes) -> None:
    """What links them is looked for before the first request does."""

    class Broken(DeclarativeBase):
        pass

    class Page(Broken):
        __tablename__ = "pages"

        id: Mapped[int] = mapped_column(primary_key=True)
        book: Mapped[Any] = relationship("Book")

    notes.add(pegboard.cached(Page, ttl=300)(answer))
    problem = start_problem(serve)
    assert "notes" == problem.plugin
    assert "'Book'" in problem.summary
    assert "test_lookup.answer" in problem.summary


def start_problem(serve: Any, **config: object) -> pegboard.Problem:
    """The one problem that keeps the service from starting."""
    with pytest.raises(pegboard.StartupError) as caught:
        serve(**config)
    (problem,) = caught.value.problems
    assert isinstance(problem, pegboard.Problem)
    return problem


def test_an_unknown_choice_stops_the_start(serve: Any) -> None:
    """It says what there is."""
    problem = start_problem(serve, CACHE="redis")
    assert "CACHE" in problem.summary
    for choice in ("auto", "memory", "none"):
        assert choice in problem.summary + problem.hint


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"ttl": timedelta(minutes=5).total_seconds()}, "ttl is .* at least 1, not 300.0"),
        ({"ttl": "300"}, "ttl is .* not '300'"),
        ({"ttl": True}, "ttl is .* not True"),
        ({"ttl": 0}, "ttl is .* not 0"),
        ({"model": "Note"}, "the model is a class with a table, not 'Note'"),
        ({"model": Base}, "the model is a class with a table, not .*Base"),
        ({"depends": ["Note"]}, r"depends is a list of .* not \['Note'\]"),
        ({"depends": "Note"}, "depends is a list of .* not 'Note'"),
        ({"depends": Note}, "depends is a list of .* not .*Note"),
        ({"name": "My view"}, "name is made of .* not 'My view'"),
        ({"name": 7}, "name is made of .* not 7"),
        ({"version": "2"}, "version is a whole number, not '2'"),
    ],
)
def test_what_is_declared_wrong_is_refused_at_once(wrong: dict[str, Any], expected: str) -> None:
    """In a sentence that names the view."""
    declared: dict[str, Any] = {"model": Note, "ttl": 300, **wrong}
    sentence = f"^the cached view .*test_lookup.answer: {expected}"
    with pytest.raises(ValueError, match=sentence):
        pegboard.cached(declared.pop("model"), **declared)(answer)


def test_a_class_of_views_is_refused() -> None:
    """Its methods are what can be cached."""
    with pytest.raises(ValueError, match="above the method get, not above the class"):
        pegboard.cached(Note, ttl=300)(MethodView)


@pytest.mark.parametrize(
    "rule, options",
    [
        ("/", {}),
        ("/<int:id>/<other>", {}),
        ("/first", {"defaults": {"id": 1}}),
    ],
)
def test_a_url_that_does_not_tell_the_row_stops_the_start(
    serve: Any, notes: Notes, rule: str, options: dict[str, Any]
) -> None:
    """The problem names the plugin, the view, and what to do."""

    def answer_any(**variables: Any) -> Any:
        return answer(variables["id"])

    notes.add(pegboard.cached(Note, ttl=300)(answer_any), rule, **options)
    problem = start_problem(serve)
    assert "notes" == problem.plugin
    assert "answer_any is at /notes" in problem.summary
    assert "the primary key of notes" in problem.summary
    assert "one variable for each column" in problem.hint


@pytest.mark.parametrize("blueprint", [flask.Blueprint, pegboard.Blueprint])
def test_a_look_up_above_its_route_stops_the_start(
    serve: Any, notes: Notes, blueprint: type[flask.Blueprint]
) -> None:
    """The route would have the view alone, and nothing would be cached."""
    notes.blueprint = blueprint("notes", __name__, url_prefix="/notes")

    @pegboard.cached(Note, ttl=300)
    @notes.blueprint.get("/<int:id>")
    def view(id: int) -> Any:  # noqa: A002
        return answer(id)

    problem = start_problem(serve)
    assert "notes" == problem.plugin
    assert "<locals>.view" in problem.summary
    assert "declared above its route" in problem.summary
    assert "below the route" in problem.hint


def test_a_view_may_also_be_routed_without_its_look_up(serve: Any, notes: Notes) -> None:
    """If it is with it as well; there nothing is cached."""

    def view(id: int) -> Any:  # noqa: A002
        return answer(id)

    notes.add(view, "/<int:id>/raw", "raw")
    notes.add(pegboard.cached(Note, ttl=300)(view))
    client = serve()
    assert "Cache-Status" not in client.get("/notes/1/raw").headers
    assert "fwd=miss; stored" == told(client.get("/notes/1"))


def test_two_views_of_one_name_stop_the_start(serve: Any, notes: Notes) -> None:
    """They would give each other's answers, as a view that a function makes may."""

    def make(greeting: str) -> View:
        @pegboard.cached(Note, ttl=300)
        def view(id: int) -> Any:  # noqa: A002
            return {"text": f"{greeting}, {answer(id)['text']}"}

        return view

    notes.add(make("hello"))
    notes.add(make("bye"), "/<int:id>/bye", "bye")
    problem = start_problem(serve)
    assert "notes" == problem.plugin
    assert "of notes have one name" in problem.summary
    assert "name=" in problem.hint


def test_releases_side_by_side_forget_each_others_answers() -> None:
    """Each takes its own only, and the writes of one are news to the other."""
    one, two = (
        lookup_of(pegboard.cached(Note, ttl=300, version=version)(answer)) for version in (1, 2)
    )
    assert one is not None
    assert two is not None
    assert one.key([1]) == two.key([1])
    value = Entry("tag", [], b"answer").encode(one.form({}))
    assert isinstance(service.decode(value, one.form({})), Entry)
    assert Miss(MissReason.OTHER_RELEASE, may_fill=False) == service.decode(value, two.form({}))


def test_who_does_not_cache_keeps_others_from_serving_what_is_old(serve: Any, notes: Notes) -> None:
    """With PEGBOARD_CACHE=none a write is fenced all the same."""
    notes.add(pegboard.cached(Note, ttl=300)(answer))
    client = serve(CACHE="none")
    notes.strategy.verbs.clear()
    write(client, "new")
    assert ["fence", "release"] == notes.strategy.verbs


def test_a_query_is_not_looked_up(serve: Any, notes: Notes) -> None:
    """The view may look at it."""

    def echo(id: int) -> Any:  # noqa: A002
        return {"id": id, "x": flask.request.args.get("x")}

    notes.add(pegboard.cached(Note, ttl=300)(echo))
    client = serve()
    answers = [client.get(f"/notes/1?x={x}") for x in "ab"]
    assert ["a", "b"] == [answer.json["x"] for answer in answers]
    assert 2 * ["fwd=bypass; detail=query"] == [told(answer) for answer in answers]


@pytest.mark.parametrize("control, expected", [("", "not-stored"), ("public", "stored")])
def test_what_is_asked_with_credentials_is_stored_only_if_public(
    serve: Any, notes: Notes, control: str, expected: str
) -> None:
    """RFC 9111, section 3.5."""

    def secret(id: int) -> Any:  # noqa: A002
        response = flask.jsonify(id=id)
        response.headers["Cache-Control"] = control
        return response

    notes.add(pegboard.cached(Note, ttl=300)(secret))
    answer = serve().get("/notes/1", headers={"Authorization": "Bearer me"})
    assert expected in told(answer).split("; ")[-1]


def test_an_answer_that_varies_is_never_shared(serve: Any, notes: Notes) -> None:
    """Another client would get what was made for the first."""

    def varying(id: int) -> Any:  # noqa: A002
        response = flask.jsonify(id=id)
        response.vary.add("Accept-Language")
        return response

    notes.add(pegboard.cached(Note, ttl=300)(varying))
    client = serve()
    assert 2 * ["fwd=miss; detail=not-stored"] == [told(client.get("/notes/1")) for _ in range(2)]


def test_an_answer_for_one_client_is_never_shared(serve: Any, notes: Notes) -> None:
    """Whose view has looked at the session, or whose answer says so, is read anew each time."""

    def personal(id: int) -> Any:  # noqa: A002
        return {"text": flask.session.get("user", f"nobody at {id}")}

    notes.add(pegboard.cached(Note, ttl=300)(personal))
    client = serve(SESSIONS="cookie")
    assert 2 * ["fwd=miss; detail=not-stored"] == [told(client.get("/notes/1")) for _ in range(2)]


def test_one_view_at_two_urls_is_one_look_up(serve: Any, notes: Notes) -> None:
    """What is filled at one is found at the other."""
    view = pegboard.cached(Note, ttl=300)(answer)
    notes.add(view)
    notes.add(view, "/<int:id>/again", "again")
    client = serve()
    client.get("/notes/1")
    assert "hit" == told(client.get("/notes/1/again"))
