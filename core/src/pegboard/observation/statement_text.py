"""SQL as it may be shown: short, and without the values that stand in its text."""

import re

_LONGEST = 500
_LOOKED_AT = 4 * _LONGEST
_LITERAL = re.compile(
    r"""
    [eE]'(?:[^'\\]|''|\\.)*(?:'|$)      # a text with escapes
    | '(?:[^']|'')*(?:'|$)              # a text
    | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$)
    | (?<![\w$.%(])\d+(?:\.\d+)?(?![\w$.])  # a number that is no part of a name
    """,
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s+")


def statement_text(text: str) -> str:
    """Return the text of a statement in one line, with `?` for each literal; 500 characters of it.

    Parameters of a statement are not in its text; what code has put into it might be anything.
    """
    shown = _SPACE.sub(" ", _LITERAL.sub("?", text[:_LOOKED_AT])).strip()
    if len(shown) <= _LONGEST and len(text) <= _LOOKED_AT:
        return shown
    return f"{shown[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
