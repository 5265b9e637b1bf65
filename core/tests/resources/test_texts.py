"""The texts that fields take, and that the patterns of the API's description say the same."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from pegboard.resources import Line, Text

NAME = Line(max_length=100, what="A name")
TEXT = Text()

ODD = st.text(
    st.one_of(
        st.sampled_from(" \t\n\v\f\r\x1c\x1f\x00\x7f\x85\x9f\xa0\u1680\u2003\u2028\u3000\ufeff"),
        st.sampled_from("\u200b\u200d\xad\u2800\ufe0f\U000e0001"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)


# Python counts four separators as white space that Unicode does not.
SPACES = "".join({c for c in map(chr, range(0x10FFFF)) if c.isspace()} - set("\x1c\x1d\x1e\x1f"))


# Format characters that are drawn, as signs before the digits that they belong to.
DRAWN = set(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
) | {chr(code) for code in range(0x13447, 0x13456)}
# Default_Ignorable_Code_Point beside format characters, and what has an empty glyph.
BLANKS = set(
    "\u2800\U00016fe4\U0001d159\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2065\u3164\uffa0"
)
RANGES = [
    range(0xFE00, 0xFE10),
    range(0xFFF0, 0xFFFC),
    range(0x13430, 0x13443),
    range(0xE0000, 0xE1000),
]


def is_visible(letter: str) -> bool:
    """Whether a reader sees anything of a character that stands alone."""
    if letter in BLANKS or any(ord(letter) in codes for codes in RANGES):
        return False
    return letter in DRAWN or unicodedata.category(letter) not in {"Cc", "Cf", "Zs", "Zl", "Zp"}


def is_name(text: str) -> bool:
    """Whether it is a name by the rules as the contract words them."""
    text = text.strip(SPACES)
    if not any(map(is_visible, text)):
        return False
    return 1 <= len(text) <= 100 and not any(unicodedata.category(c) == "Cc" for c in text)


def passes(check, text: str) -> bool:
    """Whether the check takes the text."""
    try:
        check(text)
    except ValidationError:
        return False
    return True


@pytest.mark.slow
@settings(deadline=None)
@given(ODD)
@example("a" * 100)
@example("a" * 101)
@example(" " * 300 + "a" * 100 + "\n" * 300)
@example("a\n")
@example("a\x00\n")
@example("\x1ca")
@example("a\x1f ")
@example("\U0001f528" * 100)
@example("\U0001f528" * 101)
def test_the_pattern_of_names_says_what_is_checked(text):
    """Neither takes what the other refuses, and both are the contract's.

    Only what nobody sees above U+FFFF is beyond the pattern.
    """
    assert passes(NAME.deserialize, text) == is_name(text)
    if is_name(text) or not any(letter > "\uffff" and not is_visible(letter) for letter in text):
        assert is_name(text) == bool(re.search(NAME.metadata["pattern"], text))


@pytest.mark.slow
def test_every_character_that_nobody_sees_makes_no_name_alone():
    """And every other one does, as does the first beside an invisible one."""
    wrong = [
        f"U+{code:04X}"
        for code in range(0x110000)
        if not 0xD800 <= code <= 0xDFFF
        and (passes(NAME.deserialize, chr(code) * 2) != is_visible(chr(code)))
    ]
    assert [] == wrong


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627",
        "\u200ba",
    ],
)
def test_joiners_inside_a_name_stay(text):
    """Of an emoji and of Persian."""
    assert text == NAME.deserialize(text)


@settings(deadline=None)
@given(ODD)
@example("a\n")
@example("a\x00\n")
def test_the_pattern_of_texts_says_what_is_checked(text):
    """Neither takes what the other refuses."""
    assert passes(TEXT.deserialize, text) == bool(re.search(TEXT.metadata["pattern"], text))


@pytest.mark.parametrize("check", [NAME.deserialize, TEXT.deserialize])
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_no_text(check, text):
    """What patterns cannot say is checked all the same."""
    with pytest.raises(ValidationError, match=r"U\+D[8F]"):
        check(text)


def test_the_complaint_names_the_character_and_its_place():
    """So that the client finds it."""
    with pytest.raises(ValidationError, match=r"U\+0000 at position 2"):
        TEXT.deserialize("a\0b")


def test_a_long_name_is_judged_at_once():
    """A pattern that backtracks would take minutes."""
    with pytest.raises(ValidationError):
        NAME.deserialize("a" + " " * 1_000_000 + "b")
