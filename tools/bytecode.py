"""Share among environments what Python compiles of installed packages.

Each environment would compile the same files anew, for some eight seconds of CPU time. Python
itself checks that a compiled file is that of the source beside it, by the source's time and size:
uv links one file into all environments. Where it has to copy, nothing is gained and nothing lost.
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Beside the environments, and so on their file system.
SHARED = Path(sys.prefix).parent / "bytecode" / str(sys.implementation.cache_tag)
INSTALLED = Path(sysconfig.get_path("purelib"))


def take() -> None:
    """Link the shared files into this environment, where their packages are."""
    for name in _names(SHARED):
        place = INSTALLED / name
        # A folder of nothing but compiled files could be imported, as a namespace.
        if place.parent.parent.is_dir() and not place.exists():
            _link(SHARED / name, place)


def give() -> None:
    """Share the files of this environment, also in place of those of other versions."""
    for name in _names(INSTALLED):
        shared = SHARED / name
        if not (shared.exists() and shared.samefile(INSTALLED / name)):
            _link(INSTALLED / name, shared)


def _names(folder: Path) -> Iterator[Path]:
    """Yield compiled files, but for those of our own distributions: these change between runs."""
    for path in folder.rglob("__pycache__/*.pyc"):
        name = path.relative_to(folder)
        if "pegboard" not in str(name):
            yield name


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")  # others may link it, too
    os.link(source, unfinished)
    unfinished.replace(target)
