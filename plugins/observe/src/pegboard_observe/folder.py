"""The folder that all processes of a service share: its name is in their environment."""

import atexit
import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

_MEMORY = "/dev/shm"  # noqa: S108 - the folder in it has a name that nobody can guess

_PREFIX = "pegboard-observe-"

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
    _remove_dead(Path(parent))
    folder = Path(parent, f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}")
    os.environ[VARIABLE] = str(folder)
    atexit.register(_remove, folder, os.getpid())


def folder() -> Path:
    """Return the folder, which has a name from now on at the latest."""
    name_folder()
    return Path(os.environ[VARIABLE])


def _remove_dead(parent: Path) -> None:
    """Remove the folders of services that were killed, and so could not do it.

    Memory would be full of them at last. A container may share it with processes that have other
    ids there; so no process may hold the lock of a file in the folder, either.
    """
    for found in parent.glob(f"{_PREFIX}*-*"):
        pid = found.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            is_own = found.stat(follow_symlinks=False).st_uid == os.geteuid()
            if is_own and pid.isdigit() and not _lives(int(pid)) and not _is_used(found):
                shutil.rmtree(found, ignore_errors=True)
        except OSError:
            continue  # another process has removed it


def _lives(pid: int) -> bool:
    if pid == os.getpid():
        return False  # it was that of another process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_used(folder: Path) -> bool:
    for path in folder.glob("*.alive"):
        with path.open("rb") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
    return False


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
