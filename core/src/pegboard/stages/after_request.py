"""Applies to a stage's answer what Flask does to its own: `after_request` and the session."""

import logging
from itertools import chain
from typing import Any

from flask import Flask, Response

from pegboard.stages.guards import scopes

logger = logging.getLogger(__name__)


def finish(app: Flask, context: Any, response: Response) -> Response:
    """Do what Flask's `process_response` does, but skip and log a function that fails.

    Such a function may rely on a `before_request` function, which was not called.
    """
    if "process_response" in vars(app):
        return app.process_response(response)
    names = reversed(scopes(context.request.endpoint))
    for function in chain.from_iterable(
        reversed(app.after_request_funcs.get(name, ())) for name in names
    ):
        try:
            response = app.ensure_sync(function)(response)
        except Exception:
            module = getattr(function, "__module__", "?")
            name = getattr(function, "__qualname__", type(function).__qualname__)
            logger.exception("an early answer goes without %s.%s, which failed", module, name)
    _save_session(app, context, response)
    return response


def _save_session(app: Flask, context: Any, response: Response) -> None:
    # The private attribute, where there is one: reading the public one counts as access.
    session = context._session if hasattr(context, "_session") else context.session  # noqa: SLF001
    if session is None or app.session_interface.is_null_session(session):
        return
    try:
        app.session_interface.save_session(app, session, response)
    except Exception:
        logger.exception("an early answer goes without its session, which cannot be saved")
