"""Runs one server process, and stops it when the test session ends, even by a kill.

It is a process and a session of its own: `python guard.py '<JSON of a Plan>'`. For each line on its
standard input it starts the server and prints the process id. At the end of its input, which comes
even when the test session is killed, it stops the server and removes its files.
"""

import json
import shutil
import signal
import subprocess
import sys
from typing import TypedDict

STOP_TIMEOUT = 10.0
"""Seconds that a server has to stop before it is killed."""


class Plan(TypedDict):
    """What to start, how to stop it, and what to remove afterwards."""

    command: list[str]
    environment: dict[str, str]
    directory: str
    log: str
    user: int | None
    group: int | None
    stop_signal: int


def start(plan: Plan) -> "subprocess.Popen[bytes]":
    """Start the server with its output appended to the log."""
    with open(plan["log"], "ab") as log:  # noqa: PTH123 - pathlib would double the start-up time
        return subprocess.Popen(
            plan["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=plan["directory"],
            env=plan["environment"],
            user=plan["user"],
            group=plan["group"],
            extra_groups=None if plan["group"] is None else [],
            start_new_session=True,
        )


def stop(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Stop the server by the signal `number`, and kill it if that fails; it may be suspended."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGCONT)
    process.send_signal(number)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(argument: str) -> None:
    """Start the server for each line of the input, and stop it at the end."""
    plan: Plan = json.loads(argument)
    process = None
    for _ in sys.stdin:
        if process:
            stop(process, plan["stop_signal"])
        process = start(plan)
        print(process.pid, flush=True)  # noqa: T201 - the answer to the session
    if process:
        stop(process, plan["stop_signal"])
    shutil.rmtree(plan["directory"], ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])
