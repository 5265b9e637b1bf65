"""Lists: pages by number and by cursor, search and order, over HTTP, on both databases."""

import json
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

import pegboard
from pegboard.resources.pagination import paginate

MORNING = datetime(2024, 1, 1)  # noqa: DTZ001 - as stored

ORDERS = ["id", "-id", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"]


@pytest.fixture
def app(emptied_app: Flask) -> Flask:
    """An app that all tests of this module share, with no rows in its table."""
    return emptied_app


@pytest.fixture
def shelf(write_rows) -> list[dict[str, Any]]:
    """Twenty-five rows with equal names, equal times and missing times among them."""
    rows = [
        {
            "name": f"Item {number % 7}",
            "description": None,
            "created_at": None if number % 5 == 0 else MORNING + timedelta(hours=number % 3),
            "updated_at": MORNING + timedelta(microseconds=number % 4),
        }
        for number in range(25)
    ]
    write_rows(*rows)
    return [{"id": number + 1, **row} for number, row in enumerate(rows)]


def links(response: Any) -> dict[str, str]:
    """The targets of the Link header by relation."""
    pairs = re.findall(r'<([^>]*)>; rel="([a-z]+)"', response.headers.get("Link", ""))
    return {relation: target for target, relation in pairs}


def ids(response: Any) -> list[int]:
    """The ids of the items in the answer."""
    assert 200 == response.status_code, response.json
    return [item["id"] for item in response.json]


def follow(client: FlaskClient, url: str) -> list[Any]:
    """The answers from a URL on, as the next links lead."""
    answers: list[Any] = []
    target: str | None = url
    while target and len(answers) < 100:
        answers.append(client.get(target))
        target = links(answers[-1]).get("next")
    return answers


def in_order(rows: list[dict[str, Any]], sort: str) -> list[int]:
    """The ids of the rows in that order, a missing time first."""
    key = sort.removeprefix("-")

    def place(row: dict[str, Any]) -> tuple[Any, int]:
        return (row[key] or datetime.min), row["id"]  # noqa: DTZ901 - as stored

    return [row["id"] for row in sorted(rows, key=place, reverse=sort.startswith("-"))]


# Pages


def test_a_list_is_an_array_of_whole_items(client, create):
    """Each is what reading it alone gives."""
    item = create("Hammer", description="For nails.")

    assert [item] == client.get("/api/items/").json


def test_the_first_page_has_twenty_items(client, shelf):
    """And says what there is, and where."""
    response = client.get("/api/items/")

    assert list(range(1, 21)) == ids(response)
    assert {
        "total": 25,
        "total_pages": 2,
        "first_page": 1,
        "last_page": 2,
        "page": 1,
        "next_page": 2,
    } == json.loads(response.headers["X-Pagination"])
    assert {
        "first": "/api/items/?page=1",
        "next": "/api/items/?page=2",
        "last": "/api/items/?page=2",
    } == links(response)


def test_links_lead_through_all_pages_and_back(client, shelf):
    """They repeat page_size, sort and q."""
    pages = follow(client, "/api/items/?page_size=10&sort=-name&q=item")
    seen = [number for page in pages for number in ids(page)]

    assert 3 == len(pages)
    assert in_order(shelf, "-name") == seen
    back = client.get(links(pages[-1])["prev"])
    assert seen[10:20] == ids(back)
    assert {"first", "prev", "next", "last"} == set(links(back))


def test_a_page_behind_the_last_is_empty(client, shelf):
    """It still says how many there are."""
    response = client.get("/api/items/?page=9")

    assert [] == ids(response)
    assert {"total": 25, "total_pages": 2, "first_page": 1, "last_page": 2} == json.loads(
        response.headers["X-Pagination"]
    )
    assert {"first", "last"} == set(links(response))


def test_an_empty_table_has_no_pages(client):
    """And no links."""
    response = client.get("/api/items/")

    assert [] == ids(response)
    assert '{"total":0,"total_pages":0}' == response.headers["X-Pagination"]
    assert "Link" not in response.headers


@pytest.mark.parametrize(
    "total, page, expected",
    [
        (0, 1, (0, None, None, None)),
        (1, 1, (1, 1, None, None)),
        (10, 1, (1, 1, None, None)),
        (11, 1, (2, 1, None, 2)),
        (11, 2, (2, 2, 1, None)),
        (21, 2, (3, 2, 1, 3)),
        (21, 4, (3, None, None, None)),
    ],
)
def test_pagination_names_the_neighbors_that_exist(total, page, expected):
    """At the borders there is one less."""
    found = paginate(total, page, 10)

    fields = ("total_pages", "page", "previous_page", "next_page")
    assert expected == tuple(found.get(field) for field in fields)


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=",
        "page=abc",
        "page=1.5",
        "page=%2B1",
        "page=01",
        "page=1_0",
        "page=%D9%A1",
        "page=1000001",
        f"page={2**63}",
        f"page={'9' * 5000}",
        "page=1&page=2",
        "page_size=0",
        "page_size=101",
        "page_size=20&page_size=20",
        "sort=color",
        "sort=%2Bid",
        "sort=ID",
        "sort=",
        "sort=id&sort=id",
        "q=%00",
        "q=%1B",
        "q=" + "x" * 201,
        "q=a&q=b",
        "color=red",
        "limit=5",
    ],
)
def test_other_parameters_are_refused(client, sql, query):
    """422 that names the parameter, and the database is not asked."""
    with sql() as sent:
        response = client.get(f"/api/items/?{query}")

    assert 422 == response.status_code
    assert [query.partition("=")[0]] == list(response.json["errors"])
    assert [] == sent


@pytest.mark.parametrize("query", ["page=1000000", "page_size=100", "page_size=1", "q=", "q=%09"])
def test_parameters_at_their_bounds_are_taken(client, query):
    """What the description of the API says is so."""
    assert 200 == client.get(f"/api/items/?{query}").status_code


@pytest.mark.slow
def test_page_sizes_come_from_the_settings(make_app):
    """Two apps in one process may differ; each one's description says its own."""
    apps = [
        make_app(plugins=["items"], ITEMS_PAGE_SIZE=size, ITEMS_MAX_PAGE_SIZE=largest)
        for size, largest in ((2, 3), (500, 200))
    ]

    for app, size, largest in zip(apps, (2, 200), (3, 200), strict=True):
        client = app.test_client()
        by_cursor = json.loads(client.get("/api/items/?after=").headers["X-Pagination"])
        document = client.get("/openapi.json").json
        parameters = document["paths"]["/api/items/"]["get"]["parameters"]
        assert size == by_cursor["page_size"]
        assert 200 == client.get(f"/api/items/?page_size={largest}").status_code
        assert 422 == client.get(f"/api/items/?page_size={largest + 1}").status_code
        assert [largest] == [
            each["schema"]["maximum"] for each in parameters if each["name"] == "page_size"
        ]


# Order


@pytest.mark.parametrize("sort", ORDERS)
def test_pages_are_in_order(client, shelf, sort):
    """Equal keys are in the order of their ids, a missing time counts as the first of all."""
    assert in_order(shelf, sort) == ids(client.get(f"/api/items/?page_size=100&sort={sort}"))


@pytest.mark.parametrize("sort", ORDERS)
def test_pages_by_cursor_have_every_item_once_and_in_order(client, shelf, sort):
    """Whatever the sort, from the empty cursor to the answer without a next link."""
    answers = follow(client, f"/api/items/?after=&page_size=4&sort={sort}")

    assert in_order(shelf, sort) == [number for answer in answers for number in ids(answer)]


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
def test_a_cursor_reads_times_in_any_spelling(app, client, sort):
    """SQLite writes them without a fraction where SQLAlchemy writes zeros; both are one time."""
    spellings = ["2024-01-01 00:00:00", "2024-01-01 00:00:00.000000", "2024-01-01 00:00:00.5"]
    with app.app_context(), pegboard.db.engine.begin() as connection:
        for spelling in spellings * 2:
            insert = text("INSERT INTO items (name, created_at) VALUES ('x', :time)")
            connection.execute(insert, {"time": spelling})
    whole = ids(client.get(f"/api/items/?sort={sort}"))
    answers = follow(client, f"/api/items/?after=&page_size=1&sort={sort}")
    seen = [number for answer in answers for number in ids(answer)]

    expected = [1, 2, 4, 5, 3, 6]
    assert (expected if sort == "created_at" else expected[::-1]) == whole == seen


# Pages by cursor


def test_a_page_by_cursor_counts_nothing(client, shelf, sql):
    """The answer says how to go on, not how much there is."""
    with sql() as sent:
        response = client.get("/api/items/?after=")

    pagination = json.loads(response.headers["X-Pagination"])
    assert {"page_size", "next_after"} == set(pagination)
    assert {"next": f"/api/items/?after={pagination['next_after']}"} == links(response)
    assert not [statement for statement, _ in sent if "count" in statement.lower()]


def test_pages_by_cursor_end_without_an_empty_page(client, shelf):
    """A page that holds exactly the rest has no next link."""
    first = client.get("/api/items/?after=&page_size=13")
    last = client.get(links(first)["next"])
    exact = client.get("/api/items/?after=&page_size=25")

    assert (13, 12) == (len(ids(first)), len(ids(last)))
    assert {} == links(last)
    assert {"page_size": 13} == json.loads(last.headers["X-Pagination"])
    assert {} == links(exact)


@pytest.mark.parametrize("sort", ["id", "name"])
def test_pages_by_cursor_neither_skip_nor_repeat_while_others_write(client, create, sort):
    """Items that come and go elsewhere do not shift those still to come."""
    items = [create(f"Item {number}") for number in range(6)]
    first = client.get(f"/api/items/?after=&page_size=2&sort={sort}")
    client.delete(f"/api/items/{items[0]['id']}")
    client.delete(f"/api/items/{items[1]['id']}")  # the one that the cursor was made of
    create("A new one before them all")

    seen = [number for rest in follow(client, links(first)["next"]) for number in ids(rest)]

    expected = [item["id"] for item in items[2:]]
    assert expected == seen[:4]


def test_a_cursor_serves_whatever_names_hold(client, create):
    """Names with quotes, dots, spaces and letters from everywhere."""
    names = ["", ".", "a b", "a'b", 'a"b', "ä%_\\", "名前", "\U0001f528" * 99]
    for name in names:
        create(f"{name}!")

    answers = follow(client, "/api/items/?after=&page_size=1&sort=name")

    seen = [item["name"] for answer in answers for item in answer.json]
    assert sorted(f"{name}!" for name in names) == sorted(seen)
    assert all(re.fullmatch("[ -~]*", answer.headers.get("Link", "")) for answer in answers)


@pytest.mark.parametrize(
    "cursor",
    ["x", "0", "1.2.3", "1.2.3.4", "-1.0.0.", "1.0.0.a+/=", "1..0.", "%00", "%0A", "1.0.0.%0A",
     "1" * 11 + ".0.0.", "eyJpZCI6IDF9", "W1tbW1tb", "../../etc", "1.0.0.x.y"],
)  # fmt: skip
def test_what_is_no_cursor_is_refused(client, cursor):
    """422 that says where cursors come from."""
    response = client.get(f"/api/items/?after={cursor}")

    assert 422 == response.status_code
    assert ["after"] == list(response.json["errors"])


@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize(
    "cursor",
    ["0.0.0.", "9999999999.999999999999999999.999999999999999999.____", "1.0.0.AAAA", "1.0.0._w"],
)
def test_a_cursor_that_was_never_given_out_is_valid(client, create, cursor, sort):
    """What matches the pattern is understood, in every order, however odd."""
    create()

    assert 200 == client.get(f"/api/items/?after={cursor}&sort={sort}").status_code


def _fill(app: Flask, *, created_at: str = "NULL") -> None:
    """Write 5,000 items; `created_at` is an expression of their numbers n."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO items (name, created_at) WITH RECURSIVE numbers(n) AS "  # noqa: S608 - no input
            "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000) "
            f"SELECT 'Item ' || n, {created_at} FROM numbers"
        )
        connection.exec_driver_sql("ANALYZE")


@pytest.mark.parametrize("sort", ["id", "-id", "name", "-name"])
def test_the_cost_of_a_page_by_cursor_does_not_grow(app, client, sql, sort):
    """An index leads to the place: nothing is sorted, no row is read and thrown away."""
    _fill(app)
    first = client.get(f"/api/items/?after=&sort={sort}")
    with sql() as sent:
        client.get(links(first)["next"])
    [(statement, parameters)] = sent

    with app.app_context(), pegboard.db.engine.begin() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        rows = connection.exec_driver_sql(explain + statement, parameters)
        plan = "\n".join(str(row[-1]) for row in rows)

    assert "SEARCH" in plan if is_sqlite else "Index Cond" in plan
    assert not [word for word in ("TEMP B-TREE", "SCAN", "Sort", "Filter") if word in plan], plan


@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
def test_the_cost_does_not_grow_where_a_sort_key_has_no_value(app, client, sql, sort):
    """On PostgreSQL the index leads to these rows, too, wherever they are in the table."""
    with app.app_context():
        if pegboard.db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite compares times in a form that no index has")
    _fill(app, created_at="CASE WHEN n < 2500 THEN timestamp '2024-01-01' + n * interval '1 s' END")
    cursors = [""]
    for is_missing in ("true", "false"):
        url = f"/api/items/?after=&page_size=100&sort={sort}&created_at[null]={is_missing}"
        cursors += re.findall(r"after=([^>&]+)>", client.get(url).headers["Link"])
    with sql() as sent:
        for cursor in cursors:
            url = f"/api/items/?after={cursor}&sort={sort}"
            assert 20 == len(client.get(url).json)

    with app.app_context(), pegboard.db.engine.begin() as connection:
        plans = [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN {one}", parameters).scalars())
            for one, parameters in sent
        ]

    for plan in plans:
        assert "using ix_items_created_at_items_id" in plan
        assert not [word for word in ("Sort", "Filter") if word in plan], plan


# Search


def test_search_uses_an_index(app, client, sql):
    """On PostgreSQL with pg_trgm, whatever case the text has; the count does, too."""
    with app.app_context():
        if pegboard.db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has no index for parts of texts")
    _fill(app)
    with sql() as sent:
        response = client.get("/api/items/?q=EM 4321")
    assert ["Item 4321"] == [item["name"] for item in response.json]
    assert 2 == len(sent)

    with app.app_context(), pegboard.db.engine.begin() as connection:
        # In a table as small as this one it is cheaper to read all.
        for kind in ("seqscan", "indexscan"):
            connection.exec_driver_sql(f"SET LOCAL enable_{kind} = off")
        for statement, parameters in sent:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()
            assert "Index Scan on ix_items_trigrams" in "\n".join(plan)


@pytest.mark.parametrize(
    "search, expected",
    [
        ("hammer", ["Hammer", "Sledgehammer"]),
        ("HAMMER", ["Hammer", "Sledgehammer"]),
        ("nails", ["Hammer"]),
        ("é", ["CAFÉ"]),
        ("straße", ["STRAßE"]),
        ("%", ["100% wool"]),
        ("_", ["a_b"]),
        ("\\", ["back\\slash"]),
        ("'", ["it's"]),
        ("two\nlines", ["Lines"]),
        ("ham%", []),
        ("", ["Hammer", "Sledgehammer", "CAFÉ", "STRAßE", "100% wool", "a_b", "back\\slash",
              "it's", "Lines"]),
    ],
)  # fmt: skip
def test_search_finds_a_part_in_whatever_case(client, create, search, expected):
    """In name or description; nothing in it is a wildcard."""
    create("Hammer", description="For NAILS.")
    for name in ("Sledgehammer", "CAFÉ", "STRAßE", "100% wool", "a_b", "back\\slash", "it's"):
        create(name)
    create("Lines", description="Two\nlines")

    for mode in ("page=1", "after="):
        response = client.get(f"/api/items/?{mode}&q={quote(search)}")
        assert expected == [item["name"] for item in response.json]


def test_search_restricts_the_count(client, create):
    """The total is of what was found."""
    create("Hammer")
    create("Saw")

    response = client.get("/api/items/?q=saw")

    assert 1 == json.loads(response.headers["X-Pagination"])["total"]
    assert "/api/items/?q=saw&page=1" == links(response)["first"]
