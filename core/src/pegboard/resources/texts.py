"""Which texts the fields `Line` and `Text` take: one definition for the API and its description.

The patterns mean the same as regular expressions of Python and of ECMAScript. They cannot exclude
half of a surrogate pair, nor characters above U+FFFF that nobody sees; both are refused as well.
"""

import re

_SPACE = r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""The white space of Unicode (property White_Space)."""

_CONTROL = r"\u0000-\u001f\u007f-\u009f"
"""The control characters of Unicode (category Cc)."""

_CONTROL_BUT_LINES = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
"""The same without tab, line feed and carriage return."""

_SURROGATE = r"\ud800-\udfff"

_INVISIBLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
"""Other characters that nobody sees: Default_Ignorable_Code_Point, the blank of Braille, and the
signs of an interlinear annotation."""

_INVISIBLE_ABOVE = (
    "\U00013430-\U00013442\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Those above U+FFFF: Default_Ignorable_Code_Point, the joiners and blanks of Egyptian hieroglyphs,
the filler of the Khitan small script, and the null notehead of music."""

TEXT_PATTERN = rf"^[^{_CONTROL_BUT_LINES}]*$"
"""A valid text, which may have several lines."""

_SPACES = "".join(filter(re.compile(f"[{_SPACE}]").match, map(chr, range(0x3001))))
_bad_in_line = re.compile(f"[{_CONTROL}{_SURROGATE}]").search
_visible = re.compile(f"[^{_SPACE}{_CONTROL}{_INVISIBLE}{_INVISIBLE_ABOVE}]").search
_bad_in_text = re.compile(f"[{_CONTROL_BUT_LINES}{_SURROGATE}]").search


class TextError(ValueError):
    """Raised for a text that is not allowed; the message says why."""


def line_pattern(max_length: int | None) -> str:
    """Return the pattern of a valid line before it is trimmed."""
    # The first and the last character are visible, so they are not counted here.
    inner = "*" if max_length is None else f"{{0,{max(max_length - 2, 0)}}}"
    middle = rf"(?:[^{_CONTROL}]{inner}[^{_SPACE}{_CONTROL}])?" if max_length != 1 else ""
    return (
        rf"^(?=[{_SPACE}]*[^{_CONTROL}]*[^{_SPACE}{_CONTROL}{_INVISIBLE}])"
        rf"[{_SPACE}]*[^{_SPACE}{_CONTROL}]{middle}[{_SPACE}]*$"
    )


def trim_line(line: str, max_length: int | None, what: str) -> str:
    """Return the line without surrounding white space. Raises `TextError`.

    `what` begins the message, as "A name".
    """
    line = line.strip(_SPACES)
    if not _visible(line) and not _bad_in_line(line):
        message = f"{what} has at least one character that can be seen."
        raise TextError(message)
    if max_length is not None and len(line) > max_length:
        message = f"{what} has at most {max_length} characters, this one has {len(line)}."
        raise TextError(message)
    if found := _bad_in_line(line):
        raise TextError(_complaint(found, what))
    return line


def check_text(text: str, what: str) -> str:
    """Return the text. Raises `TextError`."""
    if found := _bad_in_text(text):
        raise TextError(_complaint(found, what))
    return text


def _complaint(found: re.Match[str], what: str) -> str:
    where = what[0].lower() + what[1:]
    return f"U+{ord(found[0]):04X} at position {found.start() + 1} is not allowed in {where}."
