"""The messages of validation in plain words, where those of marshmallow are long-winded."""

import re
from typing import Any

from marshmallow import Schema

_NOT_AN_OBJECT = "The body must be a JSON object."
_NOT_A_LIST = "The body must be a JSON array of objects."
_NO_OBJECT_HERE = "Must be a JSON object."

_REWRITTEN = (
    (
        r"Must be greater than or equal to (\S+) and less than or equal to (\S+)\.",
        r"Must be from \1 to \2.",
    ),
    (r"Must be greater than or equal to (\S+)\.", r"Must be at least \1."),
    (r"Must be less than or equal to (\S+)\.", r"Must be at most \1."),
)
_PATTERNS = tuple((re.compile(pattern), words) for pattern, words in _REWRITTEN)


def plain_messages(messages: Any, schema: Schema) -> Any:
    """Return the messages of a schema, by field and nested as they are, in plain words."""
    if isinstance(messages, dict) and messages.get("_schema") == [schema.error_messages["type"]]:
        return {**messages, "_schema": [_NOT_A_LIST if schema.many else _NOT_AN_OBJECT]}
    return _reworded(messages, schema)


def _reworded(messages: Any, schema: Schema) -> Any:
    if isinstance(messages, dict):
        return {name: _reworded(found, schema) for name, found in messages.items()}
    if isinstance(messages, list):
        return [_reworded(found, schema) for found in messages]
    if messages == schema.error_messages["type"]:  # of an object inside the body
        return _NO_OBJECT_HERE
    return _plain(messages) if isinstance(messages, str) else messages


def _plain(message: str) -> str:
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(message):
            return found.expand(words)
    return message
