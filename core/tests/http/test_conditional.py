"""Conditional requests, as RFC 9110 has them."""

import pytest
from flask import Flask

from pegboard.cache.entry import Entry
from pegboard.http import (
    PRECONDITION_FAILED_MESSAGE,
    evaluate_preconditions,
    init_errors,
    require_preconditions,
)

READING = ["GET", "HEAD"]
WRITING = ["PUT", "PATCH", "DELETE", "POST"]


@pytest.mark.parametrize("method", READING + WRITING)
def test_without_a_condition_there_is_nothing_to_decide(method):
    """No condition means no early answer."""
    assert evaluate_preconditions("tag", method=method, if_match=None, if_none_match=None) is None


@pytest.mark.parametrize("method", READING + WRITING)
@pytest.mark.parametrize(
    "header, expected",
    [
        ('"tag"', None),
        ('"other", "tag"', None),
        ("*", None),
        ('"other"', 412),
        ('W/"tag"', 412),
        ('"TAG"', 412),
        ('"tag,other"', 412),
        ("nonsense", 412),
        ("", 412),
    ],
)
def test_if_match_wants_the_very_thing(method, header, expected):
    """By strong comparison (section 13.1.1); an invalid header matches nothing."""
    assert expected == evaluate_preconditions(
        "tag", method=method, if_match=header, if_none_match=None
    )


@pytest.mark.parametrize("method", READING + WRITING)
@pytest.mark.parametrize(
    "header, is_had",
    [
        ('"tag"', True),
        ('W/"tag"', True),
        ('"other", W/"tag"', True),
        ("*", True),
        ('"other"', False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_if_none_match_wants_another(method, header, is_had):
    """By weak comparison (section 13.1.2): a match is neither sent nor overwritten."""
    expected = (304 if method in READING else 412) if is_had else None
    assert expected == evaluate_preconditions(
        "tag", method=method, if_match=None, if_none_match=header
    )


@pytest.mark.parametrize(
    "method, if_match, if_none_match, expected",
    [
        ("GET", '"other"', '"tag"', 412),
        ("GET", '"tag"', '"tag"', 304),
        ("GET", '"tag"', '"other"', None),
        ("PUT", '"other"', '"other"', 412),
        ("PUT", '"tag"', '"other"', None),
        ("PUT", '"tag"', '"tag"', 412),
    ],
)
def test_of_two_conditions_both_must_hold(method, if_match, if_none_match, expected):
    """If-Match is looked at first (section 13.2.2)."""
    found = evaluate_preconditions(
        "tag", method=method, if_match=if_match, if_none_match=if_none_match
    )
    assert expected == found


@pytest.fixture
def client():
    """A client of an app with one thing, which is in its first version."""
    app = Flask(__name__)
    init_errors(app)

    @app.route("/", methods=["GET", "PUT"])
    def thing():
        require_preconditions("first")
        return "done"

    return app.test_client()


def test_a_write_that_was_made_for_something_else_is_refused(client):
    """The client learns what there is now."""
    response = client.put("/", headers={"If-Match": '"zeroth"'})
    assert (412, '"first"') == (response.status_code, response.headers["ETag"])
    assert {"message": PRECONDITION_FAILED_MESSAGE, "status": 412} == response.json
    assert response.json["message"].startswith("If-Match ")
    assert 412 == client.put("/", headers={"If-None-Match": "*"}).status_code


@pytest.mark.parametrize(
    "header, reason",
    [
        ("zeroth", "no list of entity tags"),
        ("'zeroth'", "no list of entity tags"),
        ('"zeroth', "no list of entity tags"),
        ('"zeroth" "other"', "no list of entity tags"),
        ('w/"zeroth"', "no list of entity tags"),
        ('"zeroth", other', "no list of entity tags"),
        ('W/"first"', "a weak entity tag, which never matches"),
        ('W/"zeroth"', "the resource's current ETag"),
        ('"zeroth", "other"', "the resource's current ETag"),
        (' "zeroth",, W/"other" ', "the resource's current ETag"),
    ],
)
def test_a_header_that_can_never_match_is_explained(client, header, reason):
    """Sending what the ETag is now would not help where the quotes are missing (section 8.8.3).

    A cached answer and a write say the same.
    """
    response = client.put("/", headers={"If-Match": header})
    assert 412 == response.status_code
    assert reason in response.json["message"]

    cached = Entry("first", [], b"done").answer({"REQUEST_METHOD": "GET", "HTTP_IF_MATCH": header})
    assert 412 == cached.status
    assert reason in cached.body.decode()


def test_a_write_that_was_made_for_this_goes_on(client):
    """So does one without a condition, and a view that reads is left to answer 304 itself."""
    assert "done" == client.put("/", headers={"If-Match": '"first"'}).text
    assert "done" == client.put("/").text
    assert "done" == client.get("/", headers={"If-None-Match": '"first"'}).text
