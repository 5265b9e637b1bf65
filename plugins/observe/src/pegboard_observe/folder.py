"""The folder that all processes of a service share: its name is in their environment."""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

_MEMORY = "/dev/shm"  # noqa: S108 - the folder in it has a name that nobody can guess

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""As prometheus_client names it, so that metrics of other plugins are in the same folder."""


def name_folder() -> None:
    """Name a folder, unless a parent process has done so; it is made when it is needed.

    A service calls it before its workers fork. The process that has named the folder removes it.
    """
    if os.environ.get(VARIABLE):
        return
    # In memory where that can be: a container's file system may be read-only.
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else tempfile.gettempdir()
    folder = Path(parent, f"pegboard-observe-{os.getpid()}-{secrets.token_hex(8)}")
    os.environ[VARIABLE] = str(folder)
    atexit.register(_remove, folder, os.getpid())


def folder() -> Path:
    """Return the folder, which has a name from now on at the latest."""
    name_folder()
    return Path(os.environ[VARIABLE])


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
