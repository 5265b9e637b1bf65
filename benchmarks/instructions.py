"""Counts by `perf` the instructions of processes, which a busy machine hardly changes."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

EVENT = "instructions:u"
"""Those of the processes themselves, without the kernel's."""


@dataclass
class Counted:
    """What was counted, once it has ended."""

    count: int | None = None
    """None where that cannot be counted: there is no `perf`, or the machine has no such counter."""


@contextmanager
def counted(pids: Sequence[int], event: str = EVENT) -> Iterator[Counted]:
    """Count an event in these processes and their threads while the block runs."""
    found = Counted()
    perf = shutil.which("perf")
    if perf is None:
        yield found
        return
    command = [perf, "stat", "-x", ",", "-e", event, "-p", ",".join(map(str, pids))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield found
        finally:
            process.send_signal(signal.SIGINT)
            _, told = process.communicate()
    for line in told.splitlines():
        count, _, name, *_ = [*line.split(","), "", ""]
        if name == event and count.replace(".", "", 1).isdigit():
            found.count = int(float(count))
