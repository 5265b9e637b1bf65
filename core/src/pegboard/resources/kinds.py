"""The kinds of values that columns hold: how a query gives them, and how a cursor does.

Every text that matches the pattern of a kind is decoded to some value of the column, so that a
cursor that a client has made up is a place in the list and never an error of the database.
"""

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate
from sqlalchemy import (
    CHAR,
    NCHAR,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Time,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from pegboard.resources.fields import Decimal as DecimalText
from pegboard.resources.fields import Moment, Text, WholeNumber

_EPOCH = datetime(1, 1, 1)  # noqa: DTZ001 - as times are stored, without a time zone
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - as above
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Kind:
    """How values of a column are written by clients."""

    pattern: str
    """The expression for a value in a cursor."""
    encode: Callable[[Any], str]
    """Returns the text of a value for a cursor."""
    decode: Callable[[str], Any]
    """Returns the value of such a text; of any that matches the pattern."""
    field: Callable[..., fields.Field[Any]]
    """Makes the field for a value in a query; takes the options of a marshmallow field."""


def kind_of(type_: TypeEngine[Any], shown: fields.Field[Any] | None = None) -> Kind | None:
    """Return the kind of a column's type; None for one that has no order or no short text.

    `shown` is the field by which answers show its values.
    """
    if isinstance(type_, Enum):
        return _enum(type_, shown)
    try:
        python_type = type_.python_type
    except NotImplementedError:
        return None
    if python_type is datetime:
        return _moment(is_aware=isinstance(type_, DateTime) and type_.timezone)
    if python_type is int:
        return _whole(type_)
    if python_type is time and getattr(type_, "timezone", False):
        return None  # which of two is earlier depends on their offsets
    return _SIMPLE.get(python_type)


def integer_range(type_: TypeEngine[Any]) -> tuple[int, int]:
    """Return the smallest and the largest number that a column of integers can hold."""
    bits = 31
    if isinstance(type_, SmallInteger):
        bits = 15
    elif isinstance(type_, BigInteger) or not isinstance(type_, Integer):
        bits = 63
    return -(2**bits), 2**bits - 1


def is_returned_as_sent(type_: TypeEngine[Any]) -> bool:
    """Return whether the databases give back a column's value in the form in which it was sent.

    That is, a value for which `is_of_type` is true. A `Numeric(8, 2)` makes 1.50 of 1.5, `JSONB`
    sorts the members of an object, and what a type of an author's own does is not known.
    """
    if isinstance(type_, CHAR | NCHAR) or getattr(type_, "precision", None) is not None:
        return False
    if isinstance(type_, Uuid) and not type_.as_uuid:
        return False  # a text may be in capitals, or without hyphens
    return isinstance(type_, _RETURNED_AS_SENT) and not getattr(type_, "timezone", False)


def is_of_type(value: Any, python_type: type) -> bool:
    """Return whether a value is of a column's Python type, so that the column does not convert it.

    For a column of integers the database makes 2 of 1.5, and one of times without a time zone loses
    an offset.
    """
    return value is None or (type(value) is python_type and getattr(value, "tzinfo", None) is None)


_RETURNED_AS_SENT = (Integer, String, Boolean, Date, DateTime, Time, Uuid, LargeBinary)


def _whole(type_: TypeEngine[Any]) -> Kind:
    low, high = integer_range(type_)

    def field(**options: Any) -> fields.Field[Any]:
        return WholeNumber(validate=validate.Range(low, high), **options)

    def decode(text: str) -> int:
        # Of a number that is too large for the column only the order counts; SQLite takes 63 bits.
        return min(max(int(text), -(2**63)), 2**63 - 1)

    return Kind(f"-?[0-9]{{1,{len(str(high))}}}", str, decode, field)


def _moment(*, is_aware: bool) -> Kind:
    def encode(value: datetime) -> str:
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return str((naive - _EPOCH) // _MICROSECOND)

    def decode(text: str) -> datetime:
        try:
            value = _EPOCH + int(text) * _MICROSECOND
        except OverflowError:
            value = _LAST
        return value.replace(tzinfo=UTC) if is_aware else value

    class _Time(Moment):
        def _deserialize(self, *args: Any, **kwargs: Any) -> datetime:
            value = super()._deserialize(*args, **kwargs)
            return value.replace(tzinfo=UTC) if is_aware else value

    return Kind("[0-9]{1,18}", encode, decode, _Time)


def _enum(type_: Enum, shown: fields.Field[Any] | None) -> Kind:
    members = list(type_.enum_class) if type_.enum_class is not None else list(type_.enums)
    names = list(type_.enums)
    if isinstance(shown, fields.Enum):
        names = [str(shown.serialize("_", {"_": member})) for member in members]

    def decode(text: str) -> Any:
        return members[min(int(text), len(members) - 1)]

    class _Member(fields.Field[Any]):
        """The value of an enumeration, by the text that the schema of the resource has for it."""

        def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
            if value not in names:
                message = f"Must be one of: {', '.join(names)}."
                raise ValidationError(message)
            return members[names.index(value)]

    def field(**options: Any) -> fields.Field[Any]:
        options["metadata"] = {"type": "string", "enum": names, **options.get("metadata", {})}
        return _Member(**options)

    return Kind("[0-9]{1,4}", lambda value: str(members.index(value)), decode, field)


def _decode_text(text: str) -> str:
    decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode(errors="replace")
    return decoded.replace("\0", "\ufffd")


def _encode_text(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode(errors="replace")).decode().rstrip("=")


def _decode_float(text: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return 0.0 if value != value else value  # noqa: PLR0124 - not a number


def _decode_day(text: str) -> date:
    return date.fromordinal(min(max(int(text), 1), date.max.toordinal()))


class _Truth(fields.Field[bool]):
    """`true` or `false` in a query."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if value not in {"true", "false"}:
            message = "Must be true or false."
            raise ValidationError(message)
        return bool(value == "true")


def truth(**options: Any) -> fields.Field[Any]:
    """Return the field for `true` or `false` in a query."""
    options["metadata"] = {"type": "boolean", **options.get("metadata", {})}
    return _Truth(**options)


class _Day(fields.Field[date]):
    """A day in a query, as 2024-01-31."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> date:
        try:
            if len(value) != len("2024-01-31"):
                raise ValueError  # noqa: TRY301 - the basic form of ISO 8601
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            message = "Not a day such as 2024-01-31."
            raise ValidationError(message) from None


def _day(**options: Any) -> fields.Field[Any]:
    options["metadata"] = {"type": "string", "format": "date", **options.get("metadata", {})}
    return _Day(**options)


class _TimeOfDay(fields.Time):
    """A time of a day in a query, as 10:30:00."""

    def _deserialize(self, *args: Any, **kwargs: Any) -> time:
        try:
            found: time = super()._deserialize(*args, **kwargs)
        except ValidationError:
            found = time(tzinfo=UTC)
        if found.tzinfo is not None:
            message = "Not a time without an offset such as 10:30:00."
            raise ValidationError(message)
        return found


def _encode_time(value: time) -> str:
    return str((datetime.combine(_EPOCH, value) - _EPOCH) // _MICROSECOND)


def _decode_time(text: str) -> time:
    return (_EPOCH + min(int(text), 86_400_000_000 - 1) * _MICROSECOND).time()


class _Number(DecimalText):
    """A number in a query."""

    def _deserialize(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return float(super()._deserialize(*args, **kwargs))
        except ValidationError:
            message = "Not a number, as in 12.5."
            raise ValidationError(message) from None


_SIMPLE: dict[type, Kind] = {
    str: Kind("(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?", _encode_text, _decode_text, Text),
    bool: Kind("[01]", lambda value: str(int(value)), lambda text: text == "1", truth),
    float: Kind(
        "[0-9a-f]{16}", lambda value: struct.pack(">d", value).hex(), _decode_float, _Number
    ),
    Decimal: Kind(
        "-?[0-9]{1,100}(?:_[0-9]{1,100})?",
        lambda value: format(value, "f").replace(".", "_"),
        lambda text: Decimal(text.replace("_", ".")),
        DecimalText,
    ),
    time: Kind("[0-9]{1,11}", _encode_time, _decode_time, _TimeOfDay),
    date: Kind("[0-9]{1,7}", lambda value: str(value.toordinal()), _decode_day, _day),
    UUID: Kind("[0-9a-f]{32}", lambda value: value.hex, lambda text: UUID(hex=text), fields.UUID),
}
"""By the type that Python has for the values."""
