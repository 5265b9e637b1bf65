"""Which texts an item may hold: one definition for the API, its description and imports.

The patterns mean the same as regular expressions of Python and of ECMAScript. They cannot exclude
half of a surrogate pair, nor characters above U+FFFF that nobody sees; both are refused as well.
"""

import re

from pegboard_items.models import NAME_LENGTH

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

NAME_PATTERN = (
    rf"^(?=[{_SPACE}]*[^{_CONTROL}]*[^{_SPACE}{_CONTROL}{_INVISIBLE}])"
    rf"[{_SPACE}]*[^{_SPACE}{_CONTROL}]"
    rf"(?:[^{_CONTROL}]{{0,{NAME_LENGTH - 2}}}[^{_SPACE}{_CONTROL}])?[{_SPACE}]*$"
)
"""A valid name before it is trimmed."""

TEXT_PATTERN = rf"^[^{_CONTROL_BUT_LINES}]*$"
"""A valid text, which may have several lines."""

_SPACES = "".join(filter(re.compile(f"[{_SPACE}]").match, map(chr, range(0x3001))))
_bad_in_name = re.compile(f"[{_CONTROL}{_SURROGATE}]").search
_visible = re.compile(f"[^{_SPACE}{_CONTROL}{_INVISIBLE}{_INVISIBLE_ABOVE}]").search
_bad_in_text = re.compile(f"[{_CONTROL_BUT_LINES}{_SURROGATE}]").search


class TextError(ValueError):
    """Raised for a text that is not allowed; the message says why."""


def trim_name(name: str) -> str:
    """Return the name without surrounding white space. Raises `TextError`."""
    name = name.strip(_SPACES)
    if not _visible(name) and not _bad_in_name(name):
        message = "A name has at least one character that can be seen."
        raise TextError(message)
    if len(name) > NAME_LENGTH:
        message = f"A name has at most {NAME_LENGTH} characters, this one has {len(name)}."
        raise TextError(message)
    if found := _bad_in_name(name):
        raise TextError(_complaint(found, "a name"))
    return name


def check_text(text: str) -> str:
    """Return the text. Raises `TextError`."""
    if found := _bad_in_text(text):
        raise TextError(_complaint(found, "a text"))
    return text


def _complaint(found: re.Match[str], where: str) -> str:
    return f"U+{ord(found[0]):04X} at position {found.start() + 1} is not allowed in {where}."
