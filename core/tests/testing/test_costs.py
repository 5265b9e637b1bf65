"""Tests of the fixture `statement_budget`."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from flask import Flask, Response, stream_with_context
from sqlalchemy import create_engine, text

import pegboard
from pegboard.redis import command, get_channel, get_redis
from pegboard.testing.fixtures import Budget, MakeApp


@pytest.fixture
def app(make_app: MakeApp, database_url: str) -> Flask:
    """An app with a view that sends as many statements as its path says."""
    app = make_app(DATABASE_URL=database_url)

    @app.get("/<int:number>")
    def ask(number: int) -> dict[str, Any]:
        for one in range(number):
            pegboard.db.session.execute(text(f"SELECT {one + 7}"))
        return {}

    @app.get("/comments")
    def comments() -> dict[str, Any]:
        for one in ("-- find them\nSELECT 7", "/* a\nb */ -- c\n SELECT 8", "SELECT 1"):
            pegboard.db.session.execute(text(one))
        return {}

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[bytes]:
            for one in range(3):
                yield str(pegboard.db.session.scalar(text(f"SELECT {one + 7}"))).encode()

        return Response(stream_with_context(parts()))

    return app


@pytest.mark.slow
def test_each_request_has_the_budget(app: Flask, statement_budget: Budget) -> None:
    """Not all together, and whatever was sent before does not count."""
    client = app.test_client()
    client.get("/5")
    with statement_budget(statements=2) as costs:
        for _ in range(3):
            client.get("/2")
    assert [["SELECT 7", "SELECT 8"]] * 3 == [cost.statements for cost in costs.requests]


@pytest.mark.slow
def test_the_failure_names_the_request_and_lists_its_statements(
    app: Flask, statement_budget: Budget
) -> None:
    """And no other request."""
    client = app.test_client()
    with pytest.raises(pytest.fail.Exception) as failed, statement_budget(statements=1):
        assert [200, 200] == [client.get(path).status_code for path in ("/1", "/2?page=3")]
    assert (
        "GET /2?page=3 sent 2 SQL statements; its budget is 1:\n  1. SELECT 7\n  2. SELECT 8"
    ) == failed.value.msg


@pytest.mark.slow
def test_a_statement_counts_with_its_comments_and_however_short(
    app: Flask, statement_budget: Budget
) -> None:
    """A comment before it does not hide it, nor that it is as short as a check of a connection."""
    client = app.test_client()
    client.get("/1")
    failure = pytest.raises(pytest.fail.Exception, match="GET /comments sent 3 SQL statements")
    with failure, statement_budget(statements=2) as costs:
        client.get("/comments")
    assert "-- find them SELECT 7" == costs.requests[0].statements[0]


@pytest.mark.slow
def test_what_is_sent_while_an_answer_is_read_is_of_its_request(
    app: Flask, statement_budget: Budget
) -> None:
    """A stream of rows is more than its first one."""
    with statement_budget(statements=3) as costs:
        assert b"789" == app.test_client().get("/stream").data
    assert 3 == len(costs.requests[0].statements)


@pytest.mark.slow
def test_code_beside_requests_is_counted(app: Flask, statement_budget: Budget) -> None:
    """Also on a connection that was in use before."""
    failure = pytest.raises(pytest.fail.Exception, match="beside the requests sent 1 SQL")
    with app.app_context():
        pegboard.db.session.execute(text("SELECT 1 AS begun"))
        with failure, statement_budget(statements=0):
            pegboard.db.session.execute(text("SELECT 2 AS more"))


@pytest.mark.slow
def test_other_threads_do_not_count(app: Flask, statement_budget: Budget) -> None:
    """What runs in the background at times would fail a test at times."""

    def work() -> None:
        with app.app_context():
            pegboard.db.session.execute(text("SELECT 7"))

    with statement_budget(statements=0):
        thread = Thread(target=work)
        thread.start()
        thread.join()


@pytest.mark.slow
def test_a_failure_in_the_block_is_the_failure_of_the_test(
    app: Flask, statement_budget: Budget
) -> None:
    """The budget says nothing then."""
    with pytest.raises(ZeroDivisionError), statement_budget(statements=0):
        assert 1 / (200 - app.test_client().get("/3").status_code)


@pytest.mark.slow
def test_round_trips_to_redis_are_counted(
    make_app: MakeApp, redis_url: str, statement_budget: Budget
) -> None:
    """Of channels and of the client; what connects is none, and commands sent together are one."""
    app = make_app(REDIS_URL=redis_url)
    channel, client = get_channel(app), get_redis(app)
    assert channel
    assert client
    get = command("GET", "a", key="a")
    with statement_budget(round_trips=2) as costs:
        channel.exchange([get, get])
        client.set("a", "1")
    assert [["GET", "GET"], ["SET"]] == costs.block.round_trips
    failure = pytest.raises(
        pytest.fail.Exception, match=r"sent 2 round trips .* 1:\n  1. GET\n  2. GET"
    )
    with failure, statement_budget(round_trips=1):
        assert (b"1", b"1") == (channel.exchange([get])[0].value, client.get("a"))


@pytest.mark.slow
def test_afterwards_nothing_is_watched(app: Flask, statement_budget: Budget) -> None:
    """The next test is not slower, and does not count."""
    with statement_budget() as costs:
        app.test_client().get("/1")
    app.test_client().get("/1")
    assert 1 == len(costs.requests)
    assert ["SELECT 7"] == costs.requests[0].statements


@pytest.mark.slow
def test_budgets_can_be_nested(app: Flask, statement_budget: Budget) -> None:
    """As one of a fixture around that of a test: both count, and the outer one goes on."""
    client = app.test_client()
    failure = pytest.raises(pytest.fail.Exception, match="GET /3 sent 3 SQL statements")
    with failure, statement_budget(statements=2) as outer:
        client.get("/1")
        with statement_budget(statements=2) as inner:
            client.get("/2")
        client.get("/3")
    assert ["GET /2"] == [cost.of for cost in inner.requests]
    assert [1, 2, 3] == [len(cost.statements) for cost in outer.requests]
    assert [2] == [len(cost.statements) for cost in inner.requests]


@pytest.mark.slow
def test_a_driver_that_tells_nothing_fails_the_test(
    app: Flask, statement_budget: Budget, postgres_url: str
) -> None:
    """Also if its connection was in use before, as what cannot be counted keeps every budget."""
    engine = create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg2:"))
    failure = r"by a connection of the type psycopg2\.extensions\.connection: .* use pegboard\.db"

    @app.get("/other")
    def other() -> dict[str, Any]:
        with engine.connect() as connection:
            connection.execute(text("SELECT 7"))
        return {}

    try:
        with pytest.raises(pytest.fail.Exception, match=failure), statement_budget(statements=5):
            app.test_client().get("/other")
        with (
            engine.connect() as connection,
            pytest.raises(pytest.fail.Exception, match=failure),
            statement_budget(statements=5),
        ):
            connection.execute(text("SELECT 7"))
        with statement_budget(round_trips=0):
            app.test_client().get("/other")
    finally:
        engine.dispose()
    with statement_budget(statements=1):
        app.test_client().get("/1")


@pytest.mark.slow
def test_a_budget_that_is_no_number_is_refused(statement_budget: Budget) -> None:
    """With what to pass instead."""
    untyped: Any = statement_budget
    with pytest.raises(TypeError, match=r"statements='3'; pass a whole number, as in .*\(state"):
        untyped(statements="3")
    with pytest.raises(TypeError, match="round_trips=True"):
        untyped(round_trips=True)
    with statement_budget():
        pass
