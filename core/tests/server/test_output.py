"""Standard output and error of a service's processes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

LONG = 20_000
"""More than the kernel is sure to write as a whole, and more than the pipe takes."""

WRITERS = f"""
import multiprocessing
import sys

from pegboard.server import output, unblock_output


def write(name):
    for number in range(40):
        size = {LONG} if number % 10 == 0 else 100
        print(f"<{{number}} {{name * size}} {{number}}>", file=sys.stderr)


output.LONGEST_END = 300  # for a busy machine
unblock_output()
fork = multiprocessing.get_context("fork")
processes = [fork.Process(target=write, args=[name]) for name in "abc"]
for process in processes:
    process.start()
write("d")
for process in processes:
    process.join()
print("e" * 500_000)
print("the end", file=sys.stderr)
"""


@pytest.mark.slow
def test_lines_of_processes_are_whole_and_in_order_and_the_last_ones_arrive():
    """However long they are, and in pipes that have no room for them when their process ends."""
    *lines, much, end = _run(WRITERS, subprocess.PIPE).splitlines()
    assert ("e" * 500_000, "the end") == (much, end)
    found: dict[str, list[int]] = {name: [] for name in "abcd"}
    for line in lines:
        match = re.fullmatch(r"<(\d+) ((\w)\3*) \1>", line)
        assert match is not None
        number, body = int(match[1]), match[2]
        assert (100 if number % 10 else LONG) == len(body)
        found[match[3]].append(number)
    assert {name: [*range(40)] for name in "abcd"} == found


FULL_DISK = """
import resource

from pegboard.logs import init_logs
from pegboard.server import unblock_output

unblock_output()
init_logs("INFO", "human", ())
ordinary = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4, ordinary[1]))
for text in ("one", "two", "six"):
    print(text)
resource.setrlimit(resource.RLIMIT_FSIZE, ordinary)
print("ten")
"""


@pytest.mark.slow
def test_a_file_that_has_taken_nothing_for_a_while_says_so(tmp_path: Path):
    """As on a full disk; here the file may not grow. Nothing else comes of the error."""
    with (tmp_path / "log").open("w+") as log:
        _run(FULL_DISK, log)
        log.seek(0)
        one, ten, told = log.read().splitlines()
    assert ("one", "ten") == (one, ten)
    assert told.endswith("lines were dropped, as nobody read them: 2")


def _run(code: str, output: IO[str] | int) -> str:
    """Run code as a process; returns what it has written to a pipe."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=300,
        pipesize=4096,  # so that long lines have no room
    )
    return done.stdout
