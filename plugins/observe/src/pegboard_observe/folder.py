"""The folder that all processes of a service share."""

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

_OWN = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
"""The name of the folder if the operator gives none.

Workers have it from the process that has imported this module, of which they are forks.
"""


def folder() -> Path:
    """Return the folder, which is made when it is needed; those of dead services are removed."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    parent = _parent()
    _remove_dead(parent)
    return parent / _OWN


def _parent() -> Path:
    # In memory where that can be: a container's file system may be read-only.
    return Path(_MEMORY if os.access(_MEMORY, os.W_OK) else tempfile.gettempdir())


def _remove_dead(parent: Path) -> None:
    """Remove the folders of services that were killed, and so could not do it.

    Memory would be full of them at last. A container may share it with processes that have other
    ids there; so no process may hold the lock of a file in the folder, either.
    """
    for found in parent.glob(f"{_PREFIX}*-*"):
        pid = found.name.removeprefix(_PREFIX).partition("-")[0]
        if found.name == _OWN:
            continue
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


def _remove_own(pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(_parent() / _OWN, ignore_errors=True)


atexit.register(_remove_own, os.getpid())
