"""The messages of validation in plain words, where those of marshmallow are long-winded."""

import re
from typing import Any

from marshmallow import Schema

_NOT_AN_OBJECT = "The body must be a JSON object."
_NOT_A_LIST = "The body must be a JSON array of objects."

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
    if isinstance(messages, dict):
        whole = messages.get("_schema")
        if whole == [schema.error_messages["type"]]:
            return {**messages, "_schema": [_NOT_A_LIST if schema.many else _NOT_AN_OBJECT]}
        return {name: plain_messages(found, schema) for name, found in messages.items()}
    if isinstance(messages, list):
        return [plain_messages(found, schema) for found in messages]
    return _plain(messages) if isinstance(messages, str) else messages


def _plain(message: str) -> str:
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(message):
            return found.expand(words)
    return message
