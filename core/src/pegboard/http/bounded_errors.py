"""Bounds the errors of an answer: a request with many mistakes gets no long list of them."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_ERRORS = 100
"""Messages, at most, in one answer."""

MAX_SIZE = 16 * 1024
"""Characters, at most, of the names and messages in one answer."""

_LONGEST_NAME = 100
_LONGEST_TEXT = 500


def bound_errors(errors: Mapping[str, Any]) -> tuple[dict[str, Any], int, int]:
    """Return the first errors, how many they are, and how many there are in all.

    Errors are texts, in lists and in mappings by field, nested to any depth.
    """
    found: dict[str, Any] = {}
    shown = total = size = 0
    for names, text in _messages(errors):
        total += 1
        size += len(text) + sum(map(len, names))
        if shown == total - 1 < MAX_ERRORS and (size <= MAX_SIZE or not shown):
            shown += 1
            _put(found, names, text)
    return found, shown, total


def clip(text: str, length: int) -> str:
    """Return the beginning of a text that is longer, with a mark that there is more."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _messages(errors: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    left: list[tuple[tuple[str, ...], Any]] = [((), errors)]
    while left:
        names, value = left.pop()
        if isinstance(value, Mapping):
            left.extend(
                ((*names, clip(str(name), _LONGEST_NAME)), one)
                for name, one in reversed(list(value.items()))
            )
        elif isinstance(value, (list, tuple)):
            left.extend((names, one) for one in reversed(value))
        else:
            yield names, clip(str(value), _LONGEST_TEXT)


def _put(found: dict[str, Any], names: tuple[str, ...], text: str) -> None:
    *outer, last = names or ("",)
    place: Any = found
    for name in outer:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            return  # a field has messages both of its own and of its parts
    messages = place.setdefault(last, [])
    if isinstance(messages, list):
        messages.append(text)
