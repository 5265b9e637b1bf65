"""What is one tenant's, no other sees, changes or learns of, on either database."""

import pytest
from marshmallow import Schema, fields

import pegboard
from pegboard.resources import ResourceError
from pegboard_tenants import TenantResource, current_tenant
from pegboard_tenants.models import Document
from pegboard_tenants.resource import DocumentSchema

MINE = {"title": "Secret", "text": "Buy pegs"}
CSV = {"Accept": "text/csv"}


@pytest.fixture
def app(make_app, plugins, database_url):
    """The app, once on SQLite and once on PostgreSQL."""
    return make_app(plugins=plugins, DATABASE_URL=database_url, TENANTS_REFRESH=0)


def test_the_rows_of_others_are_not_there(client, globex, guest):
    """In no list, file or total, at no address, for no method; nor for who has no key."""
    mine = client.post("/api/documents/", json=MINE)
    url, etag = mine.headers["Location"], mine.headers["ETag"]
    for query in ("", "?after=", "?q=pegs", "?title=Secret", "?fields=title", "?sort=-title"):
        path = f"/api/documents/{query}"
        assert ([], 1) == (globex.get(path).get_json(), len(client.get(path).get_json()))
    assert '"total":0,' in globex.get("/api/documents/").headers["X-Pagination"]
    assert b"Secret" not in globex.get("/api/documents/", headers=CSV).data
    assert b"Secret" in client.get("/api/documents/", headers=CSV).data
    for headers in ({}, {"If-None-Match": etag}, {"If-Match": etag}, {"If-Match": '"stale"'}):
        for method, body in (
            ("GET", None),
            ("HEAD", None),
            ("PUT", MINE),
            ("PATCH", {"text": "Mine now"}),
            ("DELETE", None),
        ):
            statuses = [
                one.open(url, method=method, json=body, headers=headers).status_code
                for one in (globex, guest)
            ]
            assert [404, 401] == statuses, (method, headers)
    assert mine.data == client.get(url).data
    assert 304 == client.get(url, headers={"If-None-Match": etag}).status_code


def test_others_do_not_learn_which_titles_are_taken(client, globex):
    """A title is unique for its tenant, also in rows that are written at once."""
    assert 201 == client.post("/api/documents/", json=MINE).status_code
    assert 201 == globex.post("/api/documents/bulk", json=[MINE]).status_code
    assert 409 == client.post("/api/documents/", json=MINE).status_code


def test_a_row_has_the_tenant_of_its_key(client, globex):
    """A body cannot say another."""
    refused = globex.post("/api/documents/", json={**MINE, "tenant_id": 1})
    assert (422, ["tenant_id"]) == (refused.status_code, list(refused.get_json()["errors"]))
    globex.post("/api/documents/", json=MINE)
    assert [] == client.get("/api/documents/").get_json()


class TitleSchema(Schema):
    """A title, and whose it is."""

    title = fields.String()
    tenant = fields.String()


class Careless:
    """A plugin that caches what is not the same for all."""

    name = "careless"

    @pegboard.hookimpl
    def pegboard_blueprints(self):
        """Serve the title of a document, from the cache."""
        titles = pegboard.Blueprint("titles", __name__, url_prefix="/api/titles")

        @titles.get("/<int(min=1, max=2147483647):document_id>")
        @pegboard.cached(Document, ttl=300)
        @titles.response(200, TitleSchema)
        def title(document_id):
            row = pegboard.db.session.get_one(Document, document_id)
            return {"title": row.title, "tenant": current_tenant().name}

        return [titles]


def test_the_cache_keeps_nothing_that_has_been_got_with_a_key(make_app, add_tenant, sqlite_url):
    """Not even where a plugin says that it may, and not outside the service."""
    app = make_app(
        plugins=["tenants", Careless()],
        DATABASE_URL=sqlite_url,
        TENANTS_REFRESH=0,
        CACHE_STATUS_HEADER=True,
    )
    client, globex = add_tenant(app, "acme"), add_tenant(app, "globex")
    client.post("/api/documents/", json=MINE)
    for one, name in ((client, "acme"), (client, "acme"), (globex, "globex")):
        answer = one.get("/api/titles/1")
        assert name == answer.get_json()["tenant"]
        assert "hit" not in answer.headers["Cache-Status"]
        assert "no-store" == answer.headers["Cache-Control"]


def test_rows_of_tenants_cannot_be_cached():
    """A `ttl` is refused when the resource is declared, as a hit would ask nobody."""
    with pytest.raises(ResourceError, match="with a ttl, rows must not be overridden"):
        TenantResource("cached", __name__, Document, DocumentSchema, noun="one", ttl=60)
    with pytest.raises(ResourceError, match="with a list_ttl, rows must not be overridden"):
        TenantResource("cached", __name__, Document, DocumentSchema, noun="one", list_ttl=60)
