"""Every error of every origin has the one format."""

import json

import flask
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import Conflict, HTTPException
from werkzeug.routing import Rule

from pegboard import Blueprint, abort, db, hookimpl
from pegboard.testing.fixtures import MakeApp

trouble = Blueprint("trouble", __name__, url_prefix="/trouble")


@trouble.get("/bug")
def bug():
    """Fail as a view with a bug does."""
    message = "secret internals"
    raise RuntimeError(message)


@trouble.get("/conflict")
def conflict():
    """End with an exception of Werkzeug's."""
    raise Conflict


@trouble.get("/missing")
def missing():
    """End with a 404 that says no more."""
    flask.abort(404)


@trouble.get("/refused")
def refused():
    """End with the platform's own abort."""
    abort(409, "Taken.", errors={"name": ["Taken."]}, headers={"X-Why": "taken"})


@trouble.get("/sql")
def broken_sql():
    """Send SQL that the database does not understand."""
    db.session.execute(text("SELEKT secret FROM nowhere"))


@trouble.get("/unavailable")
def unavailable():
    """Fail as when the database is unavailable."""
    message = "SELECT 1"
    raise OperationalError(message, {}, Exception("connection refused to host db.internal"))


@trouble.post("/body")
def body():
    """Read the whole body."""
    return {"length": len(flask.request.get_data())}


@trouble.route("/changed", methods=["GET", "PATCH", "POST", "PUT"])
def change():
    """Have many methods."""
    return ""


@trouble.post("/form")
def form():
    """Read a field of a form."""
    return flask.request.form["field"]


class Trouble:
    """A plugin whose views fail."""

    name = "trouble"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the blueprint."""
        return [trouble]


@pytest.fixture
def client(make_app: MakeApp):
    """A client that gets answers, as a server's does, where Flask's tests would raise."""
    return make_app(plugins=[Trouble()], TESTING=False, LOG_LEVEL="INFO").test_client()


def is_error(response, status):
    """Check the format of an error, and return its body."""
    assert status == response.status_code
    assert "application/json" == response.mimetype
    body = json.loads(response.data)
    assert status == body["status"]
    assert isinstance(body["message"], str)
    assert {"message", "status"} <= set(body) <= {"message", "status", "errors"}
    return body


def test_an_unknown_route_is_a_404(client):
    """No HTML, whatever the client accepts."""
    is_error(client.get("/nowhere", headers={"Accept": "text/html"}), 404)


def test_a_wrong_method_is_a_405_with_allow(client):
    """`Allow` lists the methods of the route, in the same order in every process."""
    response = client.delete("/trouble/changed")
    is_error(response, 405)
    assert "GET, HEAD, OPTIONS, PATCH, POST, PUT" == response.headers["Allow"]


def test_options_are_answered_with_allow_alone(client):
    """In the order of a 405; what has no body has no type."""
    response = client.options("/trouble/changed")
    assert (200, b"") == (response.status_code, response.data)
    assert "GET, HEAD, OPTIONS, PATCH, POST, PUT" == response.headers["Allow"]
    assert "Content-Type" not in response.headers


def test_a_wrong_method_is_told_the_right_ones(client):
    """In the message, too, for people."""
    message = client.delete("/trouble/changed").get_json()["message"]
    allowed = "GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert f"The method is not allowed here; allowed are {allowed}." == message


def test_an_unknown_address_is_told_where_the_known_ones_are(make_app: MakeApp):
    """If the documentation is served; a row that is missing is no such case."""
    told = "There is nothing at this address."
    client = make_app(plugins=[Trouble()]).test_client()
    assert f"{told} /docs lists what there is." == client.get("/nowhere").get_json()["message"]
    prefixed = client.get("/nowhere", environ_overrides={"SCRIPT_NAME": "/shop"})
    assert f"{told} /shop/docs lists what there is." == prefixed.get_json()["message"]
    assert told == client.get("/trouble/missing").get_json()["message"]
    quiet = make_app(plugins=[Trouble()], API_DOCS=False).test_client()
    assert told == quiet.get("/nowhere").get_json()["message"]


@pytest.mark.parametrize(
    "errors",
    [
        {f"field-{number}": ["Unknown field."] for number in range(60_000)},
        {number: {"name": ["Too long."], "tags": {0: ["a", "b"]}} for number in range(60_000)},
        {"x" * 1_000_000: ["Unknown field."], "y": ["No."]},
        {"x": ["Not " + "y" * 1_000_000]},
        {f"{number}" * 90: ["z" * 490] for number in range(99)},
        {"field": [str(number) for number in range(60_000)]},
    ],
)
def test_however_many_the_errors_the_answer_is_small(make_app: MakeApp, errors):
    """The first are listed, and the message says how many there are."""
    app = make_app()

    @app.get("/many")
    def many():
        abort(422, "No.", errors=errors)

    response = app.test_client().get("/many")
    assert len(response.data) < 40_000
    body = is_error(response, 422)
    assert body["errors"]
    if 60_000 == len(errors) or "field" in errors:
        total = 180_000 if 0 in errors else 60_000
        assert f"No. The first 100 of {total} errors are listed." == body["message"]
    assert next(iter(body["errors"])).startswith(str(next(iter(errors)))[:50])


def test_few_errors_are_listed_as_they_are(make_app: MakeApp):
    """In their order."""
    app = make_app()
    errors = {"b": ["No."], "a": ["No.", "Never."], "_schema": ["No."]}

    @app.get("/few")
    def few():
        abort(422, "No.", errors=errors)

    body = is_error(app.test_client().get("/few"), 422)
    assert (errors, list(errors), "No.") == (body["errors"], list(body["errors"]), body["message"])


def test_an_unknown_method_is_a_405(client):
    """Not a 500, and not a 501."""
    is_error(client.open("/trouble/bug", method="BREW"), 405)


def test_a_bug_tells_its_request_id_and_nothing_else(client, caplog):
    """The log has the trace under the same id."""
    response = client.get("/trouble/bug", headers={"X-Request-ID": "abc-1"})
    body = is_error(response, 500)
    assert "abc-1" in body["message"]
    assert "abc-1" == response.headers["X-Request-ID"]
    assert "secret" not in response.text
    assert any("secret internals" in str(record.exc_info) for record in caplog.records)


def test_after_a_bug_the_next_request_is_fine(client):
    """A bug in one request leaves no state for the next."""
    is_error(client.get("/trouble/bug"), 500)
    assert 200 == client.get("/health").status_code


def test_exceptions_of_werkzeug_have_the_format(client):
    """Whether a view or a library raises them."""
    is_error(client.get("/trouble/conflict"), 409)


def test_abort_carries_errors_and_headers(client):
    """The platform's own abort."""
    response = client.get("/trouble/refused")
    body = is_error(response, 409)
    assert "Taken." == body["message"]
    assert {"name": ["Taken."]} == body["errors"]
    assert "taken" == response.headers["X-Why"]


def test_an_answer_that_cannot_be_finished_is_the_error_that_says_so(make_app: MakeApp):
    """As when its session cannot be saved; what others add to answers is on it, too."""

    class Late:
        name = "late"

        @hookimpl
        def pegboard_setup(self, app):
            @app.after_request
            def refuse(response):
                if 200 == response.status_code:
                    abort(503, "Not saved.", headers={"Retry-After": "1"})
                return response

            @app.after_request
            def sign(response):
                response.headers["X-Signed"] = "yes"
                return response

    answer = make_app(plugins=[Late()]).test_client().get("/health")
    assert (503, {"message": "Not saved.", "status": 503}) == (answer.status_code, answer.json)
    assert ("1", "yes") == (answer.headers["Retry-After"], answer.headers["X-Signed"])


def test_a_wrong_statement_is_a_bug_on_every_database(make_app: MakeApp, database_url, caplog):
    """It is a 500 that tells no SQL, not a 503 that asks to try again."""
    client = make_app(plugins=[Trouble()], TESTING=False, DATABASE_URL=database_url).test_client()
    response = client.get("/trouble/sql")
    is_error(response, 500)
    assert "SELEKT" not in response.text
    assert "SELEKT" in caplog.text


def test_a_database_that_is_unavailable_is_a_503_with_retry_after(client):
    """The client is told when to try again, and no address."""
    response = client.get("/trouble/unavailable")
    is_error(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    assert "db.internal" not in response.text


def test_a_body_over_the_limit_is_a_413(make_app: MakeApp):
    """It is not read."""
    client = make_app(plugins=[Trouble()], MAX_CONTENT_LENGTH=10).test_client()
    assert 200 == client.post("/trouble/body", data=b"x" * 10).status_code
    body = is_error(client.post("/trouble/body", data=b"x" * 11), 413)
    assert "The body is over 10 bytes." == body["message"]


def test_no_message_speaks_of_browsers(client):
    """As Werkzeug's do for a form without a field, or a body that ends early."""
    assert "The request cannot be understood." == client.post("/trouble/form").json["message"]
    short = {"environ_overrides": {"CONTENT_LENGTH": "5"}}
    response = client.post("/trouble/body", data=b"x", **short)
    assert "The request's body ends too early." == is_error(response, 400)["message"]


class Slashed:
    """A plugin with a route that ends in a slash, and a handler of all HTTP errors."""

    name = "slashed"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the route."""
        slashed = Blueprint("slashed", __name__)
        slashed.add_url_rule("/here/", "here", lambda: "here", methods=["GET", "POST"])
        return [slashed]

    @hookimpl
    def pegboard_setup(self, app):
        """Handle every error of the app."""
        app.register_error_handler(HTTPException, lambda _: ("handled", 418))


def test_error_handlers_of_plugins_get_no_redirects(make_app: MakeApp):
    """As in any Flask app, a missing slash is no error."""
    client = make_app(plugins=[Slashed()]).test_client()
    assert 418 == client.get("/nowhere").status_code
    assert 308 == client.get("/here").status_code
    assert b"here" == client.post("/here", follow_redirects=True).data


class Moved:
    """A plugin with rules that Werkzeug redirects, and that therefore have no views."""

    name = "moved"

    @hookimpl
    def pegboard_setup(self, app):
        """Add the rules."""
        for number, target in enumerate(("https://docs.example/a?b=1#c", "/health")):
            app.url_map.add(
                Rule(f"/moved/{number}", endpoint=f"moved.{number}", redirect_to=target)
            )


def test_a_rule_can_redirect_to_another_service(make_app: MakeApp):
    """Only this service's own host is left out of a `Location`."""
    client = make_app(plugins=[Moved()], TESTING=False).test_client()
    for host in ("localhost", "EVIL.example"):
        answers = [client.get(f"/moved/{number}", headers={"Host": host}) for number in range(2)]
        assert {308} == {answer.status_code for answer in answers}
        locations = [answer.headers["Location"] for answer in answers]
        assert ["https://docs.example/a?b=1#c", "/health"] == locations


def test_a_rule_that_redirects_is_none_of_the_views(make_app: MakeApp):
    """It redirects all methods that it does not restrict, and is neither documented nor listed."""

    class Got(Moved):
        """Also a plugin with a rule for one method."""

        @hookimpl
        def pegboard_setup(self, app):
            """Add the rules."""
            super().pegboard_setup(app)
            app.url_map.add(Rule("/got", endpoint="got", redirect_to="/health", methods=["GET"]))

    client = make_app(plugins=[Got()], TESTING=False).test_client()
    for method in ("HEAD", "OPTIONS", "POST"):
        answer = client.open("/moved/1", method=method)
        assert (308, "/health") == (answer.status_code, answer.headers["Location"])
    assert b"" == client.head("/moved/1").data
    assert (308, 308) == (client.get("/got").status_code, client.head("/got").status_code)
    for method in ("OPTIONS", "POST"):
        answer = client.open("/got", method=method)
        assert (405, "GET, HEAD") == (answer.status_code, answer.headers["Allow"])
    assert {"/health", "/health/ready"} == client.get("/openapi.json").get_json()["paths"].keys()
    start_page = client.get("/", headers={"Accept": "application/json"}).get_json()
    assert [[]] == [plugin["routes"] for plugin in start_page["plugins"]]


def test_redirects_are_relative(make_app: MakeApp):
    """A forged Host never appears in an answer, nor can a path lead to another host."""
    client = make_app(plugins=[Slashed()], TESTING=False).test_client()
    response = client.get("/here?a=1", headers={"Host": "evil.example"})
    is_error(response, 308)
    assert "/here/?a=1" == response.headers["Location"]
    assert "evil.example" not in response.text
    for path in ("//evil.example/here", "/%2fevil.example/here", "//here"):
        location = client.get(path).headers.get("Location", "/fine")
        assert not location.startswith("//")
        assert "http" not in location
