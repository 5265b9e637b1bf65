"""Checks of the views of all plugins, after they are registered."""

from flask import Flask

from pegboard.app.callable_views import find_uncallable_views
from pegboard.app.decorated_views import find_missed_decorations
from pegboard.app.hidden_annotations import find_hidden_annotations
from pegboard.plugins import Registry
from pegboard.problems import PluginError, StartupError
from pegboard.start_times import timed


@timed("check the views")
def check_views(app: Flask, assembled: Registry) -> None:
    """Check that each view can be called, and that what decorates it has an effect.

    Raises `PluginError` with every mistake, or `StartupError` if one is in a view of no plugin.
    """
    found = (
        *find_missed_decorations(app),
        *find_uncallable_views(app),
        *find_hidden_annotations(app),
    )
    problems = [one.settled(assembled) for one in found]
    if any(problem.plugin is None for problem in problems):
        raise StartupError(problems)
    if problems:
        raise PluginError(*dict.fromkeys(problems))
