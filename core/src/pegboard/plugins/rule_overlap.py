"""Finds a path that two URL rules both match, from the regular expressions that Werkzeug uses.

What a rule matches is a regular language, so two rules overlap when the intersection of their
languages is not empty. Each expression is an automaton whose states are what is left to match
(partial derivatives: Antimirov, 1996); only states that both can reach together are built. What is
no regular expression in the strict sense (a look-around, a reference to a group) is taken to match
more than it does, and a path that is found so is tried with Werkzeug's expressions. Converters'
`to_python` does not count: a value that it refuses is a 404, and no other rule is tried.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from itertools import pairwise
from re import _parser  # type: ignore[attr-defined]  # the one parser that reads what `re` reads
from typing import Any

from werkzeug.routing import Rule

_MAX_STATES = 20_000
"""Pairs of states that are searched before two rules are taken to overlap."""

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
State = tuple[Expression, "State"] | None
"""What is left to match: an expression, and what follows it; None at the end."""


def find_common_path(first: Rule, second: Rule) -> str | None:
    """Return a path that both rules match, None if there is none; methods are not compared.

    The path has the host or subdomain before it, where the rules have one. A rule that ends with a
    slash matches the path without it too, as Werkzeug redirects from there. Both rules belong to
    a map. If the search is too long, the answer is a path that both may match.
    """
    one, other = _literal_prefix(first), _literal_prefix(second)
    if not one.startswith(other) and not other.startswith(one):
        return None
    alphabet = _alphabet(point for rule in (first, second) for point in _code_points(rule))
    languages = (_language(first, alphabet), None), (_language(second, alphabet), None)

    def fits(word: str) -> bool:
        return all(_is_match(rule, word.split("/")) for rule in (first, second))

    try:
        word = next(_common_words(*languages), None)
    except _TooManyStatesError:
        return _shown(f"{max(one, other, key=len)}…")
    if word is None:
        return None
    if fits(word):
        return _shown(word, as_branch=first.is_branch and second.is_branch)
    # A few characters find a path soon, if there is one; only all of them show that there is none.
    for width in (2, len(alphabet)):
        with suppress(_TooManyStatesError):
            found = next(filter(fits, _common_words(*languages, width=width)), None)
            if found is not None or width == len(alphabet):
                return None if found is None else _shown(found)
    return _shown(word)


def _shown(word: str, *, as_branch: bool = False) -> str:
    """Return the host and path that the search knows as one word with a slash between the two."""
    host, _, path = word.partition("/")
    return host + (f"{path}/" if as_branch and not path.endswith("/") else path or "/")


def _literal_prefix(rule: Rule) -> str:
    """Return what all words of a rule begin with; without a slash at its end."""
    literal: list[str] = []
    for part in rule._parts:  # noqa: SLF001 - nothing public has what the matcher of Werkzeug uses
        if not part.static:
            break
        literal.append(part.content)
    return "/".join(literal).rstrip("/")


def _language(rule: Rule, alphabet: frozenset[str]) -> Chain:
    """Return the expression of the words that a rule matches: host, slash and path."""
    parts = rule._parts  # noqa: SLF001 - as above
    slash = Characters(frozenset("/"))
    chain: list[Expression] = []
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if index:
            # Without the last slash, the request is answered or redirected.
            chain.append(Repeat(slash, 0, 1) if is_last and not part.content else slash)
        if part.static:
            chain += (Characters(frozenset(character)) for character in part.content)
        elif not part.final:
            chain.append(_expression(part.content, alphabet - {"/"}))
        else:
            # It takes the rest of the path, with the slash at its end if it is `suffixed`.
            chain.append(_expression(part.content, alphabet))
            return Chain(tuple(chain))
    if parts[-1].content and not rule.strict_slashes:
        chain.append(Repeat(slash, 0, 1))
    return Chain(tuple(chain))


def _is_match(rule: Rule, segments: list[str]) -> bool:
    """Return whether a rule matches a path, as Werkzeug's matcher does; the first is the host."""
    parts = rule._parts  # noqa: SLF001 - as above
    for index, part in enumerate(parts):
        if part.final:
            return re.match(part.content, "/".join(segments[index:])) is not None
        if index == len(segments):
            return not part.content
        if part.static and part.content != segments[index]:
            return False
        if not part.static and re.match(part.content, segments[index]) is None:
            return False
    rest = segments[len(parts) :]
    return not rest or (rest == [""] and not rule.strict_slashes)


class _TooManyStatesError(Exception):
    """Raised when a search does not end soon."""


def _common_words(first: State, second: State, width: int | None = None) -> Iterator[str]:
    """Yield words that both states match, the shortest first.

    One word for each pair of states that can be reached; with a `width` every word that has only
    so many of the characters that are allowed at a place. Of these there can be infinitely many.
    Raises `_TooManyStatesError`.
    """
    queue: deque[tuple[State, State, str]] = deque([(first, second, "")])
    seen = {(first, second)}
    searched = 0
    while queue:
        if (searched := searched + 1) > _MAX_STATES:
            raise _TooManyStatesError
        one, other, word = queue.popleft()
        ways, other_ways = _steps(one), _steps(other)
        if None in ways and None in other_ways:
            yield word
        for way in filter(None, ways):
            for other_way in filter(None, other_ways):
                pair = way[1], other_way[1]
                common = way[0] & other_way[0]
                if not common or (width is None and pair in seen):
                    continue
                seen.add(pair)
                following = nsmallest(width or 1, common, key=_rank)
                queue += ((*pair, word + character) for character in following)


def _rank(character: str) -> tuple[bool, bool, bool, str]:
    """Sort what reads well in an example before the rest: 1, then other digits, then letters."""
    return character != "1", not character.isascii(), not character.isalnum(), character


@lru_cache(maxsize=4096)
def _steps(state: State) -> list[tuple[frozenset[str], State] | None]:
    """Return the characters that can come next, each set with the state after it.

    None stands for the end.
    """
    found: list[tuple[frozenset[str], State] | None] = []
    seen: set[State] = set()
    pending = [state]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current is None:
            found.append(None)
        elif isinstance(current[0], Characters):
            found.append((current[0].allowed, current[1]))
        else:
            pending += _alternatives(*current)
    return found


def _alternatives(expression: Expression, rest: State) -> Iterator[State]:
    """Yield the states that one is made of, without going on by a character."""
    match expression:
        case Chain(parts):
            for part in reversed(parts):
                rest = part, rest
            yield rest
        case Choice(options):
            yield from ((option, rest) for option in options)
        case Repeat(inner, least, most):
            if not least:
                yield rest
            if most != 0:
                yield inner, (Repeat(inner, max(least - 1, 0), most and most - 1), rest)


@lru_cache(maxsize=256)
def _parse(content: str) -> Any:
    """Return the syntax tree of an expression; None if it has none."""
    try:
        return _parser.parse(content)
    except (re.error, OverflowError, RecursionError):
        return None


@lru_cache(maxsize=256)
def _expression(content: str, alphabet: frozenset[str]) -> Expression:
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


def _code_points(rule: Rule) -> Iterator[int]:
    """Yield the characters at which the sets of a rule's expressions begin and end."""
    for part in rule._parts:  # noqa: SLF001 - as above
        if part.static:
            yield from map(ord, part.content)
        elif (tree := _parse(part.content)) is not None:
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


def _alphabet(points: Iterable[int]) -> frozenset[str]:
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
