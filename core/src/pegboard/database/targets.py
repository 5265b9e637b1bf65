"""Connecting to the first of several servers that answers, within one limit of time.

libpq counts its `connect_timeout` anew for every host and every address of a host, in whole seconds
and two at least. So the first host would use up the time of all when it does not answer.
"""

import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Generic, TypeVar

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from pegboard.database.connection import TargetedConnection
from pegboard.redaction import redact

Target = Mapping[str, str]
"""Parameters of libpq that name one server; empty for what libpq finds by other ways."""

C = TypeVar("C", bound=TargetedConnection)

_PSYCOPG2_PARAMETERS = ("dsn", "connection_factory", "cursor_factory", "async", "async_")
_DEFAULT_PORT = "5432"
_CHOICES = frozenset({"connect_timeout", "load_balance_hosts", "sslmode", "target_session_attrs"})
"""Parameters that have values which messages may repeat."""


class SilentError(psycopg2.OperationalError):
    """Raised when no server has answered in time."""


def parameters_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq's parameters in the arguments of `psycopg2.connect`."""
    dsn = args[0] if args else kwargs.get("dsn")
    given = {name: value for name, value in kwargs.items() if name not in _PSYCOPG2_PARAMETERS}
    try:
        return {name: str(value) for name, value in parse_dsn(make_dsn(dsn, **given)).items()}
    except psycopg2.Error as error:
        raise _redacted(error, given) from None


def targets_of(parameters: Mapping[str, str]) -> list[Target]:
    """Return the servers that the parameters name, in the order in which libpq tries them.

    Of several, only one that accepts writes is used, unless `target_session_attrs` is given.
    """

    def listed(name: str, variable: str) -> list[str]:
        return (parameters.get(name) or os.environ.get(variable, "")).split(",")

    hosts, addresses = listed("host", "PGHOST"), listed("hostaddr", "PGHOSTADDR")
    ports = listed("port", "PGPORT")
    count = max(len(hosts), len(addresses))
    if len(ports) == 1:
        ports *= count
    if len(hosts) < count:
        hosts = [""] * count
    if len(addresses) < count:
        addresses = [""] * count
    if len(ports) != count:
        message = f"{len(ports)} ports for {count} hosts of the database"
        raise psycopg2.OperationalError(message)
    keys = ("host", "hostaddr", "port")
    found: list[Target] = [
        # An empty text replaces a list: libpq counts the entries of each list.
        {key: value for key, value in zip(keys, one, strict=True) if value or key in parameters}
        for one in zip(hosts, addresses, ports, strict=True)
    ]
    if _is_balanced(parameters):
        random.shuffle(found)
    wanted = wanted_session(parameters)
    kinds = {"prefer-standby": ["standby", "any"], "": ["read-write"] if count > 1 else []}
    return [
        {**target, "target_session_attrs": kind}
        for kind in kinds.get(wanted, [])
        for target in found
    ] or found


def wanted_session(parameters: Mapping[str, str]) -> str:
    """Return the value of `target_session_attrs`; empty if it is not given."""
    given = parameters.get("target_session_attrs")
    return given or os.environ.get("PGTARGETSESSIONATTRS", "")


def connect_in_time(
    connect: Callable[[Target], C],
    targets: Sequence[Target],
    parameters: Mapping[str, str],
    limit: float,
) -> tuple[C, bool]:
    """Connect to one server after the other, in `limit` seconds altogether.

    `connect` is given a target; the parameters that all targets share are its own.
    The time that is left is divided among the targets that are left. A server that is silent for
    its share may still answer while the next ones are tried. Returns the connection, and whether a
    server before it was silent. Raises `SilentError`, or `psycopg2.Error` when all have refused.
    """
    race = _Race(connect, targets, parameters, limit)
    try:
        return race.run(), race.was_silent
    finally:
        race.stop()


class _Race(Generic[C]):
    """Attempts to connect to several servers, of which the first one that succeeds is taken."""

    def __init__(
        self,
        connect: Callable[[Target], C],
        targets: Sequence[Target],
        parameters: Mapping[str, str],
        limit: float,
    ) -> None:
        self._connect = connect
        self._parameters = parameters
        self._deadline = time.monotonic() + limit
        self._waiting = deque(targets)
        self._running: set[Future[C | list[Target]]] = set()
        self._failures: dict[str, Exception] = {}
        """Why attempts have failed, each reason once."""
        self.was_silent = False
        """Whether a server was silent for its share of the time."""

    def run(self) -> C:
        """Return the first connection. Raises as `connect_in_time`."""
        while self._waiting or self._running:
            if self._waiting:
                target = self._waiting.popleft()
                self._running.add(_start(self._connect, target, self._parameters))
            ended = self._wait()
            connection = self._connection_of(ended)
            if connection is not None:
                return connection
            self.was_silent |= not ended
            if not ended and not self._waiting:
                message = "the database server does not answer"
                raise SilentError(message)
        raise self._failure()

    def stop(self) -> None:
        """Have the connections closed that are not taken, also those that come later."""
        for attempt in self._running:
            if not attempt.cancel():
                attempt.add_done_callback(_close)

    def _wait(self) -> "set[Future[C | list[Target]]]":
        """Return the attempts that end within the share of the time of one target."""
        share = max(self._deadline - time.monotonic(), 0) / (len(self._waiting) + 1)
        ended, self._running = wait(self._running, share, FIRST_COMPLETED)
        return ended

    def _connection_of(self, ended: "set[Future[C | list[Target]]]") -> C | None:
        """Return the connection of one of the attempts, and note what the others have found."""
        connection: C | None = None
        for attempt in ended:
            try:
                found = attempt.result()
            except Exception as error:  # noqa: BLE001 - whatever it is, another may answer
                self._failures[str(error)] = error
                continue
            if isinstance(found, list):
                self._waiting.extendleft(reversed(found))
            elif connection is None:
                connection = found
            else:
                self._running.add(attempt)  # to be closed by `stop`
        return connection

    def _failure(self) -> Exception:
        """Return the error that all attempts share, else one with all reasons."""
        first = next(iter(self._failures.values()))
        if len(self._failures) == 1 or not isinstance(first, psycopg2.Error):
            return first
        return psycopg2.OperationalError("; ".join(self._failures))


def _start(
    connect: Callable[[Target], C], target: Target, parameters: Mapping[str, str]
) -> "Future[C | list[Target]]":
    attempt: Future[C | list[Target]] = Future()
    threading.Thread(
        target=_attempt,
        args=(attempt, connect, target, parameters),
        name="pegboard-connect",
        daemon=True,
    ).start()
    return attempt


def _attempt(
    attempt: "Future[C | list[Target]]",
    connect: Callable[[Target], C],
    target: Target,
    parameters: Mapping[str, str],
) -> None:
    try:
        found = _connect(connect, target, parameters)
    except BaseException as error:  # noqa: BLE001 - the thread that waits for it raises it
        if attempt.set_running_or_notify_cancel():
            if isinstance(error, psycopg2.Error):
                error = _redacted(error, {**parameters, **target}, parameters)
            attempt.set_exception(error)
        return
    if attempt.set_running_or_notify_cancel():
        attempt.set_result(found)
    elif not isinstance(found, list):
        found.close()


def _connect(
    connect: Callable[[Target], C], target: Target, parameters: Mapping[str, str]
) -> C | list[Target]:
    """Connect to the target; if its host has several addresses, return a target for each."""
    found = _with_addresses(target)
    if len(found) == 1:
        connection = connect(found[0])
        connection.target = found[0]
        return connection
    if _is_balanced(parameters):
        random.shuffle(found)
    return found


def _redacted(error: psycopg2.Error, *parameters: Mapping[str, Any]) -> psycopg2.Error:
    values = [one[name] for one in parameters for name in one if name not in _CHOICES]
    return type(error)(redact(str(error), values))


def _with_addresses(target: Target) -> list[Target]:
    host = target.get("host", "")
    if not host or host[0] in "/@" or target.get("hostaddr"):
        return [target]
    try:
        found = socket.getaddrinfo(
            host, target.get("port") or _DEFAULT_PORT, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a name"
        message = f"the host of the database cannot be found: {reason}"
        raise psycopg2.OperationalError(message) from None
    addresses = dict.fromkeys(str(info[4][0]) for info in found)
    return [{**target, "hostaddr": address} for address in addresses]


def _is_balanced(parameters: Mapping[str, str]) -> bool:
    chosen = parameters.get("load_balance_hosts") or os.environ.get("PGLOADBALANCEHOSTS")
    return chosen == "random"


def _close(attempt: "Future[C | list[Target]]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        found = attempt.result()
        if not isinstance(found, list):
            found.close()
