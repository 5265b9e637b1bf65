"""The errors of an answer by field, and no more of them than anybody reads."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_ERRORS = 100
"""Messages, at most, in one answer."""

MAX_SIZE = 16 * 1024
"""Characters, at most, of the names and messages in one answer, if there is more than one."""

_LONGEST_NAME = 100
_LONGEST_TEXT = 500


def bound_errors(errors: Mapping[Any, Any]) -> tuple[dict[str, list[str]], int]:
    """Return the first messages of each field, and how many there are in all.

    A field inside another is named as in `lines.0.amount`. Long names and messages are cut.
    """
    found: dict[str, list[str]] = {}
    total = size = 0
    is_full = False
    for name, text in _messages(errors):
        total += 1
        size += len(name) + len(text)
        is_full = is_full or total > MAX_ERRORS or (size > MAX_SIZE and total > 1)
        if not is_full:
            found.setdefault(name, []).append(text)
    return found, total


def clip(text: str, length: int) -> str:
    """Return the beginning of a text that is longer, with a mark that there is more."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _messages(messages: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for part, found in messages.items():
        name = clip(f"{prefix}{part}", _LONGEST_NAME)
        if isinstance(found, Mapping):
            yield from _messages(found, f"{name}.")
        else:
            for text in found if isinstance(found, list | tuple) else [found]:
                yield name, clip(str(text), _LONGEST_TEXT)
