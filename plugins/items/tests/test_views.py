"""The API, over HTTP, on both databases."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, insert, select
from werkzeug.serving import make_server

import pegboard
from pegboard.testing.fixtures import MakeApp
from pegboard_items import Item

JSON = "application/json"
ASTRAL = "\U0001f528"
BAD_IDS = [
    "0",
    "-1",
    "+1",
    "01",
    "1.0",
    "abc",
    "%20",
    "1%00",
    "%D9%A1",  # ARABIC-INDIC DIGIT ONE
    str(2**31),
    str(2**63),
    "9" * 400,
    "9" * 5000,
]


@pytest.fixture
def app(emptied_app: Flask) -> Flask:
    """An app that all tests of this module share, with no rows in its table."""
    return emptied_app


def assert_error(response: Any, status: int) -> None:
    """The answer is in the platform's error format."""
    assert status == response.status_code
    assert "application/json" == response.mimetype
    assert status == response.json["status"]
    assert isinstance(response.json["message"], str)
    assert "SELECT" not in response.text


@pytest.mark.slow
def test_ids_that_no_item_can_have_read_as_those_that_none_has(client):
    """Below and above the column's range, and of more than 64 bits."""
    for number in ("0", "99999", str(2**31), str(10**30)):
        for method in ("get", "delete"):
            response = getattr(client, method)(f"/api/items/{number}")
            assert_error(response, 404)
            assert f"There is no item {number}." == response.json["message"]


def test_a_number_out_of_range_is_told_the_range_in_few_words(client):
    """As a plugin's own schema has it from marshmallow."""
    for number in (0, 1_000_001, 10**20):
        (message,) = client.get(f"/api/items/?page={number}").json["errors"]["page"]
        assert "Must be from 1 to 1000000." == message
    (message,) = client.get("/api/items/?page_size=0&foo=1").json["errors"]["page_size"]
    assert "Must be from 1 to 100." == message


def test_if_none_match_on_a_write_has_a_reason_of_its_own(client, create):
    """The item is no other than the one that the request was made for."""
    url = f"/api/items/{create()['id']}"
    tag = client.get(url).headers["ETag"]
    for sent, told in (("*", "exists already"), (tag, "as If-None-Match names it")):
        response = client.put(url, json={"name": "Saw"}, headers={"If-None-Match": sent})
        assert_error(response, 412)
        assert told in response.json["message"]
    stale = client.put(url, json={"name": "Saw"}, headers={"If-Match": '"a"', "If-None-Match": "*"})
    assert "If-Match does not have" in stale.json["message"]


# Creating


def test_post_creates_an_item(client):
    """201 with the item, its relative Location and its ETag; reading it gives the same."""
    response = client.post("/api/items/", json={"name": "Hammer", "description": "For nails."})

    item = response.json
    assert 201 == response.status_code
    assert f"/api/items/{item['id']}" == response.headers["Location"]
    assert ["id", "name", "description", "created_at", "updated_at"] == list(item)
    assert ("Hammer", "For nails.") == (item["name"], item["description"])
    assert item["created_at"] == item["updated_at"]

    read = client.get(response.headers["Location"])
    assert (200, response.data) == (read.status_code, read.data)
    assert response.headers["ETag"] == read.headers["ETag"]


def test_description_is_optional_and_may_be_null_or_empty(create):
    """Without one an item has none; an empty text is not the same."""
    assert create()["description"] is None
    assert create(description=None)["description"] is None
    assert "" == create(description="")["description"]


@pytest.mark.parametrize(
    "name, stored",
    [
        ("  Hammer\t\r\n", "Hammer"),
        ("\u00a0\u2003Hammer\u3000\u0085", "Hammer"),
        (" a  b ", "a  b"),
        (f"  {'x' * 100}  ", "x" * 100),
        (ASTRAL * 100, ASTRAL * 100),
        ("e\u0301\u200d\ufeff", "e\u0301\u200d\ufeff"),
        ("x'; DROP TABLE items; --", "x'; DROP TABLE items; --"),
    ],
)
def test_names_are_trimmed_and_otherwise_kept(client, create, name, stored):
    """White space goes at both ends; length is counted in code points, after that."""
    item = create(name)

    assert stored == item["name"]
    assert stored == client.get(f"/api/items/{item['id']}").json["name"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        " \t\n\u2003",
        "x" * 101,
        ASTRAL * 101,
        "a\u0000b",
        "a\nb",
        "a\u001bb",
        "a\u007f",
        "\u009fa",
        "\u001c",
        "\ud800",
        "a\udfffb",
        None,
        1,
        True,
        ["a"],
        {},
    ],
)
def test_bad_names_are_refused(client, read_rows, name):
    """422 that names the field, and nothing is written."""
    response = client.post("/api/items/", json={"name": name})

    assert_error(response, 422)
    assert ["name"] == list(response.json["errors"])
    assert [] == read_rows()


def test_descriptions_hold_lines(create):
    """Tab, line feed and carriage return are text; nothing is trimmed."""
    text = " one\r\n\ttwo\n\u2028" + ASTRAL * 2000

    assert text == create(description=text)["description"]


@pytest.mark.parametrize("text", ["\u0000", "a\u000bb", "\u001b[31m", "\u0085", "\udc00", 5, []])
def test_bad_descriptions_are_refused(client, read_rows, text):
    """422 that names the field, and nothing is written."""
    response = client.post("/api/items/", json={"name": "Hammer", "description": text})

    assert_error(response, 422)
    assert ["description"] == list(response.json["errors"])
    assert [] == read_rows()


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "name"),
        ({"description": "x"}, "name"),
        ({"name": "x", "id": 1}, "id"),
        ({"name": "x", "created_at": "2024-01-01T00:00:00"}, "created_at"),
        ({"name": "x", "updated_at": None}, "updated_at"),
        ({"name": "x", "color": "red"}, "color"),
        (None, "_schema"),
        ([], "_schema"),
        ("x", "_schema"),
        (1, "_schema"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_bodies_of_another_shape_are_refused(client, create, read_rows, method, body, field):
    """422 that names the field: unknown, read-only, missing; or the whole body."""
    before = create()
    url = "/api/items/" if method == "POST" else f"/api/items/{before['id']}"

    response = client.open(url, method=method, data=json.dumps(body), content_type=JSON)

    assert_error(response, 422)
    assert [field] == list(response.json["errors"])
    assert ["Hammer"] == [row["name"] for row in read_rows()]


@pytest.mark.parametrize(
    "body, content_type, status",
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b'{"name": "a"} x', "application/json", 400),
        (b'{"name": "a", "name": "b"}', "application/json", 400),
        (b'{"name": NaN}', "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"name": ' + b"1" * 10_000 + b"}", "application/json", 400),
        (b'{"name": "a"}', "text/plain", 415),
        (b"name=a", "application/x-www-form-urlencoded", 415),
        (b'{"name": "a"}', None, 415),
        (b'{"name": "' + b"a" * 2_000_000 + b'"}', "application/json", 413),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_json_is_refused(client, read_rows, body, content_type, status):
    """In the platform's format, and nothing is written."""
    assert_error(client.post("/api/items/", data=body, content_type=content_type), status)
    assert [] == read_rows()


def test_a_charset_is_welcome(client):
    """The usual parameter of the content type does no harm."""
    response = client.post(
        "/api/items/", data=b'{"name": "a"}', content_type="application/json; charset=utf-8"
    )

    assert 201 == response.status_code


def test_locations_respect_where_the_service_is_mounted(client):
    """Below a prefix, the prefix belongs to them; the same for links."""
    mounted = {"environ_overrides": {"SCRIPT_NAME": "/prefix"}}

    created = client.post("/api/items/", json={"name": "Hammer"}, **mounted)
    listed = client.get("/api/items/", **mounted)

    assert "/prefix/api/items/1" == created.headers["Location"]
    assert '</prefix/api/items/?page=1>; rel="first"' in listed.headers["Link"]


# Reading one


@pytest.mark.parametrize("item_id", BAD_IDS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_an_id_that_no_item_can_have_is_not_found(client, sql, method, item_id):
    """404, and the database is not asked."""
    with sql() as sent:
        response = client.open(f"/api/items/{item_id}", method=method, json={"name": "x"})

    assert 404 == response.status_code
    if method != "HEAD":
        assert_error(response, 404)
    assert [] == sent


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("item_id", [1, 2**31 - 1])
def test_an_id_that_no_item_has_is_not_found(client, method, item_id):
    """404, also under a condition."""
    response = client.open(
        f"/api/items/{item_id}", method=method, json={"name": "x"}, headers={"If-Match": "*"}
    )

    assert_error(response, 404)


@pytest.mark.parametrize(
    "written, shown",
    [
        (datetime(2024, 1, 1), "2024-01-01T00:00:00"),  # noqa: DTZ001 - as stored
        (datetime(2024, 1, 1, 1, 2, 3, 40), "2024-01-01T01:02:03.000040"),  # noqa: DTZ001
        (None, None),
    ],
)
def test_times_have_a_fraction_only_where_there_is_one(client, write_rows, written, shown):
    """As in 2024-01-01T00:00:00; another program may leave a time out altogether."""
    write_rows({"name": "Hammer", "created_at": written, "updated_at": written})

    item = client.get("/api/items/1").json

    assert (shown, shown) == (item["created_at"], item["updated_at"])


def test_rows_of_other_programs_get_their_times_from_the_database(app, client):
    """Inserting only a name is enough."""
    with app.app_context(), pegboard.db.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO items (name) VALUES ('Hammer')")

    item = client.get("/api/items/1").json

    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?"
    assert re.fullmatch(pattern, item["created_at"])
    assert re.fullmatch(pattern, item["updated_at"])
    assert item["description"] is None


@pytest.mark.parametrize("known", ["{}", "W/{}", '"x", {}', "*"])
def test_a_client_that_knows_the_item_is_told_so(client, create, known):
    """304 with the ETag and without a body, by weak comparison."""
    url = f"/api/items/{create()['id']}"
    etag = client.get(url).headers["ETag"]

    response = client.get(url, headers={"If-None-Match": known.format(etag)})

    assert 304 == response.status_code
    assert etag == response.headers["ETag"]
    assert b"" == response.data
    assert "Content-Type" not in response.headers


def test_a_client_that_knows_an_older_item_gets_the_item(client, create):
    """The ETag changes with the item."""
    url = f"/api/items/{create()['id']}"
    etag = client.get(url).headers["ETag"]
    client.put(url, json={"name": "Saw"})

    response = client.get(url, headers={"If-None-Match": etag})

    assert 200 == response.status_code
    assert "Saw" == response.json["name"]
    assert etag != response.headers["ETag"]


def test_reading_respects_if_match(client, create):
    """RFC 9110, section 13.1.1, has it for every method."""
    url = f"/api/items/{create()['id']}"
    etag = client.get(url).headers["ETag"]

    assert 200 == client.get(url, headers={"If-Match": etag}).status_code
    assert_error(client.get(url, headers={"If-Match": '"x"'}), 412)


@pytest.mark.parametrize("url", ["/api/items/", "/api/items/1", "/api/items/?after=&q=ham"])
def test_head_mirrors_get(client, create, url):
    """The same headers, no body."""
    create()

    get, head = client.get(url), client.head(url)

    def headers(response: Any) -> dict[str, str]:
        return {name: value for name, value in response.headers if name != "X-Request-ID"}

    assert (get.status_code, headers(get)) == (head.status_code, headers(head))
    assert b"" == head.data


@pytest.mark.parametrize(
    "url, other, allowed",
    [
        ("/api/items/", "PATCH", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/api/items/1", "POST", {"GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE"}),
    ],
)
def test_other_methods_are_not_allowed(client, url, other, allowed):
    """405 that says what is; so does OPTIONS."""
    refused, options = client.open(url, method=other, json={}), client.options(url)

    assert_error(refused, 405)
    assert allowed == set(refused.headers["Allow"].split(", "))
    assert 200 == options.status_code
    assert allowed == set(options.headers["Allow"].split(", "))


def test_the_url_without_its_slash_redirects_relatively(client):
    """A forged Host does not appear in the answer."""
    response = client.get("/api/items?page=2", headers={"Host": "evil.example"})

    assert 308 == response.status_code
    assert "/api/items/?page=2" == response.headers["Location"]
    assert b"evil" not in response.data


# Replacing and deleting


def test_put_replaces_the_whole_item(client, create):
    """200 with the new item; what is not sent is gone; created_at stays."""
    before = create(description="For nails.")

    response = client.put(f"/api/items/{before['id']}", json={"name": " Saw "})

    after = response.json
    assert 200 == response.status_code
    assert ("Saw", None) == (after["name"], after["description"])
    assert before["created_at"] == after["created_at"]
    assert before["updated_at"] < after["updated_at"]
    read = client.get(f"/api/items/{before['id']}")
    assert (response.data, response.headers["ETag"]) == (read.data, read.headers["ETag"])


def test_a_put_that_changes_nothing_succeeds(client, create):
    """200, and the item is what it was."""
    before = create(description="For nails.")
    sent = {"name": before["name"], "description": before["description"]}

    response = client.put(f"/api/items/{before['id']}", json=sent)

    assert (200, before) == (response.status_code, response.json)


def test_delete_removes_the_item(client, create):
    """204 without a body, then 404."""
    url = f"/api/items/{create()['id']}"

    response = client.delete(url)

    assert (204, b"") == (response.status_code, response.data)
    assert 404 == client.get(url).status_code
    assert_error(client.delete(url), 404)


def test_the_id_of_a_deleted_item_is_not_used_again(client, create):
    """A client that still has its address does not find another item there."""
    gone = create()
    client.delete(f"/api/items/{gone['id']}")
    assert gone["id"] < create()["id"]
    assert 404 == client.get(f"/api/items/{gone['id']}").status_code


@pytest.mark.parametrize("method, status", [("PUT", 200), ("DELETE", 204)])
@pytest.mark.parametrize("condition", ["{}", '"x", {}', "*"])
def test_a_write_under_a_condition_that_holds_succeeds(client, create, method, status, condition):
    """If-Match names the item as it is, among others, or any."""
    url = f"/api/items/{create()['id']}"
    etag = client.get(url).headers["ETag"]

    response = client.open(
        url, method=method, json={"name": "Saw"}, headers={"If-Match": condition.format(etag)}
    )

    assert status == response.status_code


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    "header, condition",
    [
        ("If-Match", '"stale"'),
        ("If-Match", "W/{}"),
        ("If-Match", ""),
        ("If-Match", "nonsense"),
        ("If-None-Match", "*"),
        ("If-None-Match", "{}"),
        ("If-None-Match", "W/{}"),
    ],
)
def test_a_write_under_a_condition_that_fails_is_refused(
    client, create, read_rows, method, header, condition
):
    """412 with the ETag of what is there, and nothing is written; weak tags never match."""
    url = f"/api/items/{create()['id']}"
    etag = client.get(url).headers["ETag"]

    response = client.open(
        url, method=method, json={"name": "Saw"}, headers={header: condition.format(etag)}
    )

    assert_error(response, 412)
    assert etag == response.headers["ETag"]
    assert ["Hammer"] == [row["name"] for row in read_rows()]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_of_eight_writers_with_one_condition_one_wins(app, client, create, method):
    """The condition is decided with the row locked: the others are told 412."""
    url = f"/api/items/{create()['id']}"
    etag = client.get(url).headers["ETag"]
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    barrier = threading.Barrier(8)
    statuses: list[int] = []

    def write(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        connection.connect()
        body = f'{{"name": "Writer {number}"}}'
        headers = {"If-Match": etag, "Content-Type": "application/json"}
        barrier.wait()
        connection.request(method, url, body, headers)
        statuses.append(connection.getresponse().status)
        connection.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    try:
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    finally:
        server.shutdown()
        serving.join()
        server.server_close()

    won, lost = (200, 412) if method == "PUT" else (204, 404)
    assert [won] + [lost] * 7 == sorted(statuses)


# What it costs


@pytest.mark.parametrize(
    "method, url, statements",
    [
        ("GET", "/api/items/{}", 1),
        ("GET", "/api/items/", 2),
        ("GET", "/api/items/?page_size=100&q=a&sort=-name", 2),
        ("GET", "/api/items/?after=", 1),
        # Those without a time come first, and are read by a statement of their own.
        ("GET", "/api/items/?after=&page_size=100&sort=updated_at", 2),
        ("POST", "/api/items/", 1),
        ("PUT", "/api/items/{}", 2),
        ("DELETE", "/api/items/{}", 2),
    ],
)
def test_the_number_of_statements_is_constant(client, write_rows, sql, method, url, statements):
    """It does not grow with the page or the table."""
    body = {"json": {"name": "Saw"}} if method in {"POST", "PUT"} else {}
    for size in (1, 150):
        write_rows(*({"name": f"Item {number}"} for number in range(size)))
        with sql() as sent:
            response = client.open(url.format(size), method=method, **body)
        assert response.status_code < 300
        assert statements == len(sent), sent


@pytest.mark.slow
def test_requests_at_once_are_served_in_memory(make_app: MakeApp) -> None:
    """Many threads may create and read at once on the database that tests have by default."""
    app = make_app(plugins=["items"])
    together = threading.Barrier(50)

    def ask(number: int) -> list[int]:
        client = app.test_client()
        together.wait()
        created = client.post("/api/items/", json={"name": f"item {number}"})
        return [created.status_code, client.get(created.headers["Location"]).status_code]

    with ThreadPoolExecutor(50) as threads:
        assert [[201, 200]] * 50 == list(threads.map(ask, range(50)))
    listed = app.test_client().get("/api/items/?page_size=100").get_json()
    assert {f"item {number}" for number in range(50)} == {item["name"] for item in listed}


@pytest.mark.parametrize("ondelete, status", [(None, 409), ("CASCADE", 204)])
def test_a_row_of_another_plugin_keeps_an_item_unless_it_says_otherwise(
    app, client, create, ondelete, status
):
    """By the `ondelete` of its foreign key."""
    column = Column("item_id", Integer, ForeignKey(Item.id, ondelete=ondelete))
    reviews = Table("reviews", MetaData(), column)
    url = f"/api/items/{create()['id']}"
    with app.app_context(), pegboard.db.engine.begin() as connection:
        reviews.create(connection)
        connection.execute(insert(reviews).values(item_id=1))
    response = client.delete(url)
    assert status == response.status_code
    if status == 409:
        assert_error(response, 409)
        assert 200 == client.get(url).status_code
    with app.app_context(), pegboard.db.engine.begin() as connection:
        left = connection.scalars(select(reviews.c.item_id)).all()
        reviews.drop(connection)
    assert ([1] if status == 409 else []) == left
