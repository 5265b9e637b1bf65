"""Reading what an app keeps in `app.extensions`."""

from typing import Any

from flask import Flask, current_app, has_app_context


def get_extension(app: Flask | None, name: str, call: str) -> Any:
    """Return what the app, by default the current app, keeps under a name.

    `call` is what the message tells a caller without an app to write, as in `get_cache(app)`.
    Raises `RuntimeError` if there is neither an app nor a current app, and `KeyError` for an app
    that keeps nothing of that name.
    """
    if app is None and not has_app_context():
        message = f"there is no current app here: write {call}; hooks are given the app"
        raise RuntimeError(message)
    return (app or current_app).extensions[name]
