"""Two load drivers that send the same bytes: wrk, if it is installed, and the one of load.py."""

import json
import math
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from load import load

SCRIPT = Path(__file__).with_name("packets.lua")


@dataclass(frozen=True)
class Driven:
    """What a driver saw; times in seconds."""

    count: int
    seconds: float
    p50: float
    p99: float
    bad: int
    """Answers of another status than expected, and requests without an answer."""


def name_of_driver() -> str:
    """Return which driver is used here."""
    return "wrk" if shutil.which("wrk") else "load.py"


def drive(
    port: int, packets: list[bytes], *, status: int, seconds: float, connections: int
) -> Driven:
    """Send the packets in turn over kept connections, each its next one after its answer."""
    if name_of_driver() == "wrk":
        return _wrk(port, packets, seconds=math.ceil(seconds), connections=connections)
    seen = load(port, packets, seconds=seconds, connections=connections)
    bad = seen.count - seen.statuses[status]
    return Driven(seen.count, seen.seconds, seen.percentile(50), seen.percentile(99), bad)


def _wrk(port: int, packets: list[bytes], *, seconds: int, connections: int) -> Driven:
    with tempfile.NamedTemporaryFile() as file:
        file.writelines(b"%d\n%s" % (len(packet), packet) for packet in packets)
        file.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", str(SCRIPT)]
        done = subprocess.run(
            ["wrk", *options, f"http://127.0.0.1:{port}", "--", file.name],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        )
    found = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    return Driven(**json.loads(found.removeprefix("JSON ")))
