"""What the OpenAPI document says of a resource's calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.resources.formats import Format
from pegboard.resources.listing import PAGINATION

LIST = "__pegboard_list__"
"""The attribute of a view that lists the rows of a resource."""


@dataclass(frozen=True)
class Words:
    """The nouns of a resource, as its descriptions have them."""

    noun: str
    plural: str

    @property
    def singular(self) -> str:
        """The noun with its article."""
        return f"{_article(self.noun)} {self.noun}"

    @property
    def identifier(self) -> str:
        """The noun as a part of names, as in `order_line`."""
        return _identifier(self.noun)

    @property
    def identifiers(self) -> str:
        """The plural as a part of names."""
        return _identifier(self.plural)


def _identifier(words: str) -> str:
    return words.replace(" ", "_").replace("-", "_")


def _article(noun: str) -> str:
    """Return `a` or `an`, by the sound that the noun begins with as far as its letters tell."""
    if noun.startswith(("eu", "one", "uni", "us", "ut", "ur")):
        return "a"
    return "an" if noun[:1] in "aeiou" or noun.startswith(("hour", "honour", "honor")) else "a"


def etag_header(words: Words) -> dict[str, Any]:
    """Describe the `ETag` of a row's answer."""
    return {
        "description": f"Strong validator of the current {words.noun}.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}(-(gzip|br|zstd))?"$'},
    }


def location_header(words: Words, prefix: str) -> dict[str, Any]:
    """Describe the `Location` of a new row."""
    return {
        "description": f"The URL of the new {words.noun}.",
        "required": True,
        "schema": {"type": "string", "example": f"{prefix}/1"},
    }


def disposition_header(name: str) -> dict[str, Any]:
    """Describe the header that names the file of an export."""
    example = f'attachment; filename="{name}.{Format.CSV.value}"'
    return {
        "description": "The name of the file; not with JSON.",
        "schema": {"type": "string", "example": example},
    }


def list_headers(prefix: str, *, is_exported: bool) -> Mapping[str, Any]:
    """Describe the headers of a list."""
    return {
        PAGINATION: {
            "description": "JSON. By number: total, total_pages, first_page, last_page, page, "
            "previous_page and next_page, where they exist. By cursor: page_size, and next_after "
            "if there is a next page." + (" Not with an export." if is_exported else ""),
            "required": not is_exported,
            "schema": {"type": "string", "example": '{"total": 1, "total_pages": 1}'},
        },
        "Link": {
            "description": "RFC 8288. By number: first, prev, next and last. By cursor: next.",
            "schema": {"type": "string", "example": f'<{prefix}/?page=2>; rel="next"'},
        },
    }


def describe_totals_on_request(call: dict[str, Any]) -> None:
    """Say in the document of a list that its total is told only to those who ask for it."""
    call.setdefault("parameters", []).append(
        {
            "in": "header",
            "name": "Prefer",
            "description": "RFC 7240. By number, with `count=exact` the total is told.",
            "schema": {"type": "string", "example": "count=exact"},
        }
    )
    headers = call["responses"]["200"]["headers"]
    headers["Preference-Applied"] = {
        "description": "RFC 7240. `count=exact` if the total was asked for, and is told.",
        "schema": {"type": "string", "enum": ["count=exact"]},
    }
    words = headers[PAGINATION]["description"]
    headers[PAGINATION]["description"] = (
        f"{words} Without `Prefer: count=exact` total, total_pages and last_page are left out, and "
        "page_size is there."
    )


def id_parameter(name: str, largest: int) -> dict[str, Any]:
    """Describe the variable of a row's URL."""
    return {
        "in": "path",
        "name": name,
        "schema": {"type": "integer", "minimum": 1, "maximum": largest},
    }
