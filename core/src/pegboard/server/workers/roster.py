"""The workers of a service, in memory that all its processes share."""

import ctypes
import mmap
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pegboard.logs import LEVELS, set_level
from pegboard.server.workers.pulse import STILL, Phase, Pulse, Vitals

TOGGLE = signal.SIGUSR2
"""The signal at which the main process has all log from DEBUG on, and at the next as configured.

At it a worker looks for the level that the roster has.
"""

_SPARE = 2
"""How many more than `WORKERS` there are at once, as while one is replaced."""


@dataclass(frozen=True)
class WorkerState:
    """What is known of one worker."""

    number: int
    """1 to `WORKERS`; the one that replaces another has its number."""
    pid: int
    state: str
    """`starting`, `serving`, `still` or `leaving`."""
    age_seconds: float
    requests: int
    """How many it has taken."""
    memory_bytes: int
    """Its resident memory; 0 if it has just ended."""
    still_seconds: float
    """For how long it has not moved, as far as the main process has seen."""
    log_level: str | None
    """From which level on it logs, if not as configured."""


class _Head(ctypes.Structure):
    """What is shared beside the pulses of the workers; times are by `time.monotonic`."""

    supervised_at: float
    served_at: float
    is_stopping: int
    log_level: int
    """An index of `LEVELS`."""
    _fields_ = (
        ("supervised_at", ctypes.c_double),
        ("served_at", ctypes.c_double),
        ("is_stopping", ctypes.c_uint64),
        ("log_level", ctypes.c_uint64),
    )


class Roster:
    """The workers, and what all processes are told; made before any of them forks."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        """How many there should be."""
        all_fields = Vitals * (workers + _SPARE)
        size = ctypes.sizeof(_Head)
        memory = mmap.mmap(-1, size + ctypes.sizeof(all_fields))
        self._head = _Head.from_buffer(memory)
        self._pulses = [Pulse(vitals) for vitals in all_fields.from_buffer(memory, size)]
        self.tell_alive(is_served=True)

    def close(self) -> None:
        """Close the files of the stacks."""
        for pulse in self._pulses:
            pulse.close()

    def take(self, number: int) -> Pulse:
        """Return a pulse for a worker that is about to start."""
        pulse = next(one for one in self._pulses if not one.vitals.number)
        pulse.take(number)
        return pulse

    def has_predecessor(self, pulse: Pulse) -> bool:
        """Return whether there is another worker, which stays, whose place one is to take."""
        number = pulse.vitals.number
        others = (one.vitals for one in self._pulses if one is not pulse)
        return any(one.number == number and one.phase == Phase.STAYS for one in others)

    def tell_alive(self, *, is_served: bool) -> None:
        """Tell that the main process moves, and whether a worker serves; called every second."""
        self._head.supervised_at = now = time.monotonic()
        if is_served:
            self._head.served_at = now

    @property
    def unsupervised_seconds(self) -> float:
        """For how long the main process has not moved."""
        return time.monotonic() - self._head.supervised_at

    @property
    def unserved_seconds(self) -> float:
        """For how long no worker has served."""
        return time.monotonic() - self._head.served_at

    @property
    def is_stopping(self) -> bool:
        """Whether the service is about to stop."""
        return bool(self._head.is_stopping)

    def tell_stopping(self) -> None:
        """Tell all processes that the service is about to stop."""
        self._head.is_stopping = 1

    @property
    def log_level(self) -> str | None:
        """From which level on all processes should log; None is as configured."""
        return LEVELS[self._head.log_level] or None

    @log_level.setter
    def log_level(self, level: str | None) -> None:
        self._head.log_level = LEVELS.index(level or "")

    def notify(self) -> None:
        """Have the workers that serve look for the level now."""
        for vitals in (pulse.vitals for pulse in self._pulses):
            if vitals.beats:
                with suppress(ProcessLookupError):
                    os.kill(vitals.pid, TOGGLE)

    def states(self) -> list[WorkerState]:
        """Return what is known of the workers that run."""
        running = [one.vitals for one in self._pulses if one.vitals.pid]
        memory = memory_of([one.pid for one in running])
        states = (_state_of(one, memory, is_stopping=self.is_stopping) for one in running)
        return sorted(states, key=lambda one: one.number)

    def stacks(self) -> list[tuple[int, int, str]]:
        """Return number, process id and stacks of each worker that runs."""
        numbered = ((one.vitals.number, one.vitals.pid, one) for one in self._pulses)
        running = sorted(one for one in numbered if one[1])
        return [(number, pid, pulse.stacks()) for number, pid, pulse in running]


class LevelFollower:
    """Has a process log from the level on that all are told."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self.level: str | None = None
        """From which level on this process logs, if not as configured."""

    def follow(self) -> None:
        """Take over the level; called every second, and at a signal."""
        if (level := self._roster.log_level) != self.level:
            self.level = level
            set_level(level)


def _state_of(vitals: Vitals, memory: dict[int, int], *, is_stopping: bool) -> WorkerState:
    still = vitals.still_seconds
    if still >= STILL:
        state = "still"
    elif vitals.phase or is_stopping:
        state = "leaving"
    else:
        state = "serving" if vitals.beats else "starting"
    return WorkerState(
        number=vitals.number,
        pid=vitals.pid,
        state=state,
        age_seconds=round(time.monotonic() - vitals.born, 3),
        requests=vitals.requests,
        memory_bytes=memory.get(vitals.pid, 0),
        still_seconds=still,
        log_level=LEVELS[vitals.level] or None,
    )


def memory_of(pids: Iterable[int]) -> dict[int, int]:
    """Return the resident memory of processes, in bytes; without those that have ended."""
    from granian._granian import ProcInfoCollector  # noqa: PLC0415 - it takes 4 MB

    found: dict[int, int] = {}
    collector: Any = ProcInfoCollector()  # the type of its answers is declared wrongly
    for pid in pids:
        with suppress(RuntimeError):
            found |= collector.memory([pid])
    return found
