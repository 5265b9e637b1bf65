"""SQL as it may be shown: short, and without the values that stand in its text."""

import re

_LONGEST = 500
_LOOKED_AT = 4 * _LONGEST
_TOKEN = re.compile(
    r"""
    (?P<text>
        [eE]'(?:[^'\\]|''|\\.)*(?:'|$)  # one with escapes
        | '(?:[^']|'')*(?:'|$)
        | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|$)
    )
    | (?P<name>
        "(?:[^"]|"")*(?:"|$)
        | [^\W\d][\w$]*
        | [$?]\d+                         # of a parameter
    )
    | (?P<comment>
        --[^\n]*
        | /\*(?:/\*.*?\*/|[^*/]|\*(?!/)|/(?!\*))*(?:\*/|$)
    )
    | (?P<number>\.?\d(?:[eE][+-]\d|[\w.])*)
    """,
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s+")


def statement_text(text: str) -> str:
    """Return a statement in one line, without comments, with `?` for each literal; 500 characters.

    Parameters of a statement are not in its text; what code has put into it might be anything.
    """
    shown = _SPACE.sub(" ", _TOKEN.sub(_shown, text[:_LOOKED_AT])).strip()
    if len(shown) <= _LONGEST and len(text) <= _LOOKED_AT:
        return shown
    return f"{shown[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _shown(token: re.Match[str]) -> str:
    if token["name"]:
        return token[0]
    return " " if token["comment"] else "?"
