"""Plugins in wheels that are not installed."""

import importlib
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pegboard.plugins.discovery import Candidate, installed_plugins

_UNREADABLE = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,  # a compression that `zipfile` lacks
    RuntimeError,  # a password
)


class WheelError(Exception):
    """Raised when a file is no wheel of the plugin that is looked for."""


@contextmanager
def plugin_in_wheel(file: Path, name: str) -> Iterator[Candidate]:
    """Have the plugin of a wheel on the import path, before what is installed, and yield it.

    The wheel is unpacked into a temporary folder, and nothing of it is imported yet. Raises
    `WheelError` for a file that is broken or has no such plugin.
    """
    with TemporaryDirectory(prefix="pegboard-") as folder:
        try:
            with zipfile.ZipFile(file) as wheel:
                wheel.extractall(folder)
        except _UNREADABLE as error:
            message = f"{file.name} is no wheel that can be read: {error}"
            raise WheelError(message) from error
        found = installed_plugins(Path(folder))
        candidate = next((one for one in found if one.name == name), None)
        if candidate is None:
            names = ", ".join(one.name for one in found) or "none"
            message = f"{file.name} has no plugin {name}; plugins that it has: {names}"
            raise WheelError(message)
        if candidate.fault is not None:
            message = f"{file.name} is broken: {candidate.fault}"
            raise WheelError(message)
        _forget(candidate.package)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        try:
            yield candidate
        finally:
            sys.path.remove(folder)
            _forget(candidate.package)


def _forget(package: str) -> None:
    """Let a package be imported anew: of a broken plugin, parts of what is installed are there."""
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        del sys.modules[module]
