"""Calling the implementations of a hook one by one, so that one that raises stops no other."""

import inspect
import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Generic, ParamSpec, TypeVar

import pluggy
from flask import current_app, has_app_context

from pegboard.database import holds_writes

_P = ParamSpec("_P")
_R = TypeVar("_R")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome(Generic[_R]):
    """What one implementation of a hook did."""

    plugin: str
    """The name of the plugin that implements the hook."""
    result: _R | None = None
    """What the implementation returned; None if it raised an error."""
    error: BaseException | None = None
    """What it raised; None if it returned."""


def call_isolated(
    manager: pluggy.PluginManager, hook: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
) -> list[Outcome[_R]]:
    """Call each implementation of a hook, as `Registry.call_each` says."""
    name = getattr(hook, "__name__", repr(hook))
    caller = getattr(manager.hook, name, None)
    if caller is None or caller.spec is None:
        message = f"no active plugin declares the hook {name}"
        raise LookupError(message)
    given = inspect.signature(hook).bind(*args, **kwargs)
    if has_app_context() and holds_writes():
        message = (
            f"call_each({name}) is called inside a transaction that may hold locks: each "
            "implementation has a database session and connection of its own, which would wait for "
            "them. End it before, as by calling it after the transactional function has returned; "
            f"or call registry.hook.{name}(...), whose implementations take part in the transaction"
        )
        raise RuntimeError(message)
    outcomes: list[Outcome[_R]] = []
    for one in reversed(caller.get_hookimpls()):
        if one.wrapper or one.hookwrapper:
            continue
        plugin = str(one.plugin_name)
        try:
            with current_app.app_context() if has_app_context() else nullcontext():
                result = one.function(*(given.arguments[key] for key in one.argnames))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin ends no process
            logger.exception("plugin %s failed in %s", plugin, name)
            outcomes.append(Outcome(plugin, error=error))
        else:
            outcomes.append(Outcome(plugin, result))
    return outcomes
