"""The rules for text, and that the patterns of the API's description say the same."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pegboard_items.text import NAME_PATTERN, TEXT_PATTERN, TextError, check_text, trim_name

ODD = st.text(
    st.one_of(
        st.sampled_from(" \t\n\v\f\r\x1c\x1f\x00\x7f\x85\x9f\xa0\u1680\u2003\u2028\u3000\ufeff"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)


# Python counts four separators as white space that Unicode does not.
SPACES = "".join({c for c in map(chr, range(0x10FFFF)) if c.isspace()} - set("\x1c\x1d\x1e\x1f"))


def is_name(text: str) -> bool:
    """Whether it is a name by the rules as the contract words them."""
    text = text.strip(SPACES)
    return 1 <= len(text) <= 100 and not any(unicodedata.category(c) == "Cc" for c in text)


def passes(check, text: str) -> bool:
    """Whether the check takes the text."""
    try:
        check(text)
    except TextError:
        return False
    return True


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
    """Neither takes what the other refuses, and both are the contract's."""
    assert passes(trim_name, text) == bool(re.search(NAME_PATTERN, text)) == is_name(text)


@settings(deadline=None)
@given(ODD)
@example("a\n")
@example("a\x00\n")
def test_the_pattern_of_texts_says_what_is_checked(text):
    """Neither takes what the other refuses."""
    assert passes(check_text, text) == bool(re.search(TEXT_PATTERN, text))


@pytest.mark.parametrize("check", [trim_name, check_text])
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_is_no_text(check, text):
    """What patterns cannot say is checked all the same."""
    with pytest.raises(TextError, match=r"U\+D[8F]"):
        check(text)


def test_the_complaint_names_the_character_and_its_place():
    """So that the client finds it."""
    with pytest.raises(TextError, match=r"U\+0000 at position 2"):
        check_text("a\0b")


def test_a_long_name_is_judged_at_once():
    """A pattern that backtracks would take minutes."""
    with pytest.raises(TextError):
        trim_name("a" + " " * 1_000_000 + "b")
