"""The metrics of one app: counted in memory, written once a second, read from all processes."""

import atexit
import logging
import multiprocessing.util
import platform
import threading
import weakref
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy.pool import QueuePool

import pegboard
from pegboard_observe import families
from pegboard_observe.folder import VARIABLE
from pegboard_observe.parts import PART_BUCKETS
from pegboard_observe.process import WRITERS
from pegboard_observe.series import BUCKETS, Requests
from pegboard_observe.settings import ObserveSettings
from pegboard_observe.store import Store, archive, render

logger = logging.getLogger(__name__)

EXTENSION = "pegboard_observe"

_EVERY = 1.0
"""Seconds between two writings."""

State = dict[tuple[families.Family, tuple[str, ...]], float]
"""Values by their metric and its labels."""


class Metrics:
    """What counts requests, and a thread that writes what it has counted."""

    def __init__(self, app: Flask, folder: Path) -> None:
        self._app = app
        self._folder = folder
        stage_share = pegboard.get_settings(ObserveSettings, app).stage_share
        self.requests = Requests(self._run, stage_share)
        self._lock = threading.Lock()
        self._left_out: set[str] = set()
        self._start_anew()
        pegboard.after_fork(self, Metrics._forget)

    def _start_anew(self) -> None:
        self._store = Store(self._folder)
        self._is_running = self._is_first = self._is_begun = self._is_failing = False
        self._ending = threading.Event()

    def render(self) -> bytes:
        """Return the metrics of all processes, in the text format of Prometheus."""
        for one in WRITERS.all():
            one.write()
        return render(self._folder)

    def write(self) -> None:
        """Write what has changed to the files; the log says once that it is impossible."""
        self._try(self._write_all)

    def _try(self, write: Callable[[], None]) -> None:
        with self._lock:
            try:
                write()
            except Exception as error:
                # What could not be written is still there the next time.
                self.requests.note_all_changed()
                if not self._is_failing:
                    is_bug = not isinstance(error, OSError)
                    cure = f"; free space there, or set {VARIABLE} to another folder"
                    logger.error(  # noqa: TRY400 - but for a bug, the trace says nothing
                        "the metrics of this process cannot be written, and are out of date until "
                        "they can: %s%s",
                        error,
                        "" if is_bug else cure,
                        exc_info=is_bug,
                    )
                self._is_failing = True
                return
            if self._is_failing:
                logger.info("the metrics of this process can be written again")
            self._is_failing = False

    def _write_all(self) -> None:
        self._write_begin()
        store = self._store
        for labels, counts, seconds, size in self.requests.changed():
            by_bound = dict(zip(BUCKETS, counts, strict=True))
            store.write_histogram(families.DURATION, labels, by_bound, seconds)
            store.write(families.SIZE, labels, size)
        for labels, runs, seconds in self.requests.parts.changed():
            runs_by_bound = dict(zip(PART_BUCKETS, runs, strict=True))
            store.write_histogram(families.PART, labels, runs_by_bound, seconds)
        store.write(families.IN_FLIGHT, (), self.requests.in_flight)
        for (family, labels), value in self._state().items():
            store.write(family, labels, value)

    def _run(self) -> None:
        """Begin to write, at the first request of this process."""
        with self._lock:
            if self._is_running:
                return
            self._is_running = True
            self._is_first = WRITERS.add(self)
        self._try(self._write_begin)
        # A worker of multiprocessing runs the one, any other process the other.
        multiprocessing.util.Finalize(self, _write_last, (weakref.ref(self),), exitpriority=10)
        atexit.register(_write_last, weakref.ref(self))
        threading.Thread(
            target=_write_on,
            args=(weakref.ref(self), self._folder, self._ending),
            name="observe",
            daemon=True,
        ).start()

    def _write_begin(self) -> None:
        store = self._store
        store.write(families.WORKERS, (), WRITERS.speaks(self))
        if self._is_begun:
            return
        store.write(families.BUILD, (version("pegboard"), platform.python_version()), 1)
        for plugin in pegboard.get_registry(self._app).plugins:
            found = plugin.distribution
            told = "unknown" if found is None else found.version
            store.write(families.PLUGIN, (plugin.name, told), 1)
        if self._is_first:
            store.write(families.STARTS, (), 1)
        self._is_begun = True

    def _state(self) -> State:
        state: State = {}
        pool = self._pool()
        if isinstance(pool, QueuePool):
            state[families.POOL_SIZE, ()] = pool.size()
            state[families.POOL_USED, ()] = pool.checkedout()
        health = pegboard.get_health(self._app)
        for of, read in health.details.items():
            try:
                state |= self._stats_of(of, read())
            except (Exception, SystemExit) as error:  # noqa: BLE001 - one plugin's takes no other's
                self._leave_out(f"the stats of {of}", f"{type(error).__name__}: {error}")
        return state

    def _stats_of(self, of: str, stats: Mapping[str, Any]) -> State:
        state: State = {}
        shared = pegboard.get_health(self._app).shared.get(of, ())
        for name, value in stats.items():
            if isinstance(value, Mapping):
                for kind, count in value.items():
                    if isinstance(count, int | float):
                        state[families.EVENTS, (of, str(name), str(kind))] = float(count)
                    else:
                        what = f"it is no number, but a {type(count).__name__}"
                        self._leave_out(f"{name}.{kind} of {of}", what)
            elif isinstance(value, int | float):
                family = families.family_of(of, str(name), is_shared=name in shared)
                state[family] = float(value)
        return state

    def _leave_out(self, what: str, why: str) -> None:
        """Log once that something cannot be told."""
        if what not in self._left_out:
            self._left_out.add(what)
            logger.warning("the metrics leave out %s: %s", what, why)

    def _pool(self) -> Any:
        with self._app.app_context():
            return pegboard.db.engine.pool

    def _forget(self) -> None:
        """Start anew in a forked process, which has no thread and must not write the same files."""
        self.requests.reset()
        self._lock = threading.Lock()
        self._start_anew()


def _write_on(metrics: "weakref.ref[Metrics]", folder: Path, ending: threading.Event) -> None:
    # What others have left would fill the folder where nobody asks for the metrics.
    try:
        archive(folder)
    except OSError:
        pass  # the log tells of what cannot be written
    except Exception as error:  # noqa: BLE001 - a file that was cut can be wrong in any way
        logger.warning("what processes that have ended have counted cannot be read: %s", error)
    while not ending.wait(_EVERY):
        one = metrics()
        if one is None:
            return
        one.write()
        del one


def _write_last(metrics: "weakref.ref[Metrics]") -> None:
    one = metrics()
    if one is not None:
        one.write()
