"""Convert the values of settings: from the text of an environment variable to a type, and back.

A list is written `a,b`, a mapping `key=value,key=value`; either may be written as JSON, and must be
where the short form could be read in two ways. No error quotes the value, which may be secret.
"""

import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from marshmallow import ValidationError, fields

from pegboard.http import InvalidJSONError, load_json

T = TypeVar("T")

QUOTES = ("'", '"')

_FIELDS: dict[Any, fields.Field[Any]] = {
    str: fields.String(),
    int: fields.Integer(),
    float: fields.Float(),
    bool: fields.Boolean(),
}


def convert(annotation: Any, raw: Any) -> Any:
    """Convert a value to the declared type. Raises `ValidationError`."""
    annotation, may_be_none = _without_none(annotation)
    container, element = _shape(annotation)
    # An empty list is not None: an allow-list without entries allows nothing.
    if may_be_none and (raw is None or (raw == "" and container is not tuple)):
        return None
    if container is tuple:
        return tuple(_each(partial(_scalar, element), _parts(raw)))
    if container is dict:
        pairs = _pairs(raw).items()
        return dict(_each(lambda pair: (_scalar(str, pair[0]), _scalar(element, pair[1])), pairs))
    return _scalar(element, raw)


def spell(value: Any) -> str:
    """Write a value as an environment variable that `convert` reads as the same value."""
    if isinstance(value, tuple):
        texts = [str(part) for part in value]
        short = ",".join(texts)
        return short if _parts_or_none(short) == texts else _dump(value)
    if isinstance(value, dict):
        short = ",".join(f"{key}={part}" for key, part in value.items())
        texts_by_key = {key: str(part) for key, part in value.items()}
        return short if _pairs_or_none(short) == texts_by_key else _dump(value)
    return "" if value is None else str(value)


def holds_text(annotation: Any) -> bool:
    """Return whether a setting of the type takes any text."""
    return _without_none(annotation)[0] is str


def is_readable(annotation: Any) -> bool:
    """Return whether a setting can be of the type."""
    try:
        _shape(_without_none(annotation)[0])
    except (ValidationError, TypeError):  # what cannot be hashed is no type of ours
        return False
    return True


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the type, and whether it stood in a union with None."""
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        others = [one for one in arguments if one is not types.NoneType]
        if len(others) == 1 and len(arguments) > 1:
            return others[0], True
    return annotation, False


def _shape(annotation: Any) -> tuple[type | None, Any]:
    """Return `tuple`, `dict` or None, and the type of the values that it holds.

    Raises `ValidationError` for a type that a setting cannot have.
    """
    match typing.get_origin(annotation) or annotation, typing.get_args(annotation):
        case container, () if container in {tuple, dict}:
            found = container, str
        case container, (element, end) if container is tuple and end is Ellipsis:
            found = tuple, element
        case container, (key, element) if container is dict and key is str:
            found = dict, element
        case _:
            found = None, annotation
    if found[1] not in _FIELDS:
        message = f"A setting cannot be of type {annotation}; see pegboard.Settings."
        raise ValidationError(message)
    return found


def _scalar(kind: Any, raw: Any) -> Any:
    if kind is int and isinstance(raw, float):
        raise ValidationError(fields.Integer.default_error_messages["invalid"])  # 1.9 is not 1
    return _FIELDS[kind].deserialize(raw)


def _each(read: Callable[[Any], T], parts: Iterable[Any]) -> list[T]:
    """Return what `read` makes of each entry; raises one `ValidationError` for all wrong ones."""
    found, wrong = [], []
    for number, part in enumerate(parts, 1):
        try:
            found.append(read(part))
        except ValidationError as error:
            wrong += [f"Entry {number}: {message}" for message in error.messages]
    if wrong:
        raise ValidationError(wrong)
    return found


def _parts(raw: Any) -> list[Any]:
    """Take a list apart."""
    if not isinstance(raw, str):
        if isinstance(raw, Mapping | bytes) or not isinstance(raw, Iterable):
            message = "Not a list."
            raise ValidationError(message)
        return list(raw)
    if raw.lstrip().startswith("["):
        return typing.cast("list[Any]", _load(raw))
    return _each(_unquoted, [part.strip() for part in raw.split(",") if part.strip()])


def _unquoted(part: str) -> str:
    if part.startswith(QUOTES) or part.endswith(QUOTES):
        message = 'It has quotes; write JSON, as in ["a", "b"], or none.'
        raise ValidationError(message)
    return part


def _pairs(raw: Any) -> dict[Any, Any]:
    """Take a mapping apart."""
    if isinstance(raw, Mapping):
        return dict(raw)
    if not isinstance(raw, str):
        message = "Not a mapping."
        raise ValidationError(message)
    if raw.lstrip().startswith("{"):
        return typing.cast("dict[Any, Any]", _load(raw))
    if raw.lstrip().startswith("["):
        message = 'A list is no mapping; write JSON as in {"key": "value"}, or key=value,key=value.'
        raise ValidationError(message)
    pairs: dict[str, str] = {}

    def add(part: str) -> None:
        key, *values = map(str.strip, part.split("="))
        if not values:
            message = "It is not of the form key=value."
        elif len(values) > 1 or not key or not values[0]:
            message = (
                'It is not one key and one value around one =; write JSON, as in {"key": "a=b"}.'
            )
        elif key in pairs:
            message = "It has the key of an earlier one."
        else:
            pairs[key] = values[0]
            return
        raise ValidationError(message)

    _each(add, _parts(raw))
    return pairs


def _load(text: str) -> object:
    try:
        return load_json(text.encode(errors="surrogateescape"))
    except InvalidJSONError as error:
        message = f"Begins as JSON, but cannot be read as such: {error}."
        raise ValidationError(message) from None


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parts_or_none(text: str) -> list[Any] | None:
    try:
        return _parts(text)
    except ValidationError:
        return None


def _pairs_or_none(text: str) -> dict[Any, Any] | None:
    try:
        return _pairs(text)
    except ValidationError:
        return None
