"""Compressed answers, and the tags of their codings."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, cast

import brotli  # type: ignore[import-untyped]
import flask
import pytest
from flask.testing import FlaskClient

import pegboard
from pegboard.http import Compression, available_codings
from pegboard.stages import Answer, Call, Route
from pegboard.testing.fixtures import MakeApp

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports import zstd

LONG = json.dumps([{"id": number, "name": "thing"} for number in range(200)])
DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}
STAGED = b'{"number": 1, "name": "one"}'
closed: list[bool] = []
views = flask.Blueprint("shop", __name__)


@views.get("/long")
def long() -> flask.Response:
    """Answer at length, and conditionally."""
    response = flask.Response(LONG, mimetype="application/json")
    response.set_etag("abc", weak="weak" in flask.request.args)
    return cast("flask.Response", response.make_conditional(flask.request))


@views.get("/short")
def short() -> flask.Response:
    """Answer in a word, with a tag if told so."""
    response = flask.jsonify("a text of some thirty characters")
    if "tag" in flask.request.args:
        response.set_etag("abc")
    return response


@views.put("/long")
def put() -> dict[str, int]:
    """Write if the condition holds."""
    pegboard.require_preconditions("abc")
    return {"written": 1}


@views.get("/as-it-is/<what>")
def as_it_is(what: str) -> flask.Response:
    """Answer with something that must not be changed."""
    headers = {
        "encoded": {"Content-Encoding": "gzip"},
        "identity": {"Content-Encoding": "identity"},
        "image": {"Content-Type": "image/png"},
        "no-transform": {"Cache-Control": "no-transform"},
        "digest": {"Content-Digest": "sha-256=:x:"},
        "partial": {"Content-Range": "bytes 0-1/2"},
    }[what]
    response = flask.Response(LONG, 206 if what == "partial" else 200, mimetype="text/plain")
    response.headers.update({**headers, "ETag": '"abc"'})
    return response


@views.get("/file")
def file() -> flask.Response:
    """Answer with a file, which can be had in ranges."""
    return flask.send_file(io.BytesIO(LONG.encode()), "text/plain", etag="abc")


@views.get("/parts")
def parts() -> flask.Response:
    """Answer part by part."""
    closed.clear()

    def generate() -> Iterator[str]:
        try:
            yield from ("one ", "", "two ", "three")
        finally:
            closed.append(True)

    return flask.Response(generate(), mimetype="text/event-stream")


@views.get("/fails")
def fails() -> flask.Response:
    """Answer with an error that is long."""
    pegboard.abort(409, "No. " * 1000, headers={"ETag": '"abc"'})


class Early:
    """A stage that answers by itself."""

    name, order = "early", 1

    def bind(self, route: Route | None) -> "Early | None":
        """Act where no route matches."""
        return None if route is not None else self

    def prepare(self, call: Call) -> Answer | None:
        """Answer."""
        if not call.environ["PATH_INFO"].startswith("/staged"):
            return None
        headers = [("Content-Type", "application/json"), ("ETag", '"abc"')]
        return Answer(200, headers, STAGED)

    def complete(self, *_: object) -> None:
        """Never called."""


class Shop:
    """The plugin."""

    name = "shop"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[flask.Blueprint]:
        """Serve the views."""
        return [views]

    @pegboard.hookimpl
    def pegboard_stages(self) -> list[Early]:
        """Add the stage."""
        return [Early()]


@pytest.fixture
def shop(make_app: MakeApp) -> FlaskClient:
    """A client of an app with the plugin."""
    return make_app(plugins=[Shop()]).test_client()


def ask(client: FlaskClient, path: str, accepted: str | None, **options: Any) -> Any:
    """Get a path, or do otherwise, accepting these codings."""
    headers = options.pop("headers", {}) | ({"Accept-Encoding": accepted} if accepted else {})
    return client.open(path, headers=headers, **options)


@pytest.mark.parametrize("coding", DECODERS)
@pytest.mark.parametrize(
    "path, plain", [("/long", LONG.encode()), ("/staged", STAGED), ("/file", LONG.encode())]
)
def test_an_answer_is_compressed_as_the_client_asks(
    shop: FlaskClient, path: str, plain: bytes, coding: str
) -> None:
    """Of a view, a file or a stage, at first and again, with a tag and a length of its own."""
    for _ in range(2):
        found = ask(shop, path, coding)
        assert plain == DECODERS[coding](found.data)
        assert coding == found.headers["Content-Encoding"]
        assert f'"abc-{coding}"' == found.headers["ETag"]
        assert [str(len(found.data))] == found.headers.getlist("Content-Length")
        assert "Accept-Ranges" not in found.headers
        assert "Accept-Encoding" in found.headers["Vary"]


@pytest.mark.parametrize("accepted", [None, "", "identity", "deflate", "gzip;q=0"])
def test_nobody_gets_a_coding_that_was_not_asked_for(
    shop: FlaskClient, accepted: str | None
) -> None:
    """The answer still tells caches that others may get one."""
    found = ask(shop, "/long", accepted)
    assert LONG == found.text
    assert "Content-Encoding" not in found.headers
    assert '"abc"' == found.headers["ETag"]
    assert "Accept-Encoding" == found.headers["Vary"]


@pytest.mark.parametrize(
    "header, expected",
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br;q=0.9", "gzip"),
        ("GZIP;Q=0.5", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip ; q=0.5 , br;q=0.001", "gzip"),
        ("identity;q=0.5, gzip;q=0.2", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=0.1", "gzip"),
        ("*", "zstd"),
        ("*;q=0, br", "br"),
        ("zstd;q=0, br;q=0, *", "gzip"),
        ("identity;q=0, *;q=0.1", "zstd"),
        ("gzip;q=1.5", None),
        ("gzip;q=x", None),
        (",", None),
    ],
)
def test_weights_decide(header: str, expected: str | None) -> None:
    """RFC 9110, section 12.5.3; of equal ones the shortest result comes first."""
    found = Compression(available_codings(), 1).negotiate({"HTTP_ACCEPT_ENCODING": header})
    assert expected == (found.coding and found.coding.name)
    assert found.is_identity_refused is ("identity;q=0," in header or "*;q=0," in header)


@pytest.mark.parametrize("header", ["*;q=0", "identity;q=0", "identity;q=0, gzip;q=0, deflate"])
@pytest.mark.parametrize("path", ["/long", "/staged", "/nothing", "/health"])
def test_who_accepts_nothing_is_told_before_anything_is_done(
    shop: FlaskClient, path: str, header: str
) -> None:
    """A write would have happened otherwise."""
    found = ask(shop, path, header)
    assert (406, 406) == (found.status_code, found.json["status"])
    assert "gzip" in found.json["message"]


def test_who_accepts_no_plain_answer_gets_none(shop: FlaskClient) -> None:
    """However short it is."""
    assert "gzip" == ask(shop, "/short", "identity;q=0, gzip").headers["Content-Encoding"]


@pytest.mark.parametrize(
    "path, expected", [("/short", None), ("/short?tag", "gzip"), ("/health", None)]
)
def test_a_short_answer_is_compressed_only_for_its_tag(
    shop: FlaskClient, path: str, expected: str | None
) -> None:
    """A proxy that compresses short answers would make the tag useless for `If-Match`."""
    assert expected == ask(shop, path, "gzip").headers.get("Content-Encoding")


@pytest.mark.parametrize(
    "what", ["encoded", "identity", "image", "no-transform", "digest", "partial"]
)
def test_what_must_not_be_changed_is_sent_as_it_is(shop: FlaskClient, what: str) -> None:
    """With the tag that it has."""
    found = ask(shop, f"/as-it-is/{what}", "gzip")
    assert LONG.encode() == found.data
    assert '"abc"' == found.headers["ETag"]


def test_a_long_error_is_compressed_and_keeps_the_tag_of_the_resource(shop: FlaskClient) -> None:
    """That tag is not the tag of the error."""
    found = ask(shop, "/fails", "gzip")
    assert "gzip" == found.headers["Content-Encoding"]
    assert '"abc"' == found.headers["ETag"]


def test_head_has_no_body_when_nothing_is_accepted(shop: FlaskClient) -> None:
    """As in every other answer."""
    found = ask(shop, "/long", "*;q=0", method="HEAD")
    assert (406, b"") == (found.status_code, found.data)


@pytest.mark.parametrize("path", ["/long", "/staged", "/file"])
def test_head_has_the_headers_of_get(shop: FlaskClient, path: str) -> None:
    """But the length, for which the body would have to be made."""
    got, headed = (ask(shop, path, "gzip", method=method) for method in ("GET", "HEAD"))
    ignored = {"Content-Length", "X-Request-ID", "Date"}
    assert b"" == headed.data
    assert "Content-Length" not in headed.headers
    assert {pair for pair in got.headers if pair[0] not in ignored} == {
        pair for pair in headed.headers if pair[0] not in ignored
    }


@pytest.mark.parametrize("coding", DECODERS)
def test_parts_can_be_read_as_they_come(shop: FlaskClient, coding: str) -> None:
    """A stream of events would stand still otherwise; the view's generator is closed."""
    found = ask(shop, "/parts", coding)
    assert "Content-Length" not in found.headers
    pieces = [bytes(piece) for piece in found.iter_encoded() if piece]
    assert 4 == len(pieces)
    if coding == "gzip":
        assert b"one " == gzip.GzipFile(fileobj=io.BytesIO(pieces[0])).read1()
    assert b"one two three" == DECODERS[coding](b"".join(pieces))
    found.close()
    assert [True] == closed


CONDITIONS = ['"abc"', '"abc-gzip"', '"abc-br"', '"abc-zstd"', '"x", "abc-br"', '"x-gzip", "abc"']


@pytest.mark.parametrize("path", ["/long", "/openapi.json"])
@pytest.mark.parametrize("accepted", [None, "gzip", "br"])
def test_the_tag_of_any_coding_is_known(shop: FlaskClient, path: str, accepted: str | None) -> None:
    """304 with the tag that the client has."""
    for coding in (None, "gzip", "br", "zstd"):
        tag = ask(shop, path, coding).headers["ETag"]
        found = ask(shop, path, accepted, headers={"If-None-Match": tag})
        assert (304, tag) == (found.status_code, found.headers["ETag"])
        assert "Accept-Encoding" in found.headers["Vary"]


@pytest.mark.parametrize("condition", [*CONDITIONS, '"x-gzip", "abc-gzip"', 'W/"abc-gzip"'])
def test_a_write_is_conditional_on_the_tag_of_any_coding(shop: FlaskClient, condition: str) -> None:
    """Also on one that a proxy has weakened by decoding the answer."""
    found = shop.put("/long", headers={"If-Match": condition})
    assert (200, {"written": 1}) == (found.status_code, found.json)


@pytest.mark.parametrize(
    "condition", ['W/"abc"', '"x-gzip"', '"abc-deflate"', '"-gzip"', "abc-gzip"]
)
def test_other_tags_do_not_match(shop: FlaskClient, condition: str) -> None:
    """A weak tag that is none of a coding stays a weak tag."""
    assert 412 == shop.put("/long", headers={"If-Match": condition}).status_code


def test_a_weak_tag_is_that_of_all_codings(shop: FlaskClient) -> None:
    """It promises no equal bytes."""
    assert 'W/"abc"' == ask(shop, "/long?weak", "gzip").headers["ETag"]


def test_a_range_is_of_the_plain_bytes_only(shop: FlaskClient) -> None:
    """A client that asks for the rest of a compressed answer gets the whole anew."""
    wanted = {"Range": "bytes=0-9"}
    part = ask(shop, "/file", "gzip", headers=wanted)
    assert (206, LONG[:10], '"abc"') == (part.status_code, part.text, part.headers["ETag"])
    # As in the whole answer (RFC 9110, section 15.3.7).
    assert "Accept-Encoding" == part.headers["Vary"]
    again = ask(shop, "/file", "gzip", headers={**wanted, "If-Range": '"abc-gzip"'})
    assert (200, LONG.encode()) == (again.status_code, gzip.decompress(again.data))


def test_it_can_be_switched_off_or_begin_later(make_app: MakeApp) -> None:
    """Then the tag is the same for all, and nothing depends on what is accepted."""
    off = ask(make_app(plugins=[Shop()], COMPRESSION=False).test_client(), "/long", "gzip")
    assert (LONG, '"abc"', None) == (off.text, off.headers["ETag"], off.headers.get("Vary"))
    late = make_app(plugins=[Shop()], COMPRESSION_MIN_SIZE=1_000_000).test_client()
    assert "Content-Encoding" not in ask(late, "/fails", "gzip").headers


def test_without_its_library_a_coding_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service runs with those that are there."""
    for name in ("brotli", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    assert ["gzip"] == [coding.name for coding in available_codings()]
