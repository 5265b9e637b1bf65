"""Regular expressions as values, read by the parser of `re`, over an alphabet of few characters."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from re import _parser  # type: ignore[attr-defined]  # the one parser that reads what `re` reads
from typing import Any

_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}
_CASE_VARIANTS = "\u0130\u0131\u017f\u212a"
"""The characters beyond ASCII that a letter of ASCII matches when case is ignored."""


@dataclass(frozen=True, slots=True)
class Characters:
    """Any one character of a set."""

    allowed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Chain:
    """One expression after the other."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of several expressions."""

    options: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """An expression several times in a row; `most` is None for any number of times."""

    inner: "Expression"
    least: int
    most: int | None


Expression = Characters | Chain | Choice | Repeat


@lru_cache(maxsize=256)
def _parse(content: str) -> Any:
    """Return the syntax tree of an expression; None if it has none."""
    try:
        return _parser.parse(content)
    except (re.error, OverflowError, RecursionError):
        return None


@lru_cache(maxsize=256)
def read_expression(content: str, alphabet: frozenset[str]) -> Expression:
    """Return the expression for a text as `re` reads it; it may match more than that does."""
    tree = _parse(content)
    return _anything(alphabet) if tree is None else _chain(tree, alphabet, tree.state.flags)


def _anything(alphabet: frozenset[str]) -> Expression:
    return Repeat(Characters(alphabet), 0, None)


def _chain(tree: Iterable[Any], alphabet: frozenset[str], flags: int) -> Expression:
    return Chain(tuple(_node(kind.name, value, alphabet, flags) for kind, value in tree))


def _node(kind: str, value: Any, alphabet: frozenset[str], flags: int) -> Expression:
    found = _anything(alphabet)
    match kind:
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
            found = Characters(_characters(kind, value, alphabet, flags))
        case "BRANCH":
            found = Choice(tuple(_chain(option, alphabet, flags) for option in value[1]))
        case "SUBPATTERN":
            _group, added, removed, tree = value
            found = _chain(tree, alphabet, flags & ~removed | added)
        case "ATOMIC_GROUP":
            found = _chain(value, alphabet, flags)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, tree = value
            inner = _chain(tree, alphabet, flags)
            found = Repeat(inner, int(least), None if most is _parser.MAXREPEAT else int(most))
        case "AT" | "ASSERT" | "ASSERT_NOT":
            found = Chain(())
    return found


def _characters(kind: str, value: Any, alphabet: frozenset[str], flags: int) -> frozenset[str]:
    if kind == "ANY":
        return alphabet if flags & re.DOTALL else alphabet - {"\n"}
    items = value if kind == "IN" else [(_parser.LITERAL, value)]
    negated = kind == "NOT_LITERAL" or items[0][0] is _parser.NEGATE
    tests = [_test(item.name, argument, flags) for item, argument in items]

    def fits(character: str) -> bool:
        return negated != any(test(character) for test in tests)

    if not flags & re.IGNORECASE:
        return frozenset(filter(fits, alphabet))
    if any(point > ord("\x7f") for point in _points_of(items)):
        return alphabet
    return frozenset(
        character
        for character in alphabet
        if any(map(fits, {character, character.lower()[0], character.upper()[0]}))
    )


def _test(kind: str, value: Any, flags: int) -> Callable[[str], bool]:
    match kind:
        case "LITERAL":
            return lambda character: ord(character) == value
        case "RANGE":
            return lambda character: value[0] <= ord(character) <= value[1]
        case "CATEGORY":
            _, _, name = value.name.partition("_")
            plain = re.compile(_CATEGORIES[name.removeprefix("NOT_")], flags & re.ASCII)
            wanted = not name.startswith("NOT_")
            return lambda character: (plain.match(character) is not None) == wanted
    return lambda _: False  # NEGATE


def points_of(content: str) -> Iterator[int]:
    """Yield the characters at which the sets of an expression begin and end."""
    tree = _parse(content)
    if tree is not None:
        yield from _points_of(tree)


def _points_of(value: Any) -> Iterator[int]:
    """Yield the characters in a part of a syntax tree."""
    if isinstance(value, tuple) and len(value) == 2 and hasattr(value[0], "name"):  # noqa: PLR2004 - a node
        kind, argument = value
        if kind.name in {"LITERAL", "NOT_LITERAL"}:
            yield argument
        elif kind.name == "RANGE":
            yield from argument
        else:
            yield from _points_of(argument)
    elif isinstance(value, list | tuple | _parser.SubPattern):
        for part in value:
            yield from _points_of(part)


def find_alphabet(points: Iterable[int]) -> frozenset[str]:
    """Return characters of which each stands for all that the expressions do not tell apart."""
    edges = {edge for point in points if point > ord("\x7f") for edge in (point, point + 1)}
    limits = sorted({0x80, *edges, 0x110000})
    return frozenset(
        {*map(chr, range(0x80)), *_CASE_VARIANTS}.union(
            *(_kinds(*pair) for pair in pairwise(limits))
        )
    )


@lru_cache(maxsize=256)
def _kinds(start: int, end: int) -> frozenset[str]:
    """Return from a range of characters one of each kind: digit, letter, space, other."""
    found: dict[tuple[bool, bool, bool], str] = {}
    for point in range(start, end):
        character = chr(point)
        if 0xD800 <= point < 0xE000:  # noqa: PLR2004 - surrogates, which no path contains
            continue
        kind = character.isdecimal(), character.isalnum(), character.isspace()
        found.setdefault(kind, character)
        if len(found) == 4:  # noqa: PLR2004 - no other kind of character exists
            break
    return frozenset(found.values())
