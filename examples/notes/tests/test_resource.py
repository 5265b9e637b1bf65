"""The resource keeps the contract of resources."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pytest
from flask.testing import FlaskClient

from pegboard import Resource
from pegboard.testing.contracts import ResourceContract
from pegboard.testing.fixtures import MakeApp
from pegboard_notes.resource import resource

URL = "/api/notes/"


class TestNote(ResourceContract):
    """Each test follows from the declaration."""

    @pytest.fixture
    def resource(self) -> Resource[Any]:
        """The resource that is tested."""
        return resource

    @pytest.fixture
    def bodies(self) -> Iterator[Mapping[str, Any]]:
        """Bodies of requests without end; some have no text."""
        return (
            {"title": f"No. {number}", "text": None if number % 3 else "One line.\nAnother."}
            for number in count()
        )


def test_a_row_without_title_is_refused(client: FlaskClient) -> None:
    """The field is named."""
    refused = client.post(URL, json={"title": " "})
    assert (422, ["title"]) == (refused.status_code, list(refused.get_json()["errors"]))


def test_a_page_has_as_many_rows_as_the_setting_says(
    make_app: MakeApp, plugins: Sequence[str]
) -> None:
    """Unless the client says how many."""
    config: dict[str, Any] = {"NOTES_PAGE_SIZE": 2}
    client = make_app(plugins=plugins, **config).test_client()
    for number in range(3):
        client.post(URL, json={"title": f"No. {number}"})
    assert 2 == len(client.get(URL).get_json())
    assert 3 == len(client.get(f"{URL}?page_size=3").get_json())
