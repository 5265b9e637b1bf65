"""Operations that are replaced by views of the plugin's own."""

from typing import Any

import pytest
from flask import Response

import pegboard
from pegboard.resources import CRUD, Operation
from pegboard_reviews.models import Review
from pegboard_reviews.resource import Reviews
from pegboard_reviews.schemas import ReviewSchema

kept = Reviews(
    "kept",
    __name__,
    Review,
    ReviewSchema,
    noun="kept review",
    operations=CRUD - {Operation.CREATE, Operation.DELETE},
)


@kept.blueprint.post("/")
@kept.blueprint.arguments(kept.input)
@kept.blueprint.response(201, kept.output)
@kept.blueprint.alt_response(403, "FORBIDDEN")
@pegboard.transactional
def write(values: dict[str, Any]) -> Response:
    """Write a review that is published at once."""
    kept.permit_write(Operation.CREATE)
    review = kept.make({**values, "published_at": pegboard.utcnow()})
    kept.save(review)
    response = kept.represent.response(review, 201)
    response.headers["Location"] = kept.url_of(review)
    return response


@kept.blueprint.delete(kept.row_rule)
@kept.blueprint.response(204)
@kept.blueprint.alt_response(403, "FORBIDDEN")
@kept.blueprint.alt_response(409, "CONFLICT")
@kept.blueprint.alt_response(412, "PRECONDITION_FAILED")
@pegboard.transactional
def discard(kept_review_id: int) -> Response:
    """Delete a draft; what is published stays."""
    review = kept.lock_unconditionally(kept_review_id)
    kept.permit_write(Operation.DELETE, review)
    if review.published_at is not None:
        pegboard.abort(409, "The review is published.")
    pegboard.require_preconditions(kept.represent.of(review).etag)
    pegboard.db.session.delete(review)
    return Response(status=204)


class Plugin:
    """Serves the reviews that are kept."""

    name = "kept"

    @pegboard.hookimpl
    def pegboard_blueprints(self):
        """Return the blueprint."""
        return [kept.blueprint]


@pytest.fixture
def plugins():
    """The plugins of the app under test."""
    return ["items", "reviews", Plugin()]


def test_a_review_is_published_as_it_is_written(client, item_id):
    """By the view in place of the operation, which answers as that does."""
    made = client.post("/api/kept/", json={"item_id": item_id, "rating": 4})
    assert 201 == made.status_code
    assert made.get_json()["published_at"] is not None
    assert made.data == client.get(made.headers["Location"]).data
    refused = client.post("/api/kept/", json={"item_id": 99, "rating": 4, "author": "Bob"})
    assert (422, ["author"]) == (refused.status_code, list(refused.get_json()["errors"]))


def test_only_drafts_are_deleted(client, app, sign_in, item_id):
    """Its author deletes one, unless the tag is stale; what is published is a 409."""
    published = client.post("/api/kept/", json={"item_id": item_id, "rating": 4})
    assert 409 == client.delete(published.headers["Location"]).status_code
    draft = client.post("/api/reviews/", json={"item_id": item_id, "rating": 4}).get_json()
    url = f"/api/kept/{draft['id']}"
    stale = {"If-Match": '"stale"'}
    assert 403 == sign_in(app, "Bob").delete(url, headers=stale).status_code
    assert 412 == client.delete(url, headers=stale).status_code
    assert 204 == client.delete(url).status_code
    assert 404 == client.get(url).status_code
