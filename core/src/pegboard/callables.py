"""Whether what others give can be called as it will be, and then runs."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

_ANY_NUMBER = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def deferral_of(value: Any) -> str:
    """Return why a call of a value runs nothing, as in "an async function, which nothing awaits".

    It is empty if the call does its work.
    """
    called = value if inspect.isroutine(value) else getattr(value, "__call__", None)  # noqa: B004
    if inspect.iscoroutinefunction(called):
        return "an async function, which nothing awaits"
    if inspect.isasyncgenfunction(called):
        return "an async generator, which nothing runs"
    if inspect.isgeneratorfunction(called):
        return "a generator, which nothing runs"
    return ""


def answers_at_once(value: Any, like: Callable[..., Any]) -> bool:
    """Return whether a value can be called as `like` is, and then runs.

    Nothing awaits or iterates an answer.
    """
    return callable(value) and not deferral_of(value) and takes_arguments_of(like, value)


def is_method_like(declared: Callable[..., Any], method: Any) -> bool:
    """Return whether a method of an object can be called as a class declares it."""
    return callable(method) and takes_arguments_of(functools.partial(declared, None), method)


def takes_arguments_of(like: Callable[..., Any], value: Callable[..., Any]) -> bool:
    """Return whether a value can be called with the arguments that `like` has."""
    given = inspect.signature(like).parameters.values()
    names = [one.name for one in given if one.kind is one.KEYWORD_ONLY]
    try:
        inspect.signature(value).bind(*[None] * (len(given) - len(names)), **dict.fromkeys(names))
    except TypeError:
        return False
    except ValueError:  # it is written in C, and does not tell
        return True
    return True


def without_types(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature as a message shows it."""
    empty = inspect.Parameter.empty
    parameters = [one.replace(annotation=empty) for one in signature.parameters.values()]
    return inspect.Signature(parameters)


def stands_for(method: Callable[..., Any], declared: inspect.Signature) -> bool:
    """Return whether a method can be called in each way that a signature without `self` allows.

    Arguments are given by place or by name, and those with a default may be left out.
    """
    try:
        # What a decorator passes on is not known: what it takes itself counts.
        taken = inspect.signature(method, follow_wrapped=False)
    except ValueError:  # it is written in C, and does not tell
        return True
    every = [*declared.parameters.values()]
    if every and all(one.kind in _ANY_NUMBER for one in every):
        return True  # as an overloaded method is declared: what is called is not known
    needed = [one for one in every if one.default is one.empty]
    return all(
        _accepts(taken, given, by_name=by_name)
        for given in (every, needed)
        for by_name in (False, True)
    )


def _accepts(
    taken: inspect.Signature, given: Sequence[inspect.Parameter], *, by_name: bool
) -> bool:
    either = [one.name for one in given if one.kind is one.POSITIONAL_OR_KEYWORD]
    placed = [one.name for one in given if one.kind is one.POSITIONAL_ONLY]
    named = [one.name for one in given if one.kind is one.KEYWORD_ONLY]
    (named if by_name else placed).extend(either)
    try:
        bound = taken.bind(*placed, **{name: name for name in named}).arguments
    except TypeError:
        return False
    return all(bound.get(name, name) == name for name in either)
