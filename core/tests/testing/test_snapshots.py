"""Tests of the fixture `openapi_snapshot`."""

import json
from pathlib import Path
from typing import Any

import pytest

from pegboard.testing.snapshots import differences, part_of

DOCUMENT: dict[str, Any] = {
    "info": {"title": "Tools", "version": "1"},
    "paths": {
        "/notes/": {
            "get": {
                "parameters": [{"in": "query", "name": "q"}, {"in": "query", "name": "sort"}],
                "responses": {"200": {"$ref": "#/components/responses/Notes"}},
            }
        },
        "/items/": {"get": {"responses": {"200": {"$ref": "#/components/schemas/Item"}}}},
    },
    "components": {
        "responses": {"Notes": {"schema": {"$ref": "#/components/schemas/Note"}}},
        "schemas": {
            "Note": {"properties": {"parent": {"$ref": "#/components/schemas/Note"}}},
            "Item": {},
        },
    },
}


def test_the_part_of_a_plugin_has_what_it_refers_to() -> None:
    """Directly or not, and nothing of others."""
    part = part_of(DOCUMENT, "/notes")
    assert ["/notes/"] == [*part["paths"]]
    assert {"responses": {"Notes"}, "schemas": {"Note"}} == {
        kind: set(found) for kind, found in part["components"].items()
    }


def test_differences_are_named_by_their_places() -> None:
    """Parameters by their names, so that one more does not make all others differ."""
    changed = json.loads(json.dumps(DOCUMENT))
    operation = changed["paths"]["/notes/"]["get"]
    operation["parameters"].insert(0, {"in": "query", "name": "color"})
    del operation["responses"]
    operation["parameters"][2]["description"] = "New"
    changed["info"]["title"] = "Other"
    assert [
        "~ info > title: 'Tools' -> 'Other'",
        "+ paths > /notes/ > get > parameters > query color",
        "+ paths > /notes/ > get > parameters > query sort > description: 'New'",
        "- paths > /notes/ > get > responses",
    ] == [*differences(DOCUMENT, changed)]
    assert [] == [*differences(DOCUMENT, DOCUMENT)]


@pytest.fixture
def module(pytester: pytest.Pytester) -> Path:
    """A test module of another project, which compares a document."""
    pytester.makeconftest('pytest_plugins = ["pegboard.testing.fixtures"]')
    return pytester.makepyfile("def test_it(app, openapi_snapshot): openapi_snapshot(app)")


@pytest.mark.slow
def test_a_snapshot_is_written_and_compared(pytester: pytest.Pytester, module: Path) -> None:
    """Missing it fails with the option that writes it, a difference with its place."""
    run = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "ignore")
    file = module.parent / "openapi.json"
    missing = pytester.runpytest_inprocess(*run)
    missing.stdout.fnmatch_lines(
        ["*openapi.json is not there: write it with pytest --write-openapi"]
    )

    pytester.runpytest_inprocess(*run, "--write-openapi").assert_outcomes(passed=1)
    pytester.runpytest_inprocess(*run).assert_outcomes(passed=1)
    document = json.loads(file.read_text(encoding="utf-8"))
    assert "version" not in document["info"]

    del document["paths"]["/health"]["get"]["summary"]
    file.write_text(json.dumps(document), encoding="utf-8")
    differing = pytester.runpytest_inprocess(*run)
    differing.assert_outcomes(failed=1)
    differing.stdout.fnmatch_lines(["+ paths > /health > get > summary: *"])
