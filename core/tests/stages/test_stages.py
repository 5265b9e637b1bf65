"""Stages: their order, their one round trip, and answers that look as if Flask had given them."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import flask
import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask.views import MethodView
from werkzeug.routing import BaseConverter, IntegerConverter, UUIDConverter
from werkzeug.test import EnvironBuilder

import pegboard
from pegboard.redis import ChannelError, Command, command
from pegboard.stages import Answer, Call, Route
from pegboard.stages.routing import Matches
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.proxy import RedisProxy

VARYING = {"X-Request-ID", "Date"}


@dataclass
class Script:
    """A stage that does at every route what the test says, and remembers what it saw."""

    name: str
    order: int
    prepares: Callable[[Call], Any] = lambda _: None
    completes: Callable[[Call, Any], Any] = lambda _call, _replies: None
    binds: Callable[[Route | None], bool] = lambda _: True
    bound: list[Route | None] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)

    def bind(self, route: Route | None) -> "Script | None":
        """Bind where the test says."""
        self.bound.append(route)
        return self if self.binds(route) else None

    def prepare(self, call: Call) -> Any:
        """Return what the test says."""
        return self.prepares(call)

    def complete(self, call: Call, replies: Any) -> Any:
        """Return what the test says."""
        self.received.append(replies)
        return self.completes(call, replies)


class Plugin:
    """A plugin with a few routes and the stages of a test."""

    name = "staged"

    def __init__(self, *stages: Script) -> None:
        self.stages = stages
        self.blueprint = flask.Blueprint("staged", __name__, url_prefix="/staged")

        @self.blueprint.get("/<int:number>")
        def show(number: int) -> dict[str, int]:
            return {"number": number}

        @self.blueprint.get("/refused")
        def refuse() -> NoReturn:
            pegboard.abort(409, "No.", headers={"X-Why": "so"})

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> Sequence[flask.Blueprint]:
        """Serve the routes."""
        return [self.blueprint]

    @pegboard.hookimpl
    def pegboard_stages(self, app: Flask) -> Sequence[Script]:
        """Return the stages."""
        assert app.name == "pegboard"
        return self.stages


class Elsewhere:
    """Another plugin, with a stage of its own."""

    name = "elsewhere"

    def __init__(self, stage: Script) -> None:
        self.stage = stage

    @pegboard.hookimpl
    def pegboard_stages(self) -> Sequence[Script]:
        """Return the stage."""
        return [self.stage]


def ping(call: Call) -> list[Command]:
    """Ask Redis for an echo of the path."""
    return [command("ECHO", call.environ["PATH_INFO"], key="x")]


def answering(body: bytes, status: int = 200) -> Callable[..., Answer]:
    """Return what answers with a text."""
    return lambda *_: Answer(status, [("Content-Type", "text/plain")], body)


def test_stages_act_in_their_order_whichever_plugin_has_them(make_app: MakeApp) -> None:
    """The lower number first, not the order of the plugins; an answer ends it."""
    seen: list[str] = []

    def noting(name: str, order: int) -> Script:
        return Script(name, order, prepares=lambda _: seen.append(name))

    stages = [noting("last", 900), noting("first", 100)]
    middle = Script("middle", 500, prepares=lambda _: seen.append("middle"))
    app = make_app(plugins=[Plugin(*stages), Elsewhere(middle)])

    assert {"number": 1} == app.test_client().get("/staged/1").get_json()
    assert ["first", "middle", "last"] == seen


def test_first_answer_ends_the_request(make_app: MakeApp) -> None:
    """Later stages are not asked, and Flask sees nothing."""
    late = Script("late", 2, prepares=answering(b"late"))
    app = make_app(plugins=[Plugin(Script("early", 1, prepares=answering(b"early")), late)])
    answer = app.test_client().get("/staged/1")

    assert (200, b"early", "5") == (
        answer.status_code,
        answer.data,
        answer.headers["Content-Length"],
    )


def test_two_stages_of_one_place_stop_the_start(make_app: MakeApp) -> None:
    """The order is declared, never accidental."""
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=[Plugin(Script("one", 7)), Elsewhere(Script("two", 7))])

    assert "place 7" in str(caught.value)


@pytest.mark.parametrize(
    "stage,summary",
    [
        (Script("one", 300), "place 300 of cache"),
        (Script("cache", 1), "stage cache has the name of a stage of the core"),
        (Script("", 1), "Script has no name"),
        (Script(None, 1), "Script has no name"),  # type: ignore[arg-type]  # as the case wants
        (Script("one", "1"), "one has no place: its order is '1'"),  # type: ignore[arg-type]
        (Script("one", order=True), "one has no place"),
        (Script("one", None), "one has no place"),  # type: ignore[arg-type]
        (SimpleNamespace(name="one", order=1, bind=None), "one cannot be bound"),
        (object(), "object has no name"),
    ],
)
def test_a_stage_that_is_not_as_it_should_be_stops_the_start(
    make_app: MakeApp, stage: Any, summary: str
) -> None:
    """The core's own are checked like the others; the problem names the plugin."""
    with pytest.raises(pegboard.StartupError, match=f"staged: .*{summary}"):
        make_app(plugins=[Plugin(stage)])


def test_stages_that_are_no_list_stop_the_start(make_app: MakeApp) -> None:
    """In words."""
    plugin = Plugin()
    plugin.stages = 5  # type: ignore[assignment]  # as the case wants
    with pytest.raises(pegboard.StartupError, match="staged: pegboard_stages returned 5"):
        make_app(plugins=[plugin])


def test_a_status_without_a_name_is_sent(make_app: MakeApp) -> None:
    """Numbers are free."""
    app = make_app(plugins=[Plugin(Script("one", 1, prepares=answering(b"text", 599)))])
    assert "599 Unknown" == app.test_client().get("/staged/1").status


def test_what_stages_ask_travels_together(make_app: MakeApp, redis_proxy: RedisProxy) -> None:
    """One exchange for all; each gets the replies to its own commands."""
    one = Script("one", 1, prepares=lambda call: ping(call) * 2)
    two = Script("two", 2, prepares=ping)
    app = make_app(plugins=[Plugin(one, two)], REDIS_URL=redis_proxy.url, REDIS_TIMEOUT=5.0)
    client = app.test_client()
    client.get("/staged/1")
    redis_proxy.round_trips.clear()
    client.get("/staged/2")

    assert [["ECHO"] * 3] == redis_proxy.round_trips
    assert [b"/staged/2"] * 2 == [reply.value for reply in one.received[-1]]
    assert [b"/staged/2"] == [reply.value for reply in two.received[-1]]


def test_answer_of_the_first_to_hear_wins(make_app: MakeApp, redis_url: str) -> None:
    """A stage that answers at once still lets those before it hear first."""
    limit = Script("limit", 1, prepares=ping, completes=answering(b"refused", 429))
    cache = Script("answer", 2, prepares=answering(b"cached"))
    app = make_app(plugins=[Plugin(limit, cache)], REDIS_URL=redis_url, REDIS_TIMEOUT=5.0)

    assert (429, b"refused") == (
        (answer := app.test_client().get("/staged/1")).status_code,
        answer.data,
    )


def test_without_redis_a_stage_is_told_why(make_app: MakeApp) -> None:
    """It gets the error, and decides."""
    stage = Script("one", 1, prepares=ping)
    answer = make_app(plugins=[Plugin(stage)]).test_client().get("/staged/1")

    assert 200 == answer.status_code
    assert isinstance(stage.received[0], ChannelError)


@pytest.mark.parametrize("path", ["/staged/1", "/staged/refused", "/nothing"])
def test_headers_of_a_stage_are_on_every_answer(make_app: MakeApp, path: str) -> None:
    """Given by the stage, by the view or as an error."""
    stage = Script("one", 1, prepares=lambda call: call.headers.append(("X-Stage", "was here")))
    answer = make_app(plugins=[Plugin(stage)]).test_client().get(path)

    assert "was here" == answer.headers["X-Stage"]


def answer_error() -> Answer:
    """Refuse by an answer."""
    return Answer.error(409, "No.", [("X-Why", "so")])


def abort() -> NoReturn:
    """Refuse as a view does."""
    pegboard.abort(409, "No.", headers={"X-Why": "so"})


@pytest.mark.parametrize("origin", [None, "https://app.example", "https://foreign.example"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("refuse", [answer_error, abort])
@pytest.mark.parametrize("when", ["prepares", "completes"])
def test_error_of_a_stage_is_as_flask_gives_it(
    make_app: MakeApp, refuse: Callable[[], Any], when: str, origin: str | None, method: str
) -> None:
    """Status, body and headers, those of CORS included, are those of the same error in a view."""
    stage = failing(refuse, when)
    app = make_app(plugins=[Plugin(stage)], CORS_ORIGINS="https://app.example")
    headers = {"Origin": origin} if origin else {}
    by_stage, by_flask = (
        app.test_client().open(path, method=method, headers=headers)
        for path in ("/staged/1", "/staged/refused")
    )

    assert (by_flask.status_code, by_flask.data) == (by_stage.status_code, by_stage.data)
    assert visible(by_flask) == visible(by_stage)


def failing(fails: Callable[[], Any], when: str) -> Script:
    """Return a stage that does this at one path when it prepares, or when it completes."""

    def fail(call: Call, *_: Any) -> Any:
        return fails() if call.environ["PATH_INFO"] == "/staged/1" else None

    return Script(
        "late",
        2,
        **({"prepares": fail} if when == "prepares" else {"prepares": ping, "completes": fail}),
    )


def bug() -> NoReturn:
    """Be a mistake of a stage's author."""
    message = "a bug"
    raise RuntimeError(message)


def wrong_headers(headers: Any) -> Callable[[], Answer]:
    """Return what answers with headers that are none."""
    return lambda: Answer(200, headers, b"text")


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (bug, "a bug"),
    "text": (lambda: Answer(200, [], "text"), "must be bytes"),  # type: ignore[arg-type]
    "status": (lambda: Answer(99, [], b""), "the status is 99"),
    "status of text": (lambda: Answer("200", [], b""), "status is '200'"),  # type: ignore[arg-type]
    "body of none": (lambda: Answer(304, [], b"text"), "304 goes without a body"),
    "length": (wrong_headers([("content-length", "4")]), "Content-Length is added"),
    "encoding": (wrong_headers([("Transfer-Encoding", "chunked")]), "no header that an app may"),
    "name": (wrong_headers([("X Name", "a")]), "'X Name' is no header"),
    "number": (wrong_headers([("X-Name", 5)]), "pairs of texts"),
    "bytes": (wrong_headers([(b"X-Name", b"a")]), "pairs of texts"),
    "two lines": (wrong_headers([("X-Name", "a\r\nb")]), "no value of a header"),
    "no latin": (wrong_headers([("X-Name", "\u0416")]), "no value of a header"),
    "no pairs": (wrong_headers(["X-Name"]), "pairs of texts"),
    "none": (wrong_headers(None), "must be a list"),
    "once": (wrong_headers(iter([("X-Name", "a")])), "must be a list"),
    "aborts wrongly": (lambda: pegboard.abort(409, "No.", headers={"X": "\n"}), "no value"),
}


@pytest.mark.parametrize("origin", [None, "https://app.example"])
@pytest.mark.parametrize("when", ["prepares", "completes"])
@pytest.mark.parametrize("fails,told", WRONG.values(), ids=list(WRONG))
def test_failure_of_a_stage_is_as_flask_gives_it(
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    fails: Callable[[], Any],
    told: str,
    when: str,
    origin: str | None,
) -> None:
    """500 with all headers that a view's has; its author is told which stage, and why."""
    early = Script("early", 1, prepares=lambda call: call.headers.append(("X-Early", "yes")))
    app = make_app(
        plugins=[Plugin(early, failing(fails, when))],
        TESTING=False,
        SECRET_KEY="k",
        CORS_ORIGINS="https://app.example",
    )
    app.get("/bug")(bug)
    headers = {"X-Request-ID": "same"} | ({"Origin": origin} if origin else {})
    by_stage, by_flask = (
        app.test_client().get(path, headers=headers) for path in ("/staged/1", "/bug")
    )

    assert (500, by_flask.data) == (by_stage.status_code, by_stage.data)
    assert visible(by_flask) == visible(by_stage)
    assert "yes" == by_stage.headers["X-Early"]
    (message,) = [one for one in caplog.messages if "the stage late has failed: " in one]
    assert told in message


@pytest.mark.parametrize("wrong", [("text", 200), flask.Response("text"), "text"])
def test_an_answer_that_is_none_is_a_failure(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, wrong: Any
) -> None:
    """What a view may return, a stage may not; its author is told."""
    app = make_app(
        plugins=[Plugin(failing(lambda: wrong, "completes"))], TESTING=False, SECRET_KEY="k"
    )

    assert 500 == app.test_client().get("/staged/1").status_code
    assert "is no pegboard.stages.Answer" in caplog.text


def test_failure_of_a_stage_reaches_the_test_client(make_app: MakeApp) -> None:
    """As that of a view does."""
    app = make_app(plugins=[Plugin(failing(bug, "prepares"))])
    with pytest.raises(RuntimeError, match="a bug"):
        app.test_client().get("/staged/1")


def test_fields_of_an_abort_are_told(make_app: MakeApp) -> None:
    """And headers may be numbers, as in a view."""

    def refuse() -> NoReturn:
        headers: Any = {"Retry-After": 7}
        pegboard.abort(422, "No.", errors={"name": ["Too long."]}, headers=headers)

    answer = make_app(plugins=[Plugin(failing(refuse, "prepares"))]).test_client().get("/staged/1")
    assert {"message": "No.", "status": 422, "errors": {"name": ["Too long."]}} == answer.get_json()
    assert "7" == answer.headers["Retry-After"]


def visible(response: Any) -> dict[str, str]:
    """The headers that two answers to one question share."""
    return {name: value for name, value in response.headers.items() if name not in VARYING}


def test_answer_of_a_stage_passes_after_request_functions_of_plugins(make_app: MakeApp) -> None:
    """A plugin that adds a header to every answer adds it to this one."""
    app = make_app(plugins=[Plugin(Script("one", 1, prepares=answering(b"text")))])

    @app.after_request
    def sign(response: flask.Response) -> flask.Response:
        response.headers["X-Signed"] = "yes"
        return response

    answer = app.test_client().get("/staged/1")
    assert (b"text", "yes") == (answer.data, answer.headers["X-Signed"])


def test_an_answer_of_a_stage_goes_without_a_function_that_fails(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """What it relies on was to be done before the request; the others have their part."""
    app = make_app(
        plugins=[Plugin(Script("one", 1, prepares=answering(b"no", 429)))],
        TESTING=False,
        SECRET_KEY="k",
    )

    @app.after_request
    def sign(response: flask.Response) -> flask.Response:
        response.headers["X-Signed"] = "yes"
        return response

    @app.after_request
    def measure(response: flask.Response) -> flask.Response:
        response.headers["X-Started"] = str(flask.g.started)
        return response

    answer = app.test_client().get("/staged/1")
    assert (429, b"no", "yes") == (answer.status_code, answer.data, answer.headers["X-Signed"])
    assert "measure" in caplog.text


@pytest.mark.parametrize("method", ["get", "Get", "gET"])
def test_a_method_in_odd_case_reaches_no_stage_and_no_view(make_app: MakeApp, method: str) -> None:
    """Names of methods are case-sensitive: it is another method, which nothing serves."""
    stage = Script("one", 1, binds=lambda _: True)
    stage.prepares = answering(b"stage")
    app = make_app(plugins=[Plugin(stage)])
    environ = EnvironBuilder(path="/staged/1").get_environ()
    environ["REQUEST_METHOD"] = method
    answer = app.test_client().open(environ)

    assert (501, 501) == (answer.status_code, answer.get_json()["status"])
    assert b"stage" == app.test_client().get("/staged/1").data


class Gate(Plugin):
    """A plugin that lets only those in who know the word, by middleware."""

    name = "gate"

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Hang the middleware."""
        inner = app.wsgi_app

        def middleware(environ: Any, start_response: Any) -> Any:
            if environ.get("HTTP_X_WORD") == "please":
                return inner(environ, start_response)
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []

        app.wsgi_app = middleware  # type: ignore[method-assign]  # Flask's way to add it


def test_middleware_of_a_plugin_sees_a_request_before_the_stages(make_app: MakeApp) -> None:
    """It may refuse what a stage would answer."""
    app = make_app(plugins=[Gate(Script("one", 1, prepares=answering(b"stage")))])
    refused = app.test_client().get("/staged/1")
    admitted = app.test_client().get("/staged/1", headers={"X-Word": "please"})

    assert (403, b"") == (refused.status_code, refused.data)
    assert "X-Request-ID" in refused.headers
    assert b"stage" == admitted.data


class Plain(MethodView):
    """A view that nothing stands before."""

    def get(self) -> str:
        """Answer."""
        return "plain"


class Choosy(Plain):
    """A view that may refuse when it is made."""

    def __init__(self) -> None:
        """Refuse."""
        pegboard.abort(403, "No.")


def refusing(view: Any) -> Any:
    """Wrap a view without a trace but its class."""

    def outer(**arguments: Any) -> Any:
        return view(**arguments)

    outer.view_class = view.view_class  # type: ignore[attr-defined]
    return outer


class Turnstile(SecureCookieSessionInterface):
    """Sessions that not everybody may open."""


@pytest.mark.parametrize(
    "view,replaced,expected",
    [
        (Plain.as_view("plain"), None, False),
        (Choosy.as_view("plain"), None, True),
        (refusing(Plain.as_view("plain")), None, True),
        (Plain.as_view("plain"), "dispatch_request", True),
        (Plain.as_view("plain"), "full_dispatch_request", True),
        (Plain.as_view("plain"), "preprocess_request", True),
        (Plain.as_view("plain"), "request_class", True),
        (Plain.as_view("plain"), "request_context", True),
        (Plain.as_view("plain"), "session_interface", True),
    ],
)
def test_a_route_is_guarded_by_whatever_may_refuse(
    make_app: MakeApp, view: Any, replaced: str | None, *, expected: bool
) -> None:
    """So that no stage answers in its place."""
    stage = Script("one", 1)
    app = make_app(plugins=[Plugin(stage)])
    app.add_url_rule("/plain", "plain", view)
    if replaced == "session_interface":
        app.session_interface = Turnstile()
    elif replaced:
        setattr(app, replaced, getattr(app, replaced))
    app.test_client().get("/plain")

    (route,) = stage.bound
    assert route
    assert expected is route.has_before_hooks


class Basket(BaseConverter):
    """Makes something that can be changed."""

    def to_python(self, value: str) -> list[str]:
        """Make it."""
        return [value]


class Clock(IntegerConverter):
    """Makes of one text now this, now that."""

    count = 0

    def to_python(self, value: str) -> int:
        """Count."""
        Clock.count += 1
        return Clock.count


class Strict(IntegerConverter):
    """Only matches otherwise."""

    regex = "[1-9]"


@pytest.mark.parametrize(
    "converter,is_remembered",
    [(Basket, False), (Clock, False), (Strict, True), (UUIDConverter, True)],
)
def test_arguments_are_remembered_if_they_are_always_the_same(
    make_app: MakeApp, converter: type[BaseConverter], *, is_remembered: bool
) -> None:
    """What a view does to its arguments reaches no other request."""
    app = make_app(plugins=[Plugin(Script("one", 1))])
    app.url_map.converters["odd"] = converter
    seen: list[Any] = []

    @app.get("/odd/<odd:value>", endpoint="odd")
    def show(value: Any) -> str:
        seen.append(str(value))
        if isinstance(value, list):
            value.append("leaks")
        return "shown"

    path = "/odd/" + (str(uuid.UUID(int=1)) if converter is UUIDConverter else "1")
    for _ in range(2):
        assert 200 == app.test_client().get(path).status_code
    assert (seen[0] == seen[1]) is (converter is not Clock)
    matches = Matches(app)
    first, second = (matches.find(EnvironBuilder(path).get_environ()) for _ in range(2))
    assert is_remembered is (first is second)


def test_stage_is_bound_once_for_each_route_and_method(make_app: MakeApp) -> None:
    """With the rule and the view; None stands for what matches nothing; health is left out."""
    stage = Script("one", 1)
    client = make_app(plugins=[Plugin(stage)]).test_client()
    for _ in range(2):
        for path in ("/staged/1", "/staged/2", "/nothing", "/staged/x", "/health"):
            client.get(path)
        client.head("/staged/3")

    bound = [(route.endpoint, route.method) if route else None for route in stage.bound]
    assert [("staged.show", "GET"), None, ("staged.show", "HEAD")] == bound


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit("a bug")])
@pytest.mark.parametrize("origin", [{}, {"Origin": "https://app.example"}], ids=["plain", "CORS"])
def test_stage_that_cannot_be_bound_is_one_error(
    make_app: MakeApp,
    origin: dict[str, str],
    error: BaseException,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """500 with the headers of CORS and of other stages; the next request binds it anew."""
    failures = [error]

    def binds(_: Route | None) -> bool:
        if failures:
            raise failures.pop()
        return True

    early = Script("early", 1, prepares=lambda call: call.headers.append(("X-Early", "yes")))
    app = make_app(
        plugins=[Plugin(early, Script("late", 2, prepares=answering(b"stage"), binds=binds))],
        TESTING=False,
        SECRET_KEY="k",
        CORS_ORIGINS="https://app.example",
    )
    client = app.test_client()
    failed = client.get("/staged/1", headers=origin)
    identifier = failed.headers["X-Request-ID"]
    message = f"Internal server error, request id {identifier}."
    assert (500, {"message": message, "status": 500}) == (failed.status_code, failed.get_json())
    assert ("yes", "Origin, Accept-Encoding") == (failed.headers["X-Early"], failed.headers["Vary"])
    assert origin.get("Origin") == failed.headers.get("Access-Control-Allow-Origin")
    assert "the stage late has failed: a bug" in caplog.messages
    assert (200, b"stage") == ((fine := client.get("/staged/1")).status_code, fine.data)


def test_stage_that_does_not_bind_is_never_asked(make_app: MakeApp) -> None:
    """It costs that route nothing."""
    stage = Script("one", 1, prepares=answering(b"stage"), binds=lambda route: route is None)
    client = make_app(plugins=[Plugin(stage)]).test_client()

    assert {"number": 1} == client.get("/staged/1").get_json()
    assert b"stage" == client.get("/nothing").data


def test_call_carries_the_variables_of_the_url(make_app: MakeApp) -> None:
    """They are converted, and fresh for each request."""
    seen: list[Any] = []
    stage = Script("one", 1, prepares=lambda call: seen.append(dict(call.arguments)))
    client = make_app(plugins=[Plugin(stage)]).test_client()
    answers = [client.get(f"/staged/{number}").get_json() for number in (1, 2, 1)]

    assert [{"number": number} for number in (1, 2, 1)] == seen == answers


def test_route_is_looked_for_once(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flask takes over what the stages have found."""
    app = make_app(plugins=[Plugin(Script("one", 1))])
    client = app.test_client()
    client.get("/staged/1")
    searched: list[str] = []
    matcher = app.url_map._matcher
    search = matcher.match

    def note(domain: str, path: str, *rest: Any) -> Any:
        searched.append(path)
        return search(domain, path, *rest)

    monkeypatch.setattr(matcher, "match", note)
    answer = client.get("/staged/2")

    assert {"number": 2} == answer.get_json()
    assert ["/staged/2"] == searched


def test_stage_that_raises_is_one_error(make_app: MakeApp) -> None:
    """500 in the one format; the next request is fine."""
    failing = iter([True, False])

    def fail(_: Call) -> None:
        if next(failing):
            message = "a bug"
            raise RuntimeError(message)

    app = make_app(plugins=[Plugin(Script("one", 1, prepares=fail))], TESTING=False)
    answers = [app.test_client().get("/staged/1") for _ in range(2)]

    assert [500, 200] == [answer.status_code for answer in answers]
    assert 500 == answers[0].get_json()["status"]
    assert "bug" not in answers[0].get_data(as_text=True)


@pytest.mark.parametrize("path", ["/st%C3%A4ge/%E2%82%AC", "/staged/%ff%fe", "/staged//1"])
def test_odd_paths_pass_the_stages_too(make_app: MakeApp, path: str) -> None:
    """However the path is written, the stage sees the request."""
    seen: list[str] = []
    stage = Script("one", 1, prepares=lambda call: seen.append(call.environ["PATH_INFO"]))
    make_app(plugins=[Plugin(stage)]).test_client().get(path)

    assert 1 == len(seen)
