"""The schemas of requests, responses and imported rows."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

import pegboard
from pegboard_items import text
from pegboard_items.models import MAX_ID, NAME_LENGTH
from pegboard_items.order import CURSOR_PATTERN, ORDERS, Cursor, Order, is_cursor
from pegboard_items.settings import ItemsSettings

MAX_PAGE = 1_000_000
MAX_SEARCH_LENGTH = 200

_TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?$"
_EXAMPLE = {"name": "Claw hammer", "description": "Forged head, ash handle."}
_TIME = {
    "description": "UTC, without an offset; a fraction only where there is one. JavaScript takes "
    "such a text for local time: append Z before it is read.",
    "pattern": _TIME_PATTERN,
    "example": "2024-01-01T00:00:00",
}
_is_decimal = re.compile("0|[1-9][0-9]{0,999}").fullmatch


class Name(fields.String):
    """The name of an item, which is trimmed."""

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        return _allowed(text.trim_name, super()._deserialize(*args, **kwargs))


class Text(fields.String):
    """A text that may have several lines."""

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        return _allowed(text.check_text, super()._deserialize(*args, **kwargs))


class Decimal(fields.Integer):
    """A whole number in a query, such as `20`; not `+20`, `020` or `2_0`."""

    def _validated(self, value: Any) -> int:
        if not _is_decimal(value):
            message = "Not a whole number, as in 20."
            raise ValidationError(message)
        return super()._validated(value)


def _allowed(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except text.TextError as error:
        raise ValidationError(str(error)) from None


def _check_cursor(cursor: str) -> None:
    if not is_cursor(cursor):
        message = "Not a cursor. Copy it from a Link header, or send after= to begin."
        raise ValidationError(message)


class MaxPageSize(validate.Validator):
    """Checks that a page size is from 1 to `ITEMS_MAX_PAGE_SIZE` of the current app."""

    min = 1
    min_inclusive = max_inclusive = True

    @property
    def max(self) -> int:
        """The largest page size; a property, as each app has its own."""
        settings = pegboard.get_settings(ItemsSettings)
        return settings.max_page_size

    def __call__(self, value: int) -> int:
        """Return the page size. Raises `ValidationError`."""
        validate.Range(self.min, self.max)(value)
        return value


class ItemInputSchema(Schema):
    """An item in the body of `POST` and `PUT`."""

    class Meta:
        """Refuse other fields, the read-only ones included."""

        unknown = RAISE

    name = Name(
        required=True,
        metadata={
            "pattern": text.NAME_PATTERN,
            "description": f"1 to {NAME_LENGTH} characters, none of them a control character, "
            "counted after white space at both ends has been trimmed.",
            "example": _EXAMPLE["name"],
        },
    )
    description = Text(
        load_default=None,
        allow_none=True,
        metadata={
            "pattern": text.TEXT_PATTERN,
            "description": "Any text without control characters but tab, line feed and carriage "
            "return.",
            "example": _EXAMPLE["description"],
        },
    )


class Moment(fields.Field[datetime]):
    """A time in ISO 8601; one with an offset is converted to UTC."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        except (TypeError, ValueError, OverflowError):
            message = "Not a time such as 2024-01-01T00:00:00."
            raise ValidationError(message) from None


class ItemRowSchema(ItemInputSchema):
    """An item in a file to import: it may have times, and an id, which is ignored."""

    id = fields.Raw(allow_none=True)
    created_at = Moment(allow_none=True)
    updated_at = Moment(allow_none=True)

    @post_load
    def drop_id(self, row: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop the id: every imported item gets a new one."""
        row.pop("id", None)
        return row


class ItemSchema(Schema):
    """An item in a response."""

    id = fields.Integer(required=True, metadata={"minimum": 1, "maximum": MAX_ID, "example": 1})
    name = fields.String(required=True, metadata={"example": _EXAMPLE["name"]})
    description = fields.String(
        required=True, allow_none=True, metadata={"example": _EXAMPLE["description"]}
    )
    created_at = fields.String(required=True, allow_none=True, metadata=_TIME)
    updated_at = fields.String(required=True, allow_none=True, metadata=_TIME)


@dataclass(frozen=True)
class ListQuery:
    """The query of a list request, with its defaults filled in."""

    page: int
    page_size: int
    after: Cursor | None
    is_by_cursor: bool
    order: Order
    search: str
    sent: Mapping[str, str | int]
    """The parameters as sent that every link of the response repeats."""


class ListQuerySchema(Schema):
    """The query parameters of a list: a page by its number, or by a cursor."""

    # Generated clients send the defaults, so page=1 must be allowed along with after.
    page = Decimal(
        validate=validate.Range(1, MAX_PAGE),
        metadata={
            "description": "Number of the page; ignored with `after`.",
            "default": 1,
        },
    )
    page_size = Decimal(
        validate=MaxPageSize(),
        metadata={"description": "Items on a page; the default is a setting of the service."},
    )
    after = fields.String(
        validate=_check_cursor,
        metadata={
            "pattern": CURSOR_PATTERN,
            "description": "Cursor of the page: empty for the first, then from the `Link` with "
            '`rel="next"`. Do not rely on its form. Sorted by id or name and without `q`, a page '
            "costs the same however large the table is.",
        },
    )
    sort = fields.String(
        validate=validate.OneOf(ORDERS),
        metadata={
            "description": "The field to sort by; descending with `-` in front.",
            "default": "id",
        },
    )
    q = Text(
        validate=validate.Length(max=MAX_SEARCH_LENGTH),
        metadata={
            "pattern": text.TEXT_PATTERN,
            "description": "Only items whose name or description contains this, ignoring case.",
        },
    )

    @post_load
    def make_query(self, sent: dict[str, Any], **_: Any) -> ListQuery:
        """Fill in the defaults."""
        settings = pegboard.get_settings(ItemsSettings)
        cursor = sent.get("after")
        return ListQuery(
            page=sent.get("page", 1),
            page_size=sent.get("page_size", min(settings.page_size, settings.max_page_size)),
            after=Cursor.decode(cursor) if cursor else None,
            is_by_cursor=cursor is not None,
            order=Order.parse(sent.get("sort", "id")),
            search=sent.get("q", ""),
            sent={name: sent[name] for name in ("page_size", "q", "sort") if name in sent},
        )
