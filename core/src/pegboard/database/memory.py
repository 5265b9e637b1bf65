"""Databases in memory, for which a temporary file stands in.

SQLite gives a database in memory one connection, whose transaction all threads would share. In a
file each connection has transactions of its own.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL


class TemporaryFile:
    """A file that is removed with the last engine it stands in for, or when the process ends."""

    def __init__(self) -> None:
        directory = tempfile.mkdtemp(prefix="pegboard-")
        self.path = Path(directory, "memory.db")
        weakref.finalize(self, _remove, directory, os.getpid())


_of_engines: "weakref.WeakKeyDictionary[Engine, TemporaryFile]" = weakref.WeakKeyDictionary()
_shared: "weakref.WeakValueDictionary[str, TemporaryFile]" = weakref.WeakValueDictionary()


def stand_in(url: URL) -> TemporaryFile:
    """Return a file for a database in memory, with `cache=shared` that of the database's name."""
    if url.query.get("cache") != "shared":
        return TemporaryFile()
    return _shared.setdefault(str(url.database), TemporaryFile())


def file_url(url: URL, file: TemporaryFile) -> URL:
    """Return the URL of the file, with those options of `url` that it can have."""
    return url.set(database=str(file.path)).difference_update_query(["cache", "mode", "uri"])


def keep(file: TemporaryFile, engine: Engine, url: URL) -> None:
    """Keep the file as long as the engine, which tells the URL that it was meant to have."""
    _of_engines[engine] = file
    engine.url = url


def _remove(directory: str, process: int) -> None:
    if process == os.getpid():  # a forked process uses the file of its parent
        shutil.rmtree(directory, ignore_errors=True)
