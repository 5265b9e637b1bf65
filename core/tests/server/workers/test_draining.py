"""How a worker minds its connections; `tests/test_serve.py` has it do so in a real service."""

import asyncio
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from pegboard.server import Address
from pegboard.server.workers import draining

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tell")


@on_linux
@pytest.mark.parametrize("ends", ["the client", "the time"])
async def test_a_drain_ends_with_the_last_connection_or_in_time(listener, monkeypatch, ends: str):
    """Nobody new is let in meanwhile, and answers say that their connections end."""
    monkeypatch.setattr(draining, "DRAINING_TIME", 3600.0 if ends == "the client" else 0.1)
    address = listener.getsockname()
    worker = SimpleNamespace(is_draining=False)
    client = socket.create_connection(address)
    accepted, _ = listener.accept()
    with client, accepted:
        task = asyncio.create_task(draining.drain(worker, Address(*address)))
        await asyncio.sleep(0)
        assert worker.is_draining
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.05)
        assert not task.done()
        if ends == "the client":
            client.close()
            accepted.close()
        await task


# A process of its own: the signals are real, and whether there is uvloop is decided at its import.
PROGRAM = """
import asyncio, os, signal, sys
if "without uvloop" in sys.argv:
    sys.modules["uvloop"] = None
from pegboard.server.workers.draining import DrainingLoop

loop = DrainingLoop()
print(type(loop).__mro__[1].__module__.partition(".")[0])
stopped = loop.create_future()

def stop(number, frame):
    print("stop", signal.Signals(number).name, frame)
    stopped.set_result(None)

async def drain():
    print("drain")
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
    if "failing" in sys.argv:
        raise RuntimeError("a bug")
    print("drained")

for number in (signal.SIGINT, signal.SIGTERM):
    loop.add_signal_handler(number, stop, number, None)
if "draining" in sys.argv:
    loop.drain = drain

async def main():
    os.kill(os.getpid(), signal.SIGTERM)
    await stopped
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.01)

loop.run_until_complete(main())
print("end")
"""

BASES = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


@pytest.fixture(params=BASES)
def stopping(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    """Run the program, and return what it printed."""

    def run(*words: str) -> list[str]:
        words += () if request.param == "uvloop" else ("without uvloop",)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        base, *lines = done.stdout.splitlines()
        assert request.param == base
        return lines

    return run


@pytest.mark.slow
def test_a_loop_drains_before_it_stops(stopping: Callable[..., list[str]]):
    """Once, for however many signals, and does what is to be done at the first of them, once."""
    assert ["drain", "drained", "stop SIGTERM None", "end"] == stopping("draining")


@pytest.mark.slow
def test_a_loop_stops_also_if_draining_fails(stopping: Callable[..., list[str]]):
    """Nothing keeps a process from its end."""
    assert ["drain", "stop SIGTERM None", "end"] == stopping("draining", "failing")


@pytest.mark.slow
def test_a_loop_that_has_nothing_to_drain_stops(stopping: Callable[..., list[str]]):
    """As before it serves."""
    assert ["stop SIGTERM None", "end"] == stopping()
