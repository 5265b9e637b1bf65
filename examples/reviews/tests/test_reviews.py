"""Who may see and write reviews, the action that publishes one, and the table."""

from typing import Any

import pytest
from sqlalchemy import Select

import pegboard
from pegboard.resources import Operation, ResourceError
from pegboard_reviews.models import Review
from pegboard_reviews.schemas import ReviewSchema


class Published(pegboard.Resource[Review]):
    """Reviews that have been published; drafts are 404."""

    def rows(self) -> Select[tuple[Review]]:
        """Leave drafts out."""
        return super().rows().where(Review.published_at.is_not(None))


def declare_published(**options: Any) -> Published:
    """Declare the published reviews, which nobody writes."""
    operations = {Operation.LIST, Operation.GET}
    return Published(
        "published", __name__, Review, ReviewSchema, noun="one", operations=operations, **options
    )


@pytest.fixture
def review(client, item_id):
    """A review of Ada's."""
    return client.post("/api/reviews/", json={"item_id": item_id, "rating": 4}).get_json()


@pytest.fixture
def url(review):
    """The URL of the review of Ada's."""
    return f"/api/reviews/{review['id']}"


def test_a_review_is_of_who_has_signed_in(client, review, item_id):
    """One or several; a body cannot say otherwise."""
    assert "Ada" == review["author"]
    body = {"item_id": item_id, "rating": 1}
    (row,) = client.post("/api/reviews/bulk", json=[body]).get_json()
    assert "Ada" == row["author"]
    refused = client.post("/api/reviews/", json={**body, "author": "Bob"})
    assert (422, ["author"]) == (refused.status_code, list(refused.get_json()["errors"]))


def test_others_read_a_review_and_do_not_write_it(sign_in, app, url, review, item_id):
    """Neither another author nor who has not signed in; the review stays as it is."""
    guest, bob = app.test_client(), sign_in(app, "Bob")
    for client in (guest, bob):
        assert 403 == client.patch(url, json={"rating": 1}).status_code
        assert 403 == client.delete(url).status_code
        assert 403 == client.post(f"{url}/publish").status_code
        assert 403 == client.post(f"{url}/publish", headers={"If-Match": '"stale"'}).status_code
        assert review == client.get(url).get_json()
    assert 403 == guest.post("/api/reviews/", json={"item_id": item_id, "rating": 1}).status_code


def test_a_review_is_published_once(client, url, review):
    """The cached answer has the time at once, and a second call leaves it."""
    assert client.get(url).get_json()["published_at"] is None
    published = client.post(f"{url}/publish")
    assert 200 == published.status_code
    assert published.get_json()["published_at"] is not None
    assert published.data == client.get(url).data
    assert published.data == client.post(f"{url}/publish").data
    assert [] == client.get("/api/reviews/?published_at[null]=true").get_json()


def test_a_review_is_published_as_its_author_has_seen_it(client, url):
    """A stale tag is a 412, and there is no other review."""
    assert 412 == client.post(f"{url}/publish", headers={"If-Match": '"stale"'}).status_code
    assert client.get(url).get_json()["published_at"] is None
    assert 404 == client.post("/api/reviews/99/publish").status_code


def test_an_item_with_reviews_stays(client, review):
    """The foreign key keeps it: 409."""
    assert 409 == client.delete(f"/api/items/{review['item_id']}").status_code


def test_drafts_are_left_out(make_app, sign_in):
    """By `rows`, of lists and for one row."""
    published = declare_published()

    class Plugin:
        name = "published"

        @pegboard.hookimpl
        def pegboard_blueprints(self):
            return [published.blueprint]

    client = sign_in(make_app(plugins=["items", "reviews", Plugin()]), "Ada")
    client.post("/api/items/", json={"name": "Hammer"})
    client.post("/api/reviews/", json={"item_id": 1, "rating": 4})
    draft = client.get("/api/published/1")
    assert ([], 404) == (client.get("/api/published/").get_json(), draft.status_code)
    client.post("/api/reviews/1/publish")
    assert [client.get("/api/reviews/1").get_json()] == client.get("/api/published/").get_json()
    assert 200 == client.get("/api/published/1").status_code


def test_rows_that_not_all_may_see_are_not_cached():
    """A hit would ask nobody: a `ttl` beside `rows` is refused."""
    with pytest.raises(ResourceError, match="with a ttl, rows must not be overridden"):
        declare_published(ttl=60)


def test_the_action_is_documented(client):
    """With its errors."""
    path = client.get("/openapi.json").get_json()["paths"]["/api/reviews/{review_id}/publish"]
    assert {"200", "403", "404", "412"} <= set(path["post"]["responses"])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_reviews_work_on_postgresql(make_app, database_url, cli, sign_in):
    """The revision agrees with the models, and a review refers to an item that is there."""
    app = make_app(plugins=["items", "reviews"], DATABASE_URL=database_url)
    assert 0 == cli("db", "check", app=app).exit_code
    client = sign_in(app, "Ada")
    refused = client.post("/api/reviews/", json={"item_id": 1, "rating": 1})
    assert (422, ["item_id"]) == (refused.status_code, list(refused.get_json()["errors"]))
    client.post("/api/items/", json={"name": "Hammer"})
    assert 201 == client.post("/api/reviews/", json={"item_id": 1, "rating": 1}).status_code
