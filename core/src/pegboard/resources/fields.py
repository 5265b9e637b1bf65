"""Fields for the schemas of resources, as strict as a database needs them to be."""

import copy
import re
from datetime import UTC, datetime
from decimal import Decimal as DecimalNumber
from typing import Any

from marshmallow import ValidationError, fields

from pegboard.resources.texts import (
    TEXT_PATTERN,
    TextError,
    check_text,
    line_pattern,
    trim_line,
)

_TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?$"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    r"(?:(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP_YEAR}-02-29)"
)
_REAL_TIME_PATTERN = rf"^{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{6}})?$"
"""The pattern of a time that there is, such as not of the 30th of February."""

_TIME = {
    "description": "UTC, without an offset; a fraction only where there is one. JavaScript takes "
    "such a text for local time: append Z before it is read.",
    "pattern": _TIME_PATTERN,
    "example": "2024-01-01T00:00:00",
}
_is_whole = re.compile("-?(0|[1-9][0-9]{0,999})").fullmatch
_is_decimal = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?").fullmatch


def _line_metadata(max_length: int | None, given: dict[str, Any]) -> dict[str, Any]:
    size = "At least one character" if max_length is None else f"1 to {max_length} characters"
    return {
        "pattern": line_pattern(max_length),
        "description": f"{size}, none of them a control character, "
        "counted after white space at both ends has been trimmed.",
        **given,
    }


class Line(fields.String):
    """A text of one line: trimmed, without control characters, and with something that is seen.

    The length is counted after white space at both ends has been trimmed.
    """

    def __init__(
        self, *, max_length: int | None = None, what: str = "A text", **options: Any
    ) -> None:
        """Take the most characters, and the text's name in messages, as in "A name has ..."."""
        self.max_length = max_length
        """The most characters that a client may send; None: as many as it likes."""
        self.what = what
        """The text's name at the beginning of messages."""
        self.given_metadata: dict[str, Any] = options.pop("metadata", {})
        """What the author says of the field in the document."""
        super().__init__(metadata=_line_metadata(max_length, self.given_metadata), **options)

    def limited_to(self, max_length: int) -> "Line":
        """Return a copy of the field that takes at most so many characters."""
        limited = copy.deepcopy(self)
        limited.max_length = max_length
        limited.metadata = _line_metadata(max_length, self.given_metadata)
        return limited

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(*args, **kwargs)
        try:
            return trim_line(text, self.max_length, self.what)
        except TextError as error:
            raise ValidationError(str(error)) from None


class Text(fields.String):
    """A text that may have several lines, without control characters but those that end lines."""

    def __init__(self, *, what: str = "A text", **options: Any) -> None:
        """Take the text's name in messages, as in "U+0000 ... is not allowed in a text"."""
        self.what = what
        """The text's name in messages."""
        self.given_metadata: dict[str, Any] = options.pop("metadata", {})
        """What the author says of the field in the document."""
        metadata = {
            "pattern": TEXT_PATTERN,
            "description": "Any text without control characters but tab, line feed and carriage "
            "return.",
            **self.given_metadata,
        }
        super().__init__(metadata=metadata, **options)

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(*args, **kwargs)
        try:
            return check_text(text, self.what)
        except TextError as error:
            raise ValidationError(str(error)) from None


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


class Moment(fields.Field[datetime]):
    """A time, in UTC without an offset, as `Model.created_at`; one with an offset is converted."""

    def __init__(self, **options: Any) -> None:
        metadata = {**_TIME, **options.pop("metadata", {})}
        if not options.get("dump_only"):
            metadata["pattern"] = _REAL_TIME_PATTERN
        super().__init__(metadata={"type": "string", **metadata}, **options)

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else _in_utc(value).isoformat()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            return _in_utc(datetime.fromisoformat(value))
        except (TypeError, ValueError, OverflowError):
            message = "Not a time such as 2024-01-01T00:00:00."
            raise ValidationError(message) from None


class Decimal(fields.Field[DecimalNumber]):
    """An exact decimal number, as a text in JSON: `"12.50"`, not `"1e2"` or `".5"`."""

    def __init__(self, **options: Any) -> None:
        metadata = {"pattern": r"^-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?$", "example": "12.50"}
        self.given_metadata: dict[str, Any] = options.pop("metadata", {})
        """What the author says of the field in the document."""
        metadata = {"type": "string", **metadata, **self.given_metadata}
        super().__init__(metadata=metadata, **options)

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return None if value is None else format(value, "f")

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> DecimalNumber:
        if not isinstance(value, str) or not _is_decimal(value):
            message = 'Not a decimal number as a text, such as "12.50".'
            raise ValidationError(message)
        return DecimalNumber(value)


class WholeNumber(fields.Integer):
    """A whole number in a query, such as `20`; not `+20`, `020` or `2_0`."""

    def _validated(self, value: Any) -> int:
        if not _is_whole(value):
            message = "Not a whole number, as in 20."
            raise ValidationError(message)
        return super()._validated(value)
