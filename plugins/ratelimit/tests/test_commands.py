"""`pegboard ratelimit rules`."""

import re

import pytest
from sqlalchemy import insert

import pegboard
from pegboard_ratelimit.models import table


@pytest.fixture
def app(make_app, shelf, database_url):
    """An app with things and ratelimit, on SQLite and on PostgreSQL."""
    return make_app(
        plugins=[shelf, "ratelimit"],
        DATABASE_URL=database_url,
        RATELIMIT_DEFAULT="100/minute;10/second",
        RATELIMIT_ROUTES="POST /api/things/=5/hour",
    )


@pytest.fixture
def run(cli, app):
    """Run `pegboard ratelimit rules ...`, which should succeed; return what it says."""

    def run(*arguments, status=0):
        result = cli("ratelimit", "rules", *arguments, app=app)
        assert status == result.exit_code, result.output
        return result.output

    return run


def test_rules_are_added_listed_and_removed(run):
    """Each with its number, next to those of the settings."""
    added = run(
        *("add", "--client", "10.0.0.0/8", "--route", "/api/things/*", "--method", "get"),
        *("--method", "POST", "--limit", "7/minute;1/s", "--on-failure", "closed"),
        *("--until", "2099-01-31T18:00", "--note", "the crawler"),
    )
    run("add", "--client", "user:alice", "--exempt")
    listed = run("list")

    described = "7/minute;1/second, for 10.0.0.0/8, GET POST, at /api/things/*, on failure closed"
    assert f"Added rule 1: {described}.\n" == added
    assert [
        "default: 100/minute;10/second",
        "POST /api/things/: 5/hour, POST, at /api/things/",
        f"1: {described}, until 2099-01-31T18:00:00 UTC (the crawler)",
        "2: no limit, for user:alice",
    ] == listed.splitlines()
    assert "Removed: 1, 2.\n" == run("remove", "2", "1")
    assert 2 == len(run("list").splitlines())


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--limit", "often"], "'often' is not a limit"),
        (["--client", "everybody", "--exempt"], "'everybody' is no client"),
        (["--route", "a b", "--exempt"], "'a b' is not a route"),
        (["--method", "FETCH", "--exempt"], "FETCH is not one of the methods"),
        (["--method", "HEAD", "--limit", "1/s"], "HEAD counts as GET, in one budget: name GET"),
        (["--until", "soon", "--exempt"], "'soon' is not a time"),
        (["--on-failure", "panic", "--exempt"], "panic"),
        (["--note", "x" * 201, "--exempt"], "more than 200 characters"),
        ([], "Give either --limit LIMIT or --exempt"),
        (["--exempt", "--limit", "1/s"], "Give either --limit LIMIT or --exempt"),
    ],
)
def test_what_cannot_be_a_rule_is_not_added(run, arguments, complaint):
    """The complaint says what is wrong."""
    assert complaint in run("add", *arguments, status=2)
    assert 2 == len(run("list").splitlines())


def test_a_rule_may_end_in_a_while(run):
    """Written as 90s, 30m, 12h or 7d."""
    run("add", "--exempt", "--until", "30m")

    assert re.search(r"1: no limit, until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d UTC\n", run("list"))


def test_rules_that_are_of_no_use_say_so(run):
    """Those that are over, and those for routes that there are not."""
    warned = run("add", "--exempt", "--route", "/nowhere", "--until", "2020-01-01")

    assert "Warning: no route of this service matches /nowhere." in warned
    assert "Warning: the rule has ended already." in warned
    assert "ended 2020-01-01T00:00:00 UTC, matches no route" in run("list")


def test_a_setting_for_no_route_is_told(make_app, shelf, cli, caplog):
    """At the start and in the list."""
    routes = "/api/thing/=1/minute,PUT /api/things/=2/minute,DELETE=3/minute"
    app = make_app(plugins=[shelf, "ratelimit"], RATELIMIT_ROUTES=routes)
    said = [one.message for one in caplog.records if "no route" in one.message]
    listed = cli("ratelimit", "rules", "list", app=app).output.splitlines()

    limit = "no route of this service matches the limit of"
    assert [f"{limit} /api/thing/", f"{limit} PUT /api/things/"] == said
    assert [False, True, True, False] == [line.endswith("matches no route") for line in listed]


def test_it_is_told_where_another_rule_is_stronger(run):
    """A new rule for everything does not touch what has a rule of its own."""
    added = run("add", "--limit", "1/hour").splitlines()

    assert added[-1].endswith(
        "A more specific rule applies instead at POST /api/things/ (POST /api/things/)."
    )
    assert 1 == len(run("add", "--limit", "1/hour", "--client", "10.0.0.1").splitlines())
    same = ("--route", "things.Things", "--method", "POST")
    assert 1 == len(run("add", "--limit", "1/hour", *same).splitlines())


def test_a_note_cannot_steer_the_terminal(run):
    """Line ends and escapes are shown as such."""
    run("add", "--exempt", "--note", "a\n9: none\x1b[2J\u202e")

    assert r"1: no limit (a\n9: none\x1b[2J\u202e)" == run("list").splitlines()[-1]


def test_a_number_that_no_database_has_is_refused(run):
    """Without a trace."""
    assert "99999999999999999999 is not in the range" in run(
        "remove", "99999999999999999999", status=2
    )
    assert "There is no rule 9999999999999999;" in run("remove", "9999999999999999", status=1)


def test_all_or_none_are_removed(run):
    """A wrong number removes nothing."""
    run("add", "--exempt")

    assert "There is no rule 7, 8; nothing was removed." in run("remove", "7", "1", "8", status=1)
    assert 3 == len(run("list").splitlines())


def test_broken_rules_are_shown_as_such(app, run):
    """With what is wrong, and an exit status for scripts."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(insert(table).values(limits="often", client="10.0.0.1"))
    listed = run("list", status=1)

    assert "1: BROKEN, left out: 'often' is not a limit" in listed
    assert "('often' for '10.0.0.1' at '*' '*')" in listed


def test_a_broken_database_is_said_in_a_line(make_app, cli):
    """Without a trace."""
    app = make_app(plugins=["ratelimit"], upgrade=False)
    result = cli("ratelimit", "rules", "list", app=app)

    assert 1 == result.exit_code
    assert (
        "Error: There is no table ratelimit_rules yet: run pegboard db upgrade.\n" == result.output
    )


def test_no_rule_is_told_where_the_table_cannot_be_read(make_app, cli):
    """What holds is not known then; a script learns it by the exit status."""
    app = make_app(plugins=["ratelimit"], upgrade=False)
    result = cli("ratelimit", "rules", "test", "192.0.2.1", "GET", "/nowhere", app=app)

    assert 1 == result.exit_code
    assert (
        "Error: There is no table ratelimit_rules yet: run pegboard db upgrade.\n" == result.output
    )


def test_no_rule_is_told_where_the_database_is_unavailable(make_app, cli):
    """In a sentence, and without the default in place of the rules."""
    nowhere = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
    app = make_app(plugins=["ratelimit"], upgrade=False, DATABASE_URL=nowhere)
    result = cli("ratelimit", "rules", "test", "192.0.2.1", "GET", "/nowhere", app=app)

    assert 1 == result.exit_code
    assert re.fullmatch(r"Error: The database reports: .*Connection refused.*\n", result.output)


@pytest.mark.parametrize(
    "arguments, rule",
    [
        (
            ["192.0.2.1", "get", "/api/things/7?x=1"],
            "192.0.2.1 at things.ThingById: default: 100/m",
        ),
        (
            ["2001:db8::7", "POST", "/api/things/"],
            "2001:db8::/64 at things.Things: POST /api/things/",
        ),
        (
            ["user:alice", "HEAD", "/api/things/"],
            "user:alice at things.Things: rule-1: no limit, for",
        ),
        (["192.0.2.1", "GET", "/nowhere"], "192.0.2.1 at no route: default: 100/minute;10/second"),
        (["192.0.2.1", "PATCH", "/api/things/"], "192.0.2.1 at no route: default: 100/minute"),
        (["192.0.2.1", "GET", "/health"], "health.alive is never limited."),
    ],
)
def test_it_is_told_which_rule_a_client_meets(run, arguments, rule):
    """At any route; what is left only the processes know, where each counts for itself."""
    run("add", "--client", "user:alice", "--exempt")
    told = run("test", *arguments)

    assert rule in told
    assert ("Each worker counts by itself" in told) == ("default" in told or "POST" in told)


def test_clients_are_told_as_they_are_named(run):
    """Not as the storage is asked for them; a prefix means no more than it says."""
    added = run("add", "--client", "user:team ü*", "--limit", "2/minute")
    run("add", "--client", "user:a\nb", "--limit", "3/minute")

    assert "Added rule 1: 2/minute, for user:team ü*.\n" == added
    assert r"2: 3/minute, for user:a\nb" == run("list").splitlines()[-1]
    for client, rule in (("team ü 7", "rule-1"), ("team", "default"), ("a\nb", "rule-2")):
        told = run("test", f"user:{client}", "GET", "/api/things/")
        shown = client.replace("\n", r"\n")
        assert told.startswith(f"user:{shown} at things.Things: {rule}: ")


def test_it_is_told_what_is_left(make_app, shelf, redis_url, cli):
    """By the storage itself, which counts nothing for that."""
    app = make_app(
        plugins=[shelf, "ratelimit"], REDIS_URL=redis_url, RATELIMIT_DEFAULT="100/minute;2/hour"
    )
    for _ in range(3):
        app.test_client().get("/api/things/", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
    told = {
        cli("ratelimit", "rules", "test", "192.0.2.1", "GET", "/api/things/", app=app).output
        for _ in range(3)
    }

    lines = told.pop().splitlines()
    assert "192.0.2.1 at things.Things: default: 100/minute;2/hour" == lines[0]
    assert re.fullmatch(r"  100/minute: 98 left, more in (60|59|58) s", lines[1])
    assert re.fullmatch(r"  2/hour: 0 left, more in 3\d\d\d s", lines[2])
    assert re.fullmatch(r"  refused for 3\d\d\d\.\d s", lines[3])


def test_it_is_told_when_nothing_can_be_told(make_app, own_redis, cli):
    """Redis is unavailable, or nothing is limited."""
    own_redis.kill()
    failing = make_app(plugins=["ratelimit"], REDIS_URL=own_redis.url)
    off = make_app(plugins=["ratelimit"], RATELIMIT_ENABLED=False)
    arguments = ("ratelimit", "rules", "test", "192.0.2.1", "GET", "/x")

    assert "What is left is not known" in cli(*arguments, app=failing).output
    assert "Nothing is limited" in cli(*arguments, app=off).output
    assert "is no client" in cli("ratelimit", "rules", "test", "me", "GET", "/", app=off).output
