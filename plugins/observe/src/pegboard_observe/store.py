"""The files in which the processes of a service keep what they count, in prometheus_client's form.

Each app of each process writes its own, and whoever is asked for the metrics reads all of them. A
process holds a lock as long as it lives; what a dead one has counted is added to an archive, so
that no counter ever goes back and the number of files stays bounded.
"""

import fcntl
import logging
import secrets
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from pegboard_observe.allocation import AllocatedFile
from pegboard_observe.families import Family, Kind

logger = logging.getLogger(__name__)

_ARCHIVE = "archive"
_KEPT = (Kind.HISTOGRAM, Kind.COUNTER)
"""What is still told of a process that has ended."""

# prometheus_client has no types for these.
_read: Callable[[str], Iterable[tuple[str, float, float, int]]]
_read = MmapedDict.read_all_values_from_file
_collector_of: Callable[[None, str], MultiProcessCollector] = MultiProcessCollector
_spell: Callable[[float], str] = floatToGoString


class Store:
    """The files of one app in this process; they are made when something is first written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_hex(8)
        self._files: dict[Kind, AllocatedFile] = {}
        self._alive: list[BinaryIO] = []
        """The file whose lock says that this process has the others."""
        self._keys: dict[tuple[Family, str, tuple[str, ...]], str] = {}

    def write(self, family: Family, labels: tuple[str, ...], value: float) -> None:
        """Set a counter or a gauge. Raises `OSError` if there is no space for it."""
        self._set(family, family.sample, family.labels, labels, value)

    def write_histogram(
        self, family: Family, labels: tuple[str, ...], counts: Mapping[float, float], total: float
    ) -> None:
        """Set a histogram: how many are in each class, by its upper bound, and their sum.

        Raises `OSError` if there is no space for it.
        """
        self._set(family, f"{family.name}_sum", family.labels, labels, total)
        names = (*family.labels, "le")
        for bound, count in counts.items():
            values = (*labels, _spell(bound))
            self._set(family, f"{family.name}_bucket", names, values, count)

    def _set(
        self,
        family: Family,
        sample: str,
        names: tuple[str, ...],
        labels: tuple[str, ...],
        value: float,
    ) -> None:
        known = family, sample, labels
        key = self._keys.get(known)
        if key is None:
            key = mmap_key(family.name, sample, [*names], [*labels], family.text)
            self._keys[known] = key
        self._file(family.kind).write(key, value)

    def _file(self, kind: Kind) -> AllocatedFile:
        if not self._alive:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._alive.append((self._folder / f"{self._token}.alive").open("wb"))
            fcntl.flock(self._alive[0], fcntl.LOCK_EX)
            # When the app is gone: without the lock what the files have is archived.
            weakref.finalize(self, _close, self._files, self._alive).atexit = False
        if kind not in self._files:
            self._files[kind] = AllocatedFile(self._folder / f"{kind}_{self._token}.db")
        return self._files[kind]


def _close(files: Mapping[Kind, AllocatedFile], alive: list[BinaryIO]) -> None:
    for file in files.values():
        file.close()
    for lock in alive:
        lock.close()


def render(folder: Path) -> bytes:
    """Return all metrics of the processes whose files are there, in the text format."""
    if not folder.is_dir():
        return b""
    registry = CollectorRegistry()
    registry.register(_collector_of(None, str(folder)))
    with _locked(folder):
        _archive_dead(folder)
        return generate_latest(registry)


def archive(folder: Path) -> None:
    """Add what processes that have ended have counted to the archive. Raises `OSError`."""
    with _locked(folder):
        _archive_dead(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # To close it would not do: a process that was forked meanwhile has it open as well.
            fcntl.flock(lock, fcntl.LOCK_UN)


def _archive_dead(folder: Path) -> None:
    for path in folder.glob("*.alive"):
        with path.open("rb") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its process lives
        kept = [folder / f"{kind}_{path.stem}.db" for kind in _KEPT]
        for rest in {*folder.glob(f"*_{path.stem}.*")}.difference(kept):
            rest.unlink(missing_ok=True)
        try:
            for kind, dead in zip(_KEPT, kept, strict=True):
                _add(folder, kind, dead)
        except OSError as error:  # what it has counted is read from its own files until then
            logger.debug("a process that has ended cannot be archived: %s", error)
            continue
        path.unlink(missing_ok=True)


def _add(folder: Path, kind: Kind, dead: Path) -> None:
    """Add a file of a process that has ended to the archive, which is replaced as a whole."""
    archive = folder / f"{kind}_{_ARCHIVE}.db"
    totals: dict[str, float] = {}
    for path in (archive, dead):
        with suppress(FileNotFoundError):
            for key, value, _, _ in _read(str(path)):
                totals[key] = totals.get(key, 0.0) + value
    if not totals:
        return
    new = archive.with_suffix(".all")
    written = AllocatedFile(new)
    try:
        for key, value in totals.items():
            written.write(key, value)
    except OSError:
        new.unlink()
        raise
    finally:
        written.close()
    # Before the file is gone: after a crash in between it would count twice, else not at all.
    new.replace(archive)
    dead.unlink(missing_ok=True)
