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
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from heapq import nsmallest

from werkzeug.routing import Rule

from pegboard.plugins.expressions import (
    Chain,
    Characters,
    Choice,
    Expression,
    Repeat,
    find_alphabet,
    points_of,
    read_expression,
)

_MAX_STATES = 20_000
"""Pairs of states that are searched before two rules are taken to overlap."""

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
    alphabet = find_alphabet(point for rule in (first, second) for point in _code_points(rule))
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
            chain.append(read_expression(part.content, alphabet - {"/"}))
        else:
            # It takes the rest of the path, with the slash at its end if it is `suffixed`.
            chain.append(read_expression(part.content, alphabet))
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


def _code_points(rule: Rule) -> Iterator[int]:
    """Yield the characters at which the sets of a rule's expressions begin and end."""
    for part in rule._parts:  # noqa: SLF001 - as above
        yield from map(ord, part.content) if part.static else points_of(part.content)
