"""`cached`: how a view declares that its answers are cached."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

from sqlalchemy import Table
from sqlalchemy.orm import DeclarativeBase

from pegboard.cache.answers import get_cache
from pegboard.cache.lookup import Lookup, declare

P = ParamSpec("P")


def cached(
    model: type[DeclarativeBase],
    *,
    ttl: int,
    depends: Sequence[type[DeclarativeBase] | Table] = (),
    name: str = "view",
    version: int = 1,
    may_precede: bool = False,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Cache what a GET view answers about one row of `model`, for `ttl` seconds at most.

    The variables of the view's URL are the row's primary key, in the order of its columns. The
    answer must depend on that row alone, and on rows of the models in `depends`, any write to which
    forgets all answers. It is the same for every client. No write needs to be told: the platform
    watches the database connections. Only a 200 is cached; `ETag`, 304 and 412 are taken care of.

    Put it above all other decorators. Then an answer is given before Flask sees the request, unless
    a plugin hangs something before views; `may_precede` says that the answer may even be given
    then. Raise `version` when the view begins to answer differently; of two views of one model, one
    needs another `name`, which no release changes. Raises `ValueError`.
    """
    if ttl < 1 or not re.fullmatch(r"[a-z0-9_-]{1,40}", name):
        message = "ttl is a second at least, name is made of a-z, 0-9, _ and -"
        raise ValueError(message)

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @functools.wraps(view)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            return get_cache().answer(lookup, lambda: view(*args, **kwargs))

        lookup = Lookup(model, ttl, tuple(depends), version, may_precede, name, run)
        declare(run, lookup)
        return run

    return decorate
