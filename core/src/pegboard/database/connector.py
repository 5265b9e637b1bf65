"""Connecting to whichever server of a URL answers, within a limit."""

import math
import select
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg2
from psycopg2 import extensions

from pegboard.database.connection import (
    AsyncConnection,
    TargetedConnection,
    WatchedConnection,
)
from pegboard.database.credentials import Credentials
from pegboard.database.targets import (
    SilentError,
    Target,
    connect_in_time,
    parameters_of,
    targets_of,
    wanted_session,
)

C = TypeVar("C", bound=TargetedConnection)


class Connector:
    """Connects with the arguments of `psycopg2.connect`, which may name several servers.

    A server that has answered where others were silent is tried first from then on, until
    `prefer_none` is called.
    """

    def __init__(self, limit: float, credentials: Credentials | None = None) -> None:
        """`limit` is in seconds, for all servers together.

        `credentials` are tried where the server refuses those of the arguments.
        """
        self._limit = limit
        self._credentials = credentials
        # One attribute, as threads that connect at the same time set it.
        self._arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._preferred: Target | None = None

    def use(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Take the arguments for this connection and all that follow."""
        # Only so that the thread ends at some time: libpq takes whole seconds, two at least.
        bounded = {"connect_timeout": math.ceil(self._limit) + 1}
        self._arguments = (args, {**bounded, **kwargs, "connection_factory": WatchedConnection})

    def connect(self) -> WatchedConnection:
        """Connect; raises `psycopg2.OperationalError`, as `SilentError` if no server answered."""
        preferred = [] if self._preferred is None else [self._preferred]
        targets = [*preferred, *targets_of(self._parameters)]
        connection, was_silent = self._reach(self._connect_to, targets, self._limit)
        if was_silent:
            self._preferred = connection.target
        elif connection.target != self._preferred:
            self._preferred = None
        return connection

    def connect_again(self, connection: WatchedConnection, limit: float) -> WatchedConnection:
        """Connect within `limit` seconds to the server of a connection, read-only or not."""
        target = {**connection.target, "target_session_attrs": "any"}
        found, _ = self._reach(self._connect_to, [target], limit)
        return found

    def connect_async(self, target: Target) -> AsyncConnection:
        """Connect to the server of a target by a connection that never waits; this waits."""
        targets = [{**target, "target_session_attrs": "any"}]
        found, _ = self._reach(self._connect_async_to, targets, self._limit)
        return found

    def prefer_none(self) -> None:
        """Try the servers in their own order again, where their names lead by now."""
        self._preferred = None

    @property
    def wants_writes(self) -> bool:
        """Whether the arguments ask for a server that accepts writes, or for any."""
        return wanted_session(self._parameters) in {"", "read-write", "primary"}

    @property
    def _parameters(self) -> dict[str, str]:
        args, kwargs = self._arguments
        return parameters_of(args, self._credentials.apply(kwargs) if self._credentials else kwargs)

    def _reach(
        self,
        connect: Callable[[Target, Mapping[str, Any]], C],
        targets: Sequence[Target],
        limit: float,
    ) -> tuple[C, bool]:
        """Connect to one of the targets; with the newer credentials if these are refused."""
        args, kwargs = self._arguments

        def attempt(arguments: Mapping[str, Any]) -> tuple[C, bool]:
            parameters = parameters_of(args, arguments)
            return connect_in_time(lambda one: connect(one, arguments), targets, parameters, limit)

        if self._credentials is None:
            return attempt(kwargs)
        arguments = self._credentials.apply(kwargs)
        try:
            return attempt(arguments)
        except SilentError:
            raise
        except psycopg2.OperationalError:
            newer = self._credentials.newer()
            if newer is None:
                raise
            found = attempt({**arguments, **newer})
            self._credentials.use(newer)
            return found

    def _connect_to(self, target: Target, arguments: Mapping[str, Any]) -> WatchedConnection:
        args, _ = self._arguments
        connection: WatchedConnection = psycopg2.connect(*args, **{**arguments, **target})
        return connection

    def _connect_async_to(self, target: Target, arguments: Mapping[str, Any]) -> AsyncConnection:
        args, _ = self._arguments
        kind = {"connection_factory": AsyncConnection, "async_": True}
        connection: AsyncConnection = psycopg2.connect(*args, **{**arguments, **target, **kind})
        try:
            _await(connection, self._limit)
        except BaseException:
            connection.close()
            raise
        return connection


def _await(connection: AsyncConnection, limit: float) -> None:
    """Wait until it is connected, as libpq has no limit for one that never waits."""
    deadline = time.monotonic() + limit
    while (state := connection.poll()) != extensions.POLL_OK:
        socket = select.poll()
        socket.register(connection.fileno(), _AWAITED[state])
        if not socket.poll(max(deadline - time.monotonic(), 0) * 1000):
            message = "the database server does not answer"
            raise psycopg2.OperationalError(message)


_AWAITED = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
