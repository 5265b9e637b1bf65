"""Rules in the table: in force without a restart, and never fatal."""

import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

import pegboard
from pegboard.testing.processes import run_python, wait_until
from pegboard_ratelimit.enforcement import refresh
from pegboard_ratelimit.enforcement.refresh import RuleRefresher
from pegboard_ratelimit.models import table
from pegboard_ratelimit.rules import RuleBook


@pytest.fixture
def app(make_app, shelf, database_url):
    """An app with a table of rules, on SQLite and on PostgreSQL."""
    return make_app(
        plugins=[shelf, "ratelimit"], DATABASE_URL=database_url, RATELIMIT_DEFAULT="2/minute"
    )


@pytest.fixture
def write(app):
    """Write rows as another program would."""

    def write(*rows: dict[str, Any]) -> None:
        with app.app_context(), pegboard.db.engine.begin() as connection:
            for row in rows:
                connection.execute(insert(table).values({"limits": "1/minute", **row}))

    return write


@pytest.fixture
def get(app):
    """Ask for the things as a client from some address; return the status."""
    client = app.test_client()

    def get(peer: str = "192.0.2.1", path: str = "/api/things/", method: str = "GET") -> int:
        status: int = client.open(
            path, method=method, environ_overrides={"REMOTE_ADDR": peer}
        ).status_code
        return status

    return get


@pytest.fixture
def reread(app, limiter_of):
    """Read the rules of the app again now."""
    return limiter_of(app).refresher.read


def test_the_first_request_meets_the_rules(write, get):
    """Nobody slips through before they are known."""
    write({"limits": "1/minute"})

    assert [200, 429] == [get() for _ in range(2)]


@pytest.mark.slow
def test_rules_are_in_force_soon_and_without_a_restart(write, get):
    """Within 5 s, in a process that serves all the time."""
    assert [200, 200, 429] == [get() for _ in range(3)]
    write({"client": "192.0.2.1", "limits": "none"})

    wait_until(lambda: get() == 200, "the exemption holds", timeout=5)


def test_a_quiet_process_knows_new_rules_at_its_first_request(app, write, get, limiter_of):
    """However long it had nothing to do."""
    assert 200 == get("192.0.2.9")
    write({"limits": "1/minute"})
    limiter = limiter_of(app)
    # As if an hour had passed.
    limiter.refresher._read_at = limiter.refresher.due = -3600.0

    assert [200, 429] == [get() for _ in range(2)]


def test_the_most_specific_rule_applies(write, get, reread):
    """First for whom, then where, then for which methods; the last of equals."""
    write(
        {"client": "10.0.0.0/8", "limits": "3/minute"},
        {"client": "10.1.0.0/16", "limits": "4/minute"},
        {"client": "10.1.0.1", "limits": "none"},
        {"route": "/api/things/", "limits": "1/minute"},
        {"route": "/api/things/", "limits": "5/minute"},
    )
    reread()

    def admitted(peer: str) -> int:
        return [get(peer) for _ in range(9)].count(200)

    assert [3, 4, 9, 5] == [
        admitted(peer) for peer in ("10.2.0.1", "10.1.0.2", "10.1.0.1", "192.0.2.1")
    ]


@pytest.mark.parametrize("counted_by", ["process", "redis"])
def test_a_rule_whose_limit_changes_goes_on_counting(
    make_app, shelf, request, counted_by, limiter_of
):
    """Whatever windows it has, and however they are put in order; and `none` frees nobody later."""
    redis = {"REDIS_URL": request.getfixturevalue("redis_url")} if counted_by == "redis" else {}
    app = make_app(plugins=[shelf, "ratelimit"], **redis)
    limiter, client = limiter_of(app), app.test_client()
    with app.app_context(), pegboard.db.engine.begin() as connection:
        connection.execute(insert(table).values(limits="6/2m"))

    def admitted(limit: str) -> int:
        with app.app_context(), pegboard.db.engine.begin() as connection:
            connection.execute(update(table).values(limits=limit))
        limiter.refresher.read()
        return [client.get("/api/things/").status_code for _ in range(8)].count(200)

    limits = [
        "6/2m",
        "6/2m;100/h",
        "100/h;6/2m",
        "6/90s",
        "5/s;6/2m",
        "6/day",
        "7/2m",
        "none",
        "7/m",
    ]
    assert [6, 0, 0, 0, 0, 0, 1, 8, 0] == [admitted(limit) for limit in limits]


class Doorman:
    """A plugin that identifies clients by any name."""

    name = "doorman"

    @pegboard.hookimpl
    def pegboard_client_identity(self) -> Any:
        """Believe the test."""
        return lambda environ: environ.get("test.user")


ODD = [
    *(
        "team-a",
        "team-ü",
        "team-a b",
        "team-a\nb",
        "team-\ud800",
        "team-*",
        "team-{a}",
        "team-%C3%BC",
    ),
    *("team-a:b", "team-" + "x" * 300, "team-" + "x" * 299 + "y", "team-" + "ü" * 1_000_000),
]


@pytest.mark.parametrize("counted_by", ["process", "redis"])
def test_nobody_escapes_a_prefix_by_an_odd_name(make_app, shelf, request, counted_by):
    """Each is counted by itself, and any other name with the prefix is limited too."""
    redis = {"REDIS_URL": request.getfixturevalue("redis_url")} if counted_by == "redis" else {}
    app = make_app(plugins=[shelf, "ratelimit", Doorman()], **redis)
    with app.app_context(), pegboard.db.engine.begin() as connection:
        for client, limits in (("user:team-*", "2/minute"), ("user:team-ü", "1/minute")):
            connection.execute(insert(table).values(client=client, limits=limits))
    client = app.test_client()

    def admitted(user: str) -> int:
        overrides = {"environ_overrides": {"test.user": user}}
        return [client.get("/api/things/", **overrides).status_code for _ in range(4)].count(200)

    expected = [1 if user == "team-ü" else 2 for user in ODD]
    assert expected == [admitted(user) for user in ODD]
    assert 4 == admitted("tea")


def test_a_rule_ends_when_its_time_is_over(app, write, get, reread):
    """And is not in force after that."""
    now = pegboard.utcnow()
    past, future = now - timedelta(seconds=1), now + timedelta(hours=1)
    write(
        {"limits": "none", "until": past}, {"client": "10.0.0.1", "limits": "none", "until": future}
    )
    reread()

    assert 429 in [get() for _ in range(3)]
    assert 429 not in [get("10.0.0.1") for _ in range(9)]


def test_a_rule_may_be_without_end_or_over_since_ever(app, get):
    """As PostgreSQL writes it."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        for limit, until in (("3/minute", "infinity"), ("1/minute", "-infinity")):
            connection.exec_driver_sql(
                f"INSERT INTO ratelimit_rules (limits, until) VALUES ('{limit}', '{until}')"  # noqa: S608
            )

    assert [200, 200, 200, 429] == [get() for _ in range(4)]


BROKEN = [
    {"limits": "often"},
    {"client": "everybody"},
    {"route": "a b"},
    {"methods": "FETCH"},
    {"methods": "HEAD"},
    {"on_failure": "panic"},
    {"limits": ""},
]


@pytest.mark.parametrize("row", BROKEN)
def test_a_broken_row_is_reported_and_skipped(write, get, reread, caplog, row):
    """Once, with its number; the others hold."""
    write({"limits": "none", **row}, {"client": "10.0.0.1", "limits": "none"})
    for _ in range(3):
        reread()

    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert 1 == len(errors)
    assert errors[0].startswith("rule 1 is broken and left out: ")
    assert [200, 200, 429] == [get() for _ in range(3)]
    assert 429 not in [get("10.0.0.1") for _ in range(9)]


def test_the_stats_name_broken_rules_and_the_service_is_ready(app, write, reread):
    """It serves without them."""
    write({"limits": "often"}, {"limits": "9/minute"})
    reread()
    ready = app.test_client().get("/health/ready")

    assert (200, []) == (ready.status_code, ready.get_json()["degraded"])
    assert {
        "counted_by": "each worker",
        "workers": 1,
        "can_count": True,
        "rules": 2,
        "broken_rules": [1],
        "admitted": {},
        "refused": {},
    } == pegboard.get_health(app).details["ratelimit"]()


def test_values_that_only_sqlite_takes_are_broken_rows(make_app, sqlite_url, limiter_of):
    """A time that is none, a number in place of a name, bytes."""
    app = make_app(plugins=["ratelimit"], DATABASE_URL=sqlite_url)
    with app.app_context(), pegboard.db.engine.begin() as connection:
        for values in ("7, 'soon'", "x'ff00', NULL", "'1/minute', 'tomorrow'", "'1/minute', 5"):
            connection.exec_driver_sql(
                f"INSERT INTO ratelimit_rules (limits, until) VALUES ({values})"  # noqa: S608
            )
        connection.exec_driver_sql("INSERT INTO ratelimit_rules (limits) VALUES ('9/minute')")
    limiter = limiter_of(app)
    limiter.refresher.read()

    names = {rule.name for rule in limiter.refresher.book.rules}
    assert {"default", "rule-5"} == names


UNREADABLE = {
    "postgresql": [
        "(limits, until) VALUES ('none', '12000-01-01')",
        "(limits, until) VALUES ('none', '0044-03-15 BC')",
    ],
    "sqlite": [
        "(limits, client) VALUES ('none', CAST(x'757365723aff' AS TEXT))",
        "(limits, route) VALUES ('none', x'ff')",
        "(limits, until) VALUES ('none', CAST(x'ff' AS TEXT))",
        f"(limits, client) VALUES ('none', 'user:{'x' * 200}')",
    ],
}
"""What only another program writes, and a driver or a `datetime` cannot hold."""


@pytest.fixture
def unreadable(app):
    """Write rows that cannot be read, after a good one; return their numbers."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO ratelimit_rules (limits) VALUES ('3/minute')")
        rows = UNREADABLE[connection.dialect.name]
        for values in rows:
            connection.exec_driver_sql(f"INSERT INTO ratelimit_rules {values}")
    return list(range(2, 2 + len(rows)))


def test_a_row_that_no_driver_can_read_hinders_no_other(app, get, unreadable, caplog):
    """From the first request on; each is named where an operator looks."""
    assert [200, 200, 200, 429] == [get() for _ in range(4)]

    stats = pegboard.get_health(app).details["ratelimit"]()
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert unreadable == stats["broken_rules"]
    assert [f"rule {number} is broken and left out" for number in unreadable] == [
        message.partition(":")[0] for message in said
    ]


def test_rows_that_no_driver_can_read_are_listed(app, cli, unreadable):
    """Beside the good one, with what is wrong."""
    listed = cli("ratelimit", "rules", "list", app=app)
    lines = listed.output.splitlines()

    assert 1 == listed.exit_code
    assert "1: 3/minute" in lines
    for number in unreadable:
        assert any(line.startswith(f"{number}: BROKEN, left out: ") for line in lines)


def test_a_table_that_cannot_be_read_keeps_the_last_rules(app, write, get, reread, caplog):
    """It is said once, and once again when it can be read."""
    write({"client": "10.0.0.1", "limits": "none"})
    reread()
    with app.app_context():
        engine = pegboard.db.engine
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ratelimit_rules RENAME TO renamed")
    with caplog.at_level(logging.INFO, "pegboard_ratelimit"):
        for _ in range(3):
            reread()
        assert 429 not in [get("10.0.0.1") for _ in range(9)]
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE renamed RENAME TO ratelimit_rules")
        reread()

    said = [record.message for record in caplog.records if record.name.endswith("refresh")]
    assert 2 == len(said)
    assert said[0].startswith("the rules cannot be read, those last read stay in force: ")
    assert "the rules can be read again" == said[1]


def test_a_database_without_the_table_limits_by_the_settings(make_app):
    """Requests are served before the migrations have run."""
    app = make_app(plugins=["ratelimit"], upgrade=False, RATELIMIT_DEFAULT="1/minute")
    client = app.test_client()

    assert [404, 429] == [client.get("/x").status_code for _ in range(2)]


class Slow(RuleRefresher):
    """A refresher whose database does not answer until the test lets it."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine, ())
        self.go = threading.Event()
        self.readings = 0

    def read(self) -> None:
        """Wait."""
        self.readings += 1
        self.go.wait(30)
        self._read_at = pegboard.clock.monotonic()
        self.due = self._read_at + refresh.INTERVAL


def test_a_database_that_does_not_answer_delays_no_request_for_long(app, monkeypatch):
    """The first requests wait a moment; there is one reading, and no more is waited for it."""
    monkeypatch.setattr(refresh, "FIRST_PATIENCE", 0.05)
    with app.app_context():
        refresher = Slow(pegboard.db.engine)
    clock = pegboard.clock.monotonic
    began = clock()
    refresher.refresh(began)
    first = clock() - began
    for _ in range(1000):
        refresher.refresh(clock())
    all_of_them = clock() - began
    refresher.go.set()
    wait_until(lambda: refresher._reading is None, "the reading ends")

    assert 0.05 <= first
    assert 2 > all_of_them
    assert 1 == refresher.readings
    assert refresher.due > clock()


def test_only_rules_that_are_too_old_are_waited_for(app):
    """Until then the event loop counts requests: a thread may take long to be free."""
    with app.app_context():
        refresher = Slow(pegboard.db.engine)
    now = pegboard.clock.monotonic()
    assert refresher.would_wait(now)
    refresher.go.set()
    refresher.refresh(now)
    wait_until(lambda: refresher._reading is None, "the reading ends")
    refresher.go.clear()
    now = refresher.due + 0.1
    assert not refresher.would_wait(now)
    refresher.refresh(now)
    assert refresher.readings == 2
    assert [False, True] == [refresher.would_wait(now + age) for age in (1, refresh.MAX_AGE)]
    refresher.go.set()


def test_rules_that_did_not_change_are_the_same_book(app, reread, limiter_of):
    """So that requests need not choose anew every two seconds."""
    limiter = limiter_of(app)
    reread()
    book = limiter.refresher.book
    reread()

    assert book is limiter.refresher.book
    assert isinstance(book, RuleBook)


def test_a_request_sends_no_query_once_the_rules_are_known(app, get):
    """A refused request touches the database in no way."""
    get()
    get()
    sent = []
    with app.app_context():
        engine = pegboard.db.engine
    from sqlalchemy import event  # noqa: PLC0415 - only here

    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    assert {429} == {get() for _ in range(20)}

    assert [] == sent


FORK = """
import os, sys, threading
import pegboard
from pegboard.testing.processes import wait_until
from pegboard_ratelimit.enforcement.refresh import RuleRefresher

app = pegboard.create_app({"ENV": "testing", "DATABASE_URL": sys.argv[1]}, plugins=["ratelimit"])
with app.app_context():
    refresher = RuleRefresher(pegboard.db.engine, [])
with refresher._lock:
    refresher._reading = threading.Event()  # a thread of the parent reads
    child = os.fork()
if not child:
    now = pegboard.clock.monotonic()
    threading.Thread(target=refresher.refresh, args=[now], daemon=True).start()
    wait_until(lambda: refresher._read_at is not None, "the rules are read")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.slow
def test_a_forked_process_reads_rules_of_its_own(app, database_url):
    """It does not wait for a thread that only its parent has."""
    run_python(FORK, database_url)
