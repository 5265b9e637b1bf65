"""What clients send and get."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

import pegboard
from pegboard_items import text
from pegboard_items.models import MAX_ID, NAME_LENGTH
from pegboard_items.order import CURSOR_PATTERN, ORDERS, Order, Place, is_cursor
from pegboard_items.settings import ItemsSettings

MAX_PAGE = 1_000_000
MAX_SEARCH_LENGTH = 200

_TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?$"
_EXAMPLE = {"name": "Claw hammer", "description": "Forged head, ash handle."}
_TIME = {"pattern": _TIME_PATTERN, "example": "2024-01-01T00:00:00"}
_is_decimal = re.compile("0|[1-9][0-9]{0,17}").fullmatch


class Name(fields.String):
    """A name, trimmed."""

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        return _allowed(text.trim_name, super()._deserialize(*args, **kwargs))


class Text(fields.String):
    """A text of several lines."""

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        return _allowed(text.check_text, super()._deserialize(*args, **kwargs))


class Decimal(fields.Integer):
    """A whole number from a query, written in the one usual way."""

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
        message = "Not a cursor. Take it from a Link as it is, or send after= to begin."
        raise ValidationError(message)


class MaxPageSize(validate.Validator):
    """From 1 to the setting of the current app."""

    min = 1
    min_inclusive = max_inclusive = True

    @property
    def max(self) -> int:
        """The setting."""
        settings = pegboard.get_settings(ItemsSettings)
        return settings.max_page_size

    def __call__(self, value: int) -> int:
        """Check a page size."""
        validate.Range(self.min, self.max)(value)
        return value


class ItemInputSchema(Schema):
    """An item as a client writes it: `POST` and `PUT` take it whole."""

    class Meta:
        """What is not declared is refused, the read-only fields included."""

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
    """A time as this service writes it; one with an offset is taken to UTC."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        except (TypeError, ValueError, OverflowError):
            message = "Not a time like 2024-01-01T00:00:00."
            raise ValidationError(message) from None


class ItemRowSchema(ItemInputSchema):
    """An item in a file that is imported: the times may be set, an id is given anew."""

    id = fields.Raw(allow_none=True)
    created_at = Moment(allow_none=True)
    updated_at = Moment(allow_none=True)

    @post_load
    def drop_id(self, row: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Forget the id that the item had where it comes from."""
        row.pop("id", None)
        return row


class ItemSchema(Schema):
    """An item as the service shows it."""

    id = fields.Integer(required=True, metadata={"minimum": 1, "maximum": MAX_ID, "example": 1})
    name = fields.String(required=True, metadata={"example": _EXAMPLE["name"]})
    description = fields.String(
        required=True, allow_none=True, metadata={"example": _EXAMPLE["description"]}
    )
    created_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "UTC; a fraction only where there is one.", **_TIME},
    )
    updated_at = fields.String(
        required=True, allow_none=True, metadata={"description": "Likewise.", **_TIME}
    )


@dataclass(frozen=True)
class Listing:
    """What a client wants to see of the items."""

    page: int
    page_size: int
    after: Place | None
    is_walk: bool
    order: Order
    search: str
    sent: Mapping[str, str | int]
    """The parameters that every link of the answer repeats."""


class ListingSchema(Schema):
    """The parameters of a list: a page by its number, or a walk by cursor."""

    # Clients generated from the description send the defaults, so page=1 must not contradict after.
    page = Decimal(
        validate=validate.Range(1, MAX_PAGE),
        metadata={
            "description": "Number of the page; without meaning beside `after`.",
            "default": 1,
        },
    )
    page_size = Decimal(
        validate=MaxPageSize(),
        metadata={"description": "Items on a page; a setting of the service says when absent."},
    )
    after = fields.String(
        validate=_check_cursor,
        metadata={
            "pattern": CURSOR_PATTERN,
            "description": "Walk through the items: empty at first, then as in the `Link` of the "
            'answer with `rel="next"`. Its form is nobody\'s business. What a page costs does not '
            "grow with the table when sorted by id or name and not searched.",
        },
    )
    sort = fields.String(
        validate=validate.OneOf(ORDERS),
        metadata={"description": "By what to sort; `-` is for descending.", "default": "id"},
    )
    q = Text(
        validate=validate.Length(max=MAX_SEARCH_LENGTH),
        metadata={
            "pattern": text.TEXT_PATTERN,
            "description": "Only items whose name or description contains this, in whatever case.",
        },
    )

    @post_load
    def make_listing(self, sent: dict[str, Any], **_: Any) -> Listing:
        """Complete what was sent by what goes without saying."""
        settings = pegboard.get_settings(ItemsSettings)
        cursor = sent.get("after")
        return Listing(
            page=sent.get("page", 1),
            page_size=sent.get("page_size", min(settings.page_size, settings.max_page_size)),
            after=Place.decode(cursor) if cursor else None,
            is_walk=cursor is not None,
            order=Order.parse(sent.get("sort", "id")),
            search=sent.get("q", ""),
            sent={name: sent[name] for name in ("page_size", "q", "sort") if name in sent},
        )
