"""The worst requests while Redis hangs: SIGSTOP for a while, under a steady load of reads.

python benchmarks/redis_suspended.py [--rate 50] [--seconds 30] [--workers 2]
"""

import argparse
import json
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from pegboard.testing.servers import PostgresServer, RedisServer
from pegboard.testing.services import LiveServer, run_pegboard

ITEMS = "/api/items/"
CALM = 5.0
"""Seconds of load before and after."""

THREADS = 16


@dataclass(frozen=True)
class Sample:
    """One request."""

    due: float
    took: float
    """Seconds from when it was due: what it waited for a free client counts."""
    status: int
    how: str


class Load:
    """Requests at a steady rate, whatever becomes of the earlier ones."""

    def __init__(self, port: int, rate: float) -> None:
        self.samples: list[Sample] = []
        self._port = port
        self._rate = rate
        self._due: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    def run(self, seconds: float) -> None:
        """Send requests for so long."""
        threads = [threading.Thread(target=self._send) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        for number in range(int(seconds * self._rate)):
            due = began + number / self._rate
            time.sleep(max(0.0, due - time.monotonic()))
            self._due.put(due)
        for _ in threads:
            self._due.put(None)
        for thread in threads:
            thread.join()

    def _send(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            while (due := self._due.get()) is not None:
                connection.request("GET", f"{ITEMS}{1 + int(due * 1e6) % 10}")
                response = connection.getresponse()
                response.read()
                how = response.headers["Cache-Status"]
                self.samples.append(Sample(due, time.monotonic() - due, response.status, how))


def report(name: str, samples: Sequence[Sample]) -> None:
    """Print what became of the requests of one phase."""
    times = sorted(1000 * sample.took for sample in samples)
    cuts = statistics.quantiles(times, n=100)
    failed = sum(sample.status != 200 for sample in samples)  # noqa: PLR2004
    hits = sum("hit" in sample.how for sample in samples)
    slow = sum(took > 40 for took in times)  # noqa: PLR2004
    print(
        f"{name:8} {len(times):5} requests, {failed} failed, {hits} hits; median {cuts[49]:.1f}, "
        f"p99 {cuts[98]:.1f}, worst {times[-1]:.1f} ms; {slow} took more than 40 ms"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--workers", default="2")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(PostgresServer())
        redis = stack.enter_context(RedisServer())
        settings = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "PEGBOARD_PLUGINS": "items,cache_redis",
            "PEGBOARD_CACHE_STATUS_HEADER": "true",
            "PEGBOARD_LOG_LEVEL": "WARNING",
            "WORKERS": options.workers,
        }
        run_pegboard("db", "upgrade", directory=directory, **settings)
        service = stack.enter_context(LiveServer(**settings))
        for number in range(10):
            service.request("POST", ITEMS, {"name": json.dumps(number)})
        load = Load(service.port, options.rate)
        loading = threading.Thread(target=load.run, args=(options.seconds + 2 * CALM,))
        loading.start()
        time.sleep(CALM)
        stopped = time.monotonic()
        with redis.suspended():
            time.sleep(options.seconds)
        resumed = time.monotonic()
        loading.join()
        samples = load.samples
        report("before", [one for one in samples if one.due < stopped])
        report("during", [one for one in samples if stopped <= one.due < resumed])
        report("after", [one for one in samples if resumed <= one.due])
        back = min(one.due for one in samples if one.due >= resumed and "hit" in one.how)
        print(f"the first hit came {back - resumed:.1f} s after Redis went on")
        print(service.output[-3000:])


if __name__ == "__main__":
    main()
