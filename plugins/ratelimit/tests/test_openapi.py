"""What the API's description says about limits."""

import pytest
from openapi_spec_validator import validate

import pegboard


def operations(document):
    """Return each operation with its path."""
    return [
        (path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    ]


@pytest.mark.parametrize("legacy", [False, True])
def test_every_limited_call_documents_429_and_the_headers(serve, legacy):
    """In a valid document."""
    document = serve(RATELIMIT_LEGACY_HEADERS=legacy).get("/openapi.json").get_json()
    names = {"RateLimit", "RateLimit-Policy"}
    if legacy:
        names |= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}

    validate(document)
    refused = document["components"]["responses"]["RATE_LIMITED"]
    assert names | {"Retry-After", "X-Request-ID"} == refused["headers"].keys()
    found = operations(document)
    assert len(found) > 5
    for path, operation in found:
        is_limited = path.startswith("/api/")
        assert ("429" in operation["responses"]) == is_limited, path
        for response in operation["responses"].values():
            if "$ref" not in response:
                assert (names <= response.get("headers", {}).keys()) == is_limited, path


def test_exempt_calls_are_documented_as_well(serve, plugin_of):
    """Whether a setting or a decorator exempts them, a row can limit them."""
    blueprint = pegboard.rate_limit(None)(pegboard.Blueprint("free", __name__))

    @blueprint.get("/api/free")
    @blueprint.response(200)
    def free() -> str:
        """Be free."""
        return ""

    client = serve((plugin_of(blueprint),), RATELIMIT_ROUTES="GET /api/things/=none")
    paths = client.get("/openapi.json").get_json()["paths"]

    assert "429" in paths["/api/free"]["get"]["responses"]
    assert "429" in paths["/api/things/"]["get"]["responses"]
    assert "429" in paths["/api/things/"]["post"]["responses"]


def test_answers_that_calls_share_document_the_headers(serve):
    """Those of the calls that can be limited."""
    document = serve().get("/openapi.json").get_json()
    shared = document["components"]["responses"]
    used = {
        (path.startswith("/api/"), response["$ref"].rpartition("/")[2])
        for path, operation in operations(document)
        for response in operation["responses"].values()
        if "$ref" in response
    }

    assert {(True, "NOT_FOUND"), (False, "SERVICE_UNAVAILABLE")} <= used
    for is_limited, name in used:
        if is_limited and (False, name) not in used:
            assert {"RateLimit", "RateLimit-Policy"} <= shared[name]["headers"].keys()
        elif not is_limited:
            assert not {"RateLimit", "RateLimit-Policy"} & shared[name]["headers"].keys()


def test_a_limiter_that_is_off_documents_nothing(serve):
    """The document is as without it."""
    document = serve(RATELIMIT_ENABLED=False).get("/openapi.json").get_json()

    assert not any("429" in operation["responses"] for _, operation in operations(document))
    assert "RATE_LIMITED" not in document["components"]["responses"]
