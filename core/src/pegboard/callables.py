"""Whether what others give can be called as it will be, and then runs."""

import functools
import inspect
from collections.abc import Callable, Sequence
from enum import Enum
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any


class Deferral(Enum):
    """Why a call does nothing yet."""

    ASYNC = CoroutineType, "an async function, which nothing awaits"
    ASYNC_GENERATOR = AsyncGeneratorType, "an async generator, which nothing runs"
    GENERATOR = GeneratorType, "a generator, which nothing runs"

    def __init__(self, result: type, text: str) -> None:
        self.result = result
        """The type of what such a call returns."""
        self.text = text
        """What a message calls the function."""


def deferral_of(value: Any) -> Deferral | None:
    """Return why a call of a value does nothing yet; None if it does its work."""
    if (function := _function_of(value)) is None:
        return None
    flags = function.__code__.co_flags
    if inspect.iscoroutinefunction(function) or flags & inspect.CO_ITERABLE_COROUTINE:
        return Deferral.ASYNC
    if inspect.isasyncgenfunction(function):
        return Deferral.ASYNC_GENERATOR
    return Deferral.GENERATOR if inspect.isgeneratorfunction(function) else None


def _function_of(value: Any) -> FunctionType | None:
    """Return the function of Python that a call of a value runs; None for one in C, and a class."""
    while isinstance(value, functools.partial):
        value = value.func
    if not isinstance(value, type | FunctionType | MethodType):
        value = getattr(type(value), "__call__", None)  # noqa: B004
    function = getattr(value, "__func__", value)
    # A mock says that it is an object of another class.
    return function if type(function) is FunctionType else None


def deferral_in(result: object) -> Deferral | None:
    """Return why the call that has returned this has done nothing yet; None if it has."""
    if isinstance(result, CoroutineType):
        result.close()  # else Python warns that it was not awaited
    return next((one for one in Deferral if isinstance(result, one.result)), None)


def answers_at_once(value: Any, like: Callable[..., Any]) -> bool:
    """Return whether a value can be called as `like` is, and then runs.

    Nothing awaits or iterates an answer.
    """
    return callable(value) and deferral_of(value) is None and takes_arguments_of(like, value)


def is_method_like(declared: Callable[..., Any], method: Any) -> bool:
    """Return whether a method of an object can be called as a class declares it."""
    return callable(method) and takes_arguments_of(functools.partial(declared, None), method)


def takes_arguments_of(like: Callable[..., Any], value: Callable[..., Any]) -> bool:
    """Return whether a value can be called with all arguments that `like` has, by place."""
    signature = inspect.signature(like)
    return (taken := _taken_by(value)) is None or _accepts(taken, [*signature.parameters.values()])


def stands_for(method: Callable[..., Any], declared: inspect.Signature, *, by_name: bool) -> bool:
    """Return whether a method can be called in each way that a signature without `self` allows.

    Arguments are given by place, or `by_name` as well; those with a default may be left out.
    """
    is_in_c = _function_of(method) is None and not isinstance(method, type)
    taken = None if is_in_c else _taken_by(method)
    every = [*declared.parameters.values()]
    # An overloaded method is declared so: what it is called with is not known.
    if taken is None or [one.kind for one in every] == [*_ANY_NUMBER]:
        return True
    kinds = {one.kind for one in taken.parameters.values()}
    if any(one.kind in _ANY_NUMBER and one.kind not in kinds for one in every):
        return False
    needed = [one for one in every if one.default is one.empty]
    return all(
        _accepts(taken, given, by_name=named)
        for given in (every, needed)
        for named in {False, by_name}
    ) and (not by_name or _in_same_order(taken, every))


def without_types(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature as a message shows it."""
    empty = inspect.Parameter.empty
    parameters = [one.replace(annotation=empty) for one in signature.parameters.values()]
    return inspect.Signature(parameters)


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _taken_by(value: Callable[..., Any]) -> inspect.Signature | None:
    """Return what a function takes; None if it is written in C, and does not tell."""
    try:
        # What a decorator passes on is not known: what it takes itself counts.
        return inspect.signature(value, follow_wrapped=False)
    except ValueError:
        return None


def _accepts(
    taken: inspect.Signature, given: Sequence[inspect.Parameter], *, by_name: bool = False
) -> bool:
    """Return whether a call with these arguments is possible, by name where they allow it."""
    placed = [one for one in given if one.kind is one.POSITIONAL_ONLY]
    named = [one for one in given if one.kind is one.KEYWORD_ONLY]
    (named if by_name else placed).extend(
        one for one in given if one.kind is one.POSITIONAL_OR_KEYWORD
    )
    try:
        taken.bind(*[None] * len(placed), **{one.name: None for one in named})
    except TypeError:
        return False
    return True


def _in_same_order(taken: inspect.Signature, declared: Sequence[inspect.Parameter]) -> bool:
    """Return whether no argument that is given by place is taken for one of another name."""
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = (one for one in taken.parameters.values() if one.kind in by_place)
    wanted = (one for one in declared if one.kind in by_place)
    return all(
        one.name == other.name or inspect.Parameter.POSITIONAL_ONLY in (one.kind, other.kind)
        for one, other in zip(own, wanted, strict=False)
    )
