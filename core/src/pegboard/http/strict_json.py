"""Strict parsing of JSON (RFC 8259), with limits on numbers and nesting."""

import json
import math
from codecs import BOM_UTF8
from typing import Any, NoReturn

MAX_NUMBER_LENGTH = 100
"""Characters of the longest number that is read; RFC 8259, section 9 allows such a limit."""


class InvalidJSONError(ValueError):
    """Raised by `load_json` for bytes that are not one JSON text; the message says why."""


def load_json(data: bytes) -> Any:
    """Parse one JSON text in UTF-8.

    Raises `InvalidJSONError` for anything that two parsers could read differently (RFC 8259,
    sections 4 and 8): duplicate names, NaN and Infinity, other encodings, trailing bytes; for
    numbers of more than 100 characters or out of a float's range; and for nesting too deep for
    Python.
    """
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        message = "it is not UTF-8"
    except RecursionError:
        message = "it is nested too deeply"
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
        if data.startswith(BOM_UTF8):  # nobody sees it at that place
            message = "it begins with a byte order mark (EF BB BF)"
    raise InvalidJSONError(message) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a name stands twice in one object"
        raise InvalidJSONError(message)
    return found


def _refuse(constant: str) -> NoReturn:
    message = f"{constant} is no JSON number"
    raise InvalidJSONError(message)


def _bounded(text: str) -> str:
    if len(text) > MAX_NUMBER_LENGTH:
        message = f"a number is longer than {MAX_NUMBER_LENGTH} characters"
        raise InvalidJSONError(message)
    return text


def _float(text: str) -> float:
    number = float(_bounded(text))
    if math.isinf(number):
        message = "a number is out of range"
        raise InvalidJSONError(message)
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_refuse,
    parse_int=lambda text: int(_bounded(text)),
    parse_float=_float,
)
