"""Building as much of a service as can be built."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from flask import Flask

from pegboard.app import create_app, disconnect
from pegboard.logs import no_warnings, not_logged
from pegboard.plugins import (
    Candidate,
    Skipped,
    find_exclusion,
    get_registry,
    installed_plugins,
)
from pegboard.problems import StartupError
from pegboard.settings import configure, with_options

_SKIP_ALL = {"PLUGINS_POLICY": {"*": "skip"}}


@dataclass(frozen=True)
class Partial:
    """An app in place of one that cannot be built."""

    app: Flask
    note: str
    """How it differs from the service, as a sentence."""
    has_settings: bool
    """Whether it has the settings of the service, and so its database."""


class Substitute:
    """Builds an app in place of one that cannot be built, when it is first asked for."""

    def __init__(self, build: Callable[[], Flask]) -> None:
        """Take what builds the app of the service."""
        self._build = build
        self._is_tried = False
        self._built: Partial | None = None

    def get(self) -> Partial | None:
        """Return an app with as much of the service as can be built; None without any."""
        if not self._is_tried:
            self._is_tried = True
            self._built = _build_partial(self._build)
        return self._built

    def disconnect(self) -> None:
        """Close the connections of what was built."""
        if self._built is not None:
            disconnect(self._built.app)


def allowed_plugins() -> list[Candidate]:
    """Return the installed plugins that the settings allow."""
    core = configure().core
    return [one for one in installed_plugins() if find_exclusion(one, core) is None]


def _build_partial(build: Callable[[], Flask]) -> Partial | None:
    """Build the app without the plugins that fail, else with the settings of tests."""
    allowed = [one.name for one in allowed_plugins()]
    with with_options(_SKIP_ALL), not_logged(Skipped), no_warnings():
        for attempt in (build, partial(create_app, plugins=allowed)):
            with suppress(StartupError):
                app = attempt()
                return Partial(app, _note_on(app), has_settings=True)
        with suppress(StartupError):
            app = create_app("testing", plugins=allowed)
            note = "The service cannot start with its settings; this is it with the defaults."
            return Partial(app, note, has_settings=False)
    return None


def _note_on(app: Flask) -> str:
    names = ", ".join(sorted({one.plugin or "" for one in get_registry(app).skipped}))
    without = f" without {names}" if names else ""
    return f"The service cannot start; this is what could be built{without}."
