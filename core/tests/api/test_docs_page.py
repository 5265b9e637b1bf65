"""The documentation page and its assets."""

import re

import pytest


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_page_is_html_with_the_title_of_the_api(make_app, path):
    """With and without a slash at the end."""
    response = make_app(API_TITLE="Tools & more").test_client().get(path)
    assert 200 == response.status_code
    assert "text/html" == response.mimetype
    assert "<h1>Tools &amp; more</h1>" in response.text


def test_the_page_runs_no_script_of_its_own_and_nothing_from_elsewhere(client):
    """So the policy can be strict, and no other host sees its readers."""
    response = client.get("/docs")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert [] == re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=", response.text)
    assert [] == re.findall(r'(?:src|href)="(?!/)[^"]*"', response.text)


def test_every_asset_of_the_page_is_served_and_may_be_kept(client):
    """Its URL changes with its version."""
    assets = re.findall(r'(?:src|href)="(/docs/assets/[^"]+)"', client.get("/docs").text)
    assert 5 <= len(assets)
    for path in assets:
        response = client.get(path)
        assert 200 == response.status_code
        assert "immutable" in response.headers["Cache-Control"]
        assert "max-age=31536000" in response.headers["Cache-Control"]
        response.close()


@pytest.mark.parametrize("query", ["", "?v=", "?v=0.0.1"])
def test_an_asset_of_no_version_or_another_is_asked_for_again(client, query):
    """While releases change, an old worker must not fill browsers for a year with its asset."""
    response = client.get(f"/docs/assets/docs.js{query}")
    assert "no-cache" == response.headers["Cache-Control"]
    assert response.headers["ETag"]
    response.close()


@pytest.mark.parametrize("name", ["swagger-ui.js", "..%2fdocs.py", "nothing"])
def test_nothing_else_is_served_as_an_asset(client, name):
    """Neither the rest of the package nor other files."""
    response = client.get(f"/docs/assets/{name}")
    assert 404 == response.status_code
    assert 404 == response.json["status"]


@pytest.mark.parametrize("path", ["/docs", "/docs/assets/docs.js", "/openapi.json"])
def test_it_can_be_switched_off(make_app, path):
    """As it is in production by default."""
    assert 404 == make_app(API_DOCS=False).test_client().get(path).status_code
