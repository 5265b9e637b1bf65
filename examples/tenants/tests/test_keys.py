"""Keys: who is told apart by them, and how they end."""

from sqlalchemy import select, text

import pegboard
from pegboard_tenants.models import Tenant


def test_without_a_key_there_is_nothing_but_the_core(guest):
    """A 401 in the platform's format, with what is missing; health and documents are for all."""
    refused = guest.get("/api/items/")
    assert {"message": "A key is needed.", "status": 401} == refused.get_json()
    assert "Bearer" == refused.headers["WWW-Authenticate"]
    for value in ("Bearer wrong", "Bearer ", "Basic YTpi", "wrong", "Bearer \xe4"):
        assert 401 == guest.get("/api/items/", headers={"Authorization": value}).status_code
    assert [200, 200] == [guest.get(path).status_code for path in ("/health", "/openapi.json")]
    assert 404 == guest.get("/api/nothing").status_code


def test_a_preflight_needs_no_key(make_app, plugins):
    """A browser sends none with it."""
    origin = "https://example.org"
    guest = make_app(plugins=plugins, CORS_ORIGINS=(origin,)).test_client()
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    allowed = guest.options("/api/items/", headers=headers)
    assert 200 == allowed.status_code
    assert origin == allowed.headers["Access-Control-Allow-Origin"]


def test_a_key_is_stored_nowhere_and_ends_with_the_next(app, client, cli):
    """Only its hash is in the table."""
    key = client.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    with app.app_context():
        assert key not in str(pegboard.db.session.scalars(select(Tenant)).one().to_dict())
    new = cli("tenants", "key", "acme").output.strip()
    assert 401 == client.get("/api/items/").status_code
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new}"
    assert 200 == client.get("/api/items/").status_code


def test_tenants_that_were_read_stay_while_they_cannot_be_read(app, client, guest):
    """Requests that need no database go on; without any tenants read, all are errors."""
    client.get("/api/items/")
    with app.app_context():
        pegboard.db.session.execute(text("ALTER TABLE tenants RENAME TO gone"))
        pegboard.db.session.commit()
    assert 200 == client.get("/api/items/").status_code
    assert 401 == guest.get("/api/items/").status_code


def test_the_document_says_that_a_key_is_needed(guest):
    """At each call but those of health."""
    document = guest.get("/openapi.json").get_json()
    assert {"type": "http", "scheme": "bearer"} == document["components"]["securitySchemes"]["key"]
    operation = document["paths"]["/api/documents/"]["get"]
    assert [{"key": []}] == operation["security"]
    assert "401" in operation["responses"]
    assert "security" not in document["paths"]["/health"]["get"]
