"""The resource `/api/reviews/`: who may write a review, and the action that publishes it."""

from typing import Any

from flask import Response, session

import pegboard
from pegboard.resources import CRUD, EQUALITY, RANGE, Comparison, Filter, Operation
from pegboard_reviews.models import Review
from pegboard_reviews.schemas import ReviewSchema


def current_author() -> str:
    """Return who has signed in; ends the request with 403 if nobody has."""
    author = session.get("author")
    if not isinstance(author, str):
        pegboard.abort(403, "Sign in to write reviews.")
    return author


class Reviews(pegboard.Resource[Review]):
    """Reviews that only their authors change."""

    def permit_write(self, operation: Operation, row: Review | None = None) -> None:
        """Let authors write reviews, and change and delete their own."""
        author = current_author()
        if row is not None and row.author != author:
            pegboard.abort(403, "The review is somebody else's.")

    def make(self, values: dict[str, Any]) -> Review:
        """Make a review of who has signed in."""
        return super().make({**values, "author": current_author()})


reviews = Reviews(
    "reviews",
    __name__,
    Review,
    ReviewSchema,
    noun="review",
    description="What people think of items.",
    operations=(CRUD | {Operation.MERGE, Operation.BULK_CREATE}) - {Operation.REPLACE},
    sort=[Review.id, Review.rating, Review.published_at],
    sort_keys=3,
    search=[Review.text],
    filters=[
        Filter(Review.item_id, EQUALITY),
        Filter(Review.rating, RANGE),
        Filter(Review.published_at, (*RANGE, Comparison.NULL)),
    ],
    sparse=True,
    ttl=60,
)


@reviews.blueprint.post(f"{reviews.row_rule}/publish")
@reviews.blueprint.response(200, reviews.output)
@reviews.blueprint.alt_response(403, "FORBIDDEN")
@reviews.blueprint.alt_response(412, "PRECONDITION_FAILED")
@pegboard.transactional
def publish(review_id: int) -> Response:
    """Publish a review."""
    review = reviews.lock(review_id, Operation.MERGE)  # 404, 403, 412; nobody else writes it
    review.published_at = review.published_at or pegboard.utcnow()
    reviews.save(review)  # 409 or 422 with the fields
    return reviews.represent.response(review)
