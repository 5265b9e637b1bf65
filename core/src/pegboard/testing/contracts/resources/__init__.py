"""What every resource does, whatever it is of: the contract that a plugin's tests inherit."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask.testing import FlaskClient

from pegboard.resources import Resource
from pegboard.testing.contracts.resources.api import ResourceClient
from pegboard.testing.contracts.resources.exports import Exports
from pegboard.testing.contracts.resources.ids import Ids
from pegboard.testing.contracts.resources.lists import Filters, Lists
from pegboard.testing.contracts.resources.relations import Bulk, Constraints, Document
from pegboard.testing.contracts.resources.rows import Creating, Reading, Writing


class ResourceContract(
    Ids, Reading, Creating, Writing, Lists, Filters, Exports, Constraints, Bulk, Document
):
    """Tests that follow from the declaration of a resource.

    A subclass gives it the resource, and valid bodies without end; the fixture `client` is of an
    app that has the resource's plugin and an empty table::

        class TestNotes(ResourceContract):
            @pytest.fixture
            def resource(self):
                return notes

            @pytest.fixture
            def bodies(self):
                return ({"text": f"note {number}"} for number in itertools.count())
    """

    @pytest.fixture
    def resource(self) -> Resource[Any]:
        """The resource; to be overridden."""
        pytest.fail("override the fixture `resource`: return the resource that is tested")

    @pytest.fixture
    def bodies(self) -> Iterator[Mapping[str, Any]]:
        """Valid bodies without end, each with other values; to be overridden."""
        pytest.fail("override the fixture `bodies`: return an endless iterator of valid bodies")

    @pytest.fixture
    def api(
        self, client: FlaskClient, resource: Resource[Any], bodies: Iterator[Mapping[str, Any]]
    ) -> ResourceClient:
        """A client of the resource."""
        return ResourceClient(client, resource, bodies)
