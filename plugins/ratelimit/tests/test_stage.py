"""Requests that are counted, refused, or not."""

import re

import flask
import pytest
from flask.views import MethodView

import pegboard
from pegboard import rate_limit
from pegboard.redis import Script
from pegboard_ratelimit import StorageError, Verdict

blueprint = rate_limit("5/minute")(pegboard.Blueprint("parts", __name__, url_prefix="/parts"))


@blueprint.get("/plain")
def plain() -> str:
    """Be limited by the blueprint's decorator."""
    return "plain"


@blueprint.get("/also-plain")
def also_plain() -> str:
    """Be limited by the blueprint's decorator, in the same count."""
    return "also plain"


@blueprint.get("/free")
@rate_limit(None)
def free() -> str:
    """Be exempt."""
    return "free"


@blueprint.route("/of-class")
@rate_limit("2/minute")
class OfClass(MethodView):
    """Be limited as a class, and one method by itself."""

    def get(self) -> str:
        """Be limited by the class's decorator."""
        return "get"

    def head(self) -> str:
        """Be limited with GET, though it is another function."""
        return ""

    @rate_limit("1/minute;1/hour")
    def post(self) -> str:
        """Be limited by a decorator of its own."""
        return "post"


@blueprint.route("/decorated")
class Decorated(MethodView):
    """Be limited as Flask decorates classes."""

    decorators = [rate_limit("2/minute")]  # noqa: RUF012 - as Flask declares it

    def get(self) -> str:
        """Be limited by the class's decorator."""
        return "get"


@pytest.fixture
def parts(plugin_of):
    """A plugin whose views are decorated."""
    return plugin_of(blueprint)


def statuses(client, *requests, **options):
    """Send requests such as `GET /path`; return the statuses."""
    found = []
    for request in requests:
        method, _, path = request.partition(" ")
        found.append(client.open(path, method=method, **options).status_code)
    return found


def test_the_limit_is_what_it_says(serve):
    """Two pass, the third is refused, in the platform's format; 429 and not before."""
    client = serve(RATELIMIT_DEFAULT="2/minute")
    passed = [client.get("/api/things/") for _ in range(2)]
    refused = client.get("/api/things/")

    assert [200, 200, 429] == [*(one.status_code for one in passed), refused.status_code]
    assert {
        "message": "Too many requests: at most 2/minute are allowed.",
        "status": 429,
    } == refused.get_json()
    assert "application/json" == refused.content_type
    assert refused.headers["X-Request-ID"]
    assert "nosniff" == refused.headers["X-Content-Type-Options"]


def test_every_answer_says_what_the_client_has_left(serve):
    """As draft-ietf-httpapi-ratelimit-headers-11 writes it; Retry-After comes with 429 only."""
    client = serve(RATELIMIT_DEFAULT="100/minute;2/10s")
    answers = [client.get("/api/things/") for _ in range(3)]

    policy = '"default-minute";q=100;w=60, "default-10-seconds";q=2;w=10'
    assert [policy] * 3 == [one.headers["RateLimit-Policy"] for one in answers]
    assert (
        '"default-minute";r=99;t=60, "default-10-seconds";r=1;t=10'
        == answers[0].headers["RateLimit"]
    )
    assert answers[2].headers["RateLimit"].startswith('"default-minute";r=98;t=')
    assert re.search(r'"default-10-seconds";r=0;t=(10|9)$', answers[2].headers["RateLimit"])
    assert [None, None] == [one.headers.get("Retry-After") for one in answers[:2]]
    assert answers[2].headers["Retry-After"] in {"9", "10"}
    assert not any(name.startswith("X-RateLimit") for name, _ in answers[0].headers)


@pytest.mark.parametrize("path", ["/api/things/9", "/api/things/", "/nowhere", "/api/things/x"])
def test_errors_and_unknown_routes_are_counted(serve, path):
    """Whatever the answer, it carries the headers."""
    client = serve(RATELIMIT_DEFAULT="2/minute")
    answers = [client.post(path) for _ in range(3)]

    assert 429 not in [one.status_code for one in answers[:2]]
    assert all("RateLimit" in one.headers for one in answers)
    assert 429 == answers[2].status_code


def test_old_headers_are_sent_where_they_are_wanted(serve):
    """They tell of the limit that is nearest to its end."""
    client = serve(RATELIMIT_DEFAULT="100/minute;2/hour", RATELIMIT_LEGACY_HEADERS=True)
    headers = client.get("/api/things/").headers

    assert ("2", "1") == (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"])
    assert int(headers["X-RateLimit-Reset"]) > 1_700_000_000


def test_health_and_documents_are_never_limited(serve):
    """Nor do they count."""
    client = serve(RATELIMIT_DEFAULT="1/minute")
    paths = ["/health", "/health/ready", "/openapi.json", "/docs"] * 2
    answers = [client.get(path) for path in paths]

    assert {200} == {one.status_code for one in answers}
    assert not any("RateLimit" in one.headers for one in answers)
    assert 200 == client.get("/api/things/").status_code


@pytest.mark.parametrize("config", [{"RATELIMIT_DEFAULT": "none"}, {"RATELIMIT_ENABLED": False}])
def test_no_limit_is_no_header(serve, config):
    """And no refusal."""
    client = serve(**config)
    answers = [client.get("/api/things/") for _ in range(5)]

    assert {200} == {one.status_code for one in answers}
    assert not any("RateLimit" in one.headers for one in answers)


def test_a_pattern_with_a_slash_is_a_path(serve):
    """Also one that begins with a star."""
    client = serve(RATELIMIT_ROUTES="*/things/*=2/minute")

    assert [200, 200, 429] == statuses(client, *["GET /api/things/", "GET /api/things/1"] * 2)[:3]


def test_nobody_escapes_get_by_head(serve):
    """They are one count."""
    client = serve(RATELIMIT_ROUTES="GET /api/things/=2/minute")

    assert [200, 200, 429, 429] == statuses(
        client, "GET /api/things/", "HEAD /api/things/", "HEAD /api/things/", "GET /api/things/"
    )
    assert b"" == client.head("/api/things/").data


def test_routes_and_methods_have_limits_of_their_own(serve):
    """From the settings; a limit is counted over all routes that it covers."""
    client = serve(
        RATELIMIT_ROUTES="GET /api/things/*=3/minute,POST|PUT=1/minute,DELETE /api/things/{id}=none"
    )
    requests = ["GET /api/things/", "GET /api/things/1", "POST /api/things/", "GET /api/things/"]
    refused = ["GET /api/things/2", "POST /api/things/", "PUT /api/things/1"]

    assert [200] * 4 == statuses(client, *requests, json={})
    assert [429, 429, 429] == statuses(client, *refused, json={})
    assert [204] * 5 == statuses(client, *["DELETE /api/things/1"] * 5)


def test_the_more_specific_route_wins_over_the_method(serve):
    """One rule holds for a request: first for whom, then where, then for which method."""
    client = serve(RATELIMIT_ROUTES="/api/things/=3/minute,POST=1/minute")

    assert [200, 200, 200, 429] == statuses(client, *["POST /api/things/"] * 4, json={})


def test_decorators_of_plugins_apply(serve, parts):
    """The method's before the view's, the view's before the blueprint's."""
    client = serve((parts,), RATELIMIT_DEFAULT="100/minute")

    assert [200, 200, 429] == statuses(client, *["GET /parts/of-class"] * 3)
    assert [200, 200, 429] == statuses(client, *["GET /parts/decorated"] * 3)
    assert [200, 429] == statuses(client, *["POST /parts/of-class"] * 2)
    assert [200] * 8 == statuses(client, *["GET /parts/free"] * 8)
    assert [200] * 3 == statuses(client, *["GET /parts/plain"] * 3)
    assert [200, 200, 429] == statuses(client, *["GET /parts/also-plain"] * 3)
    assert 200 == client.get("/api/things/").status_code


def test_a_method_for_head_is_limited_with_get(serve, cli, plugin_of):
    """By the decorator of GET, though it has none; `rules test` tells the same."""
    blueprint = pegboard.Blueprint("reports", __name__)

    @blueprint.route("/reports")
    class Reports(MethodView):
        @rate_limit("2/minute")
        def get(self) -> str:
            return "report"

        def head(self) -> str:
            return ""

    client = serve((plugin_of(blueprint),))
    arguments = ("ratelimit", "rules", "test", "192.0.2.1")
    told = {
        cli(*arguments, method, "/reports", app=client.application).output
        for method in ("HEAD", "GET")
    }

    assert [200, 200, 429, 429] == statuses(client, *["HEAD /reports", "GET /reports"] * 2)
    assert 1 == len(told)
    assert "reports.Reports.get: 2/minute, GET, at reports.Reports\n" in told.pop()


def test_a_setting_wins_over_a_decorator_of_the_same_route(serve, parts):
    """The operator has the last word, but the more specific rule wins."""
    client = serve((parts,), RATELIMIT_ROUTES="/parts/of-class=3/minute,/parts/*=1/minute")

    assert [200, 200, 200, 429] == statuses(client, *["GET /parts/of-class"] * 4)
    assert [200] * 2 == statuses(client, *["GET /parts/free"] * 2)


def test_decorators_do_nothing_without_the_plugin(make_app, parts):
    """The plugin that put them needs no limiter."""
    client = make_app(plugins=[parts]).test_client()

    assert [200] * 9 == statuses(client, *["GET /parts/of-class"] * 9)
    assert "RateLimit" not in client.get("/parts/of-class").headers


@pytest.mark.slow
def test_clients_are_counted_apart(serve):
    """200 forged addresses are one client, 200 addresses of one /64 as well; another is another."""
    client = serve(RATELIMIT_DEFAULT="10/minute")

    def get(peer, **headers):
        return client.get(
            "/api/things/", environ_overrides={"REMOTE_ADDR": peer}, headers=headers
        ).status_code

    forged = [
        get("192.0.2.1", **{"X-Forwarded-For": f"10.0.0.{n}", "Forwarded": f"for=10.0.0.{n}"})
        for n in range(200)
    ]
    network = [get(f"2001:db8::{n:x}") for n in range(1, 201)]

    assert (10, 10) == (forged.count(200), network.count(200))
    assert 200 == get("192.0.2.2")


def test_an_identity_is_what_is_counted(serve):
    """From wherever it calls."""

    class Names:
        name = "names"

        @pegboard.hookimpl
        def pegboard_client_identity(self):
            return lambda environ: environ.get("HTTP_X_USER")

    client = serve((Names(),), RATELIMIT_DEFAULT="2/minute")

    def get(peer, user):
        return client.get(
            "/api/things/", environ_overrides={"REMOTE_ADDR": peer}, headers={"X-User": user}
        ).status_code

    assert [200, 200, 429] == [get(f"192.0.2.{n}", "alice") for n in range(3)]
    assert 200 == get("192.0.2.1", "bob")


def test_a_storage_of_another_plugin_counts(serve):
    """In place of the process and of Redis; what it cannot do is a matter of the policy."""

    class Tally:
        name = "tally"

        def __init__(self):
            self.asked = []
            self.is_broken = False

        @pegboard.hookimpl(optionalhook=True)
        def pegboard_ratelimit_storage(self):
            return self

        def counter(self, rule, _limit):
            self.rule = rule
            return self

        def prepare(self, client, **_):
            if self.is_broken:
                raise StorageError
            self.asked.append(client)
            return Verdict(0 if len(self.asked) < 3 else 1_500_000, (7, 8))

    tally = Tally()
    client = serve((tally,), RATELIMIT_ON_FAILURE="closed")
    answers = [client.get("/api/things/") for _ in range(3)]
    tally.is_broken = True

    assert ["127.0.0.1"] * 3 == tally.asked
    assert "d.default" == tally.rule
    assert [200, 200, 429] == [one.status_code for one in answers]
    assert '"default-minute";r=7;t=8' == answers[0].headers["RateLimit"]
    assert "2" == answers[2].headers["Retry-After"]
    assert 503 == client.get("/api/things/").status_code


@pytest.mark.parametrize("fails", ["counter", "prepare", "complete"])
def test_a_storage_that_has_a_bug_is_one_that_cannot_count(serve, redis_url, caplog, fails):
    """The policy holds, and the log shows the bug, once."""

    class Buggy:
        name = "buggy"

        def __init__(self):
            self.is_broken = True

        @pegboard.hookimpl(optionalhook=True)
        def pegboard_ratelimit_storage(self):
            return self

        def fail(self, where):
            if self.is_broken and where == fails:
                raise KeyError(where)

        def counter(self, _rule, _limit):
            self.fail("counter")
            return self

        def prepare(self, _client, **_):
            self.fail("prepare")
            command = Script("return 1").call(keys=[b"k"], arguments=[])
            return command if fails == "complete" else Verdict(0, (7, 8))

        def complete(self, _value):
            self.fail("complete")
            return Verdict(0, (7, 8))

    buggy = Buggy()
    client = serve((buggy,), RATELIMIT_DEFAULT="2/minute", REDIS_URL=redis_url)
    answers = [client.get("/api/things/").status_code for _ in range(3)]
    said = [one for one in caplog.records if "cannot be counted" in one.message]
    buggy.is_broken = False

    assert [200, 200, 429] == answers
    assert 1 == len(said)
    assert said[0].exc_info
    assert 200 == client.get("/api/things/").status_code


MALFORMED = [
    None,
    (0, (7, 8)),
    Verdict(None, (7, 8)),  # type: ignore[arg-type]
    Verdict(-1, (7, 8)),
    Verdict(1.5, (7, 8)),  # type: ignore[arg-type]
    Verdict(10**15, (7, 8)),
    Verdict(0, None),  # type: ignore[arg-type]
    Verdict(0, [7, 8]),  # type: ignore[arg-type]
    Verdict(0, (7,)),
    Verdict(0, (7, 8, 9)),
    Verdict(0, (7, "8")),  # type: ignore[arg-type]
    Verdict(0, (7, -8)),
    Verdict(0, (7, 10**15)),
]


@pytest.mark.parametrize("verdict", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("where", ["prepare", "complete"])
def test_a_verdict_that_makes_no_sense_is_none(serve, redis_url, caplog, where, verdict):
    """The storage has failed: the policy holds, and the log says so once, in a line."""

    class Odd:
        name = "odd"

        @pegboard.hookimpl(optionalhook=True)
        def pegboard_ratelimit_storage(self):
            return self

        def counter(self, _rule, _limit):
            return self

        def prepare(self, _client, **_):
            command = Script("return 1").call(keys=[b"k"], arguments=[])
            return command if where == "complete" else verdict

        def complete(self, _value):
            return verdict

    options = {"REDIS_URL": redis_url, "RATELIMIT_LEGACY_HEADERS": True}
    local = serve((Odd(),), RATELIMIT_DEFAULT="2/minute", **options)
    closed = serve((Odd(),), RATELIMIT_ON_FAILURE="closed", **options)
    caplog.clear()
    answers = [local.get("/api/things/").status_code for _ in range(3)]
    said = [one for one in caplog.records if one.name.startswith("pegboard_ratelimit")]

    assert [200, 200, 429] == answers
    assert 1 == len(said)
    assert "Odd returned an invalid verdict on 2/minute" in said[0].message
    assert not said[0].exc_info
    assert 503 == closed.get("/api/things/").status_code


def test_two_storages_stop_the_start(make_app):
    """With the names of both."""

    class Storage:
        def __init__(self, name):
            self.name = name

        @pegboard.hookimpl(optionalhook=True)
        def pegboard_ratelimit_storage(self):
            return self

    with pytest.raises(pegboard.StartupError, match="several plugins provide a storage"):
        make_app(plugins=["ratelimit", Storage("one"), Storage("two")])


def test_two_apps_in_one_process_count_apart(serve):
    """Nothing is kept in a module."""
    clients = [serve(RATELIMIT_DEFAULT="1/minute") for _ in range(2)]

    assert [200, 200] == [client.get("/api/things/").status_code for client in clients]


def test_workers_share_the_limit_when_each_counts_by_itself(serve):
    """Two of four workers cannot admit more than half of it."""
    client = serve(RATELIMIT_DEFAULT="8/minute", WORKERS=4)

    assert [200, 200, 429] == statuses(client, *["GET /api/things/"] * 3)


def test_a_decorator_that_comes_late_and_cannot_be_read_is_left_out(serve, caplog):
    """The service runs already; the view is limited as if it had no decorator."""
    client = serve(RATELIMIT_DEFAULT="1/minute")
    client.application.get("/late")(pegboard.rate_limit("often")(lambda: "late"))

    assert [200, 429] == statuses(client, "GET /late", "GET /late")
    assert any("'often' is not a limit" in str(record.exc_info) for record in caplog.records)


def test_what_a_browser_asks_beforehand_is_not_counted(serve):
    """Nor refused: the page could not read why. Any other OPTIONS is counted."""
    client = serve(RATELIMIT_DEFAULT="2/minute", CORS_ORIGINS="https://a.example")
    browser = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
    passed = [client.options("/api/things/1", headers=browser) for _ in range(5)]
    counted = [client.options("/api/things/1", headers={"Origin": "x"}) for _ in range(3)]
    refused = client.options("/api/things/1", headers=browser)

    assert {200} == {one.status_code for one in (*passed, refused)}
    assert "https://a.example" == refused.headers["Access-Control-Allow-Origin"]
    assert "RateLimit" not in refused.headers
    assert [200, 200, 429] == [one.status_code for one in counted]


def test_a_page_may_read_the_headers(serve):
    """Also the older ones."""
    client = serve(CORS_ORIGINS="*", RATELIMIT_LEGACY_HEADERS=True)
    answer = client.get("/api/things/", headers={"Origin": "https://a.example"})

    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    sent = {name for name, _ in answer.headers if "ratelimit" in name.lower()}
    assert 5 == len(sent)
    assert sent <= set(exposed)


def test_a_rule_that_redirects_is_no_route(serve, plugin_of):
    """Flask needs no view for it, and limits are of views."""
    moved = flask.Blueprint("moved", __name__)
    moved.add_url_rule("/old", "old", redirect_to="/health")
    client = serve((plugin_of(moved),))
    assert 308 == client.get("/old").status_code
