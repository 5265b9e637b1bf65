"""Bodies of requests, as servers hand them over."""

import io
from typing import Any

import pytest
from flask import Flask, request


@pytest.fixture
def client(make_app):
    """A client of an app that answers with the length of the body."""
    app: Flask = make_app(MAX_CONTENT_LENGTH=10)

    @app.post("/length")
    def length():
        return str(len(request.get_data()))

    @app.post("/more")
    def more():
        request.max_content_length = 1000
        return str(len(request.get_data()))

    @app.post("/pieces")
    def pieces():
        return b"|".join(iter(lambda: request.stream.read(4), b""))

    return app.test_client()


def chunked(data: bytes) -> dict[str, object]:
    """Return what a server that marks the end of the input makes of a chunked body."""
    return {
        "input_stream": io.BytesIO(data),
        "environ_overrides": {
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
            "CONTENT_LENGTH": "",
        },
    }


@pytest.mark.parametrize("length, status", [(0, 200), (10, 200), (11, 413), (1000, 413)])
def test_a_body_over_the_limit_is_refused_however_it_is_sent(client, length, status):
    """One that does not declare its length is not cut off at the limit."""
    data = b"x" * length
    assert status == client.post("/length", data=data).status_code
    assert status == client.post("/length", **chunked(data)).status_code


def test_a_view_may_allow_more(client):
    """By Flask's own attribute of the request."""
    assert "1000" == client.post("/more", **chunked(b"x" * 1000)).text


def test_a_body_can_be_read_in_pieces(client):
    """As uploads are."""
    assert "0123|4567|89" == client.post("/pieces", data="0123456789").text


@pytest.mark.parametrize("sent", [b"", b"1234"])
def test_a_body_that_ends_too_early_is_refused(client, sent):
    """A client that disconnects early has not sent its whole request, which is 400."""
    response = client.post(
        "/length",
        input_stream=io.BytesIO(sent),
        environ_overrides={"CONTENT_LENGTH": "5", "wsgi.input_terminated": True},
    )
    assert 400 == response.status_code


def test_a_body_whose_connection_breaks_is_refused(client):
    """Some servers raise an `OSError` then."""

    class Broken(io.BytesIO):
        def read(self, _size=-1, /):
            raise ConnectionResetError

    response = client.post("/length", **{**chunked(b""), "input_stream": Broken()})
    assert 400 == response.status_code


def test_a_body_of_two_lengths_is_refused(client):
    """A proxy and this server could disagree on where it ends."""
    arguments: dict[str, Any] = chunked(b"12345")
    arguments["environ_overrides"]["CONTENT_LENGTH"] = "5"
    assert 400 == client.post("/length", **arguments).status_code


def test_a_body_without_an_end_is_not_read(client):
    """A server that marks none, and a client that declares none: there is no body."""
    response = client.post(
        "/length",
        input_stream=io.BytesIO(b"12345"),
        environ_overrides={"CONTENT_LENGTH": ""},
    )
    assert "0" == response.text
