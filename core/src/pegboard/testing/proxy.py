"""A proxy in front of a Redis server that makes faults of a network on demand."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import quote, urlsplit

import hiredis

from pegboard.testing import proofs
from pegboard.testing.holds import Command, Hold
from pegboard.testing.processes import WAIT_TIMEOUT, free_port
from pegboard.testing.servers import Certificates

__all__ = ["Hold", "RedisProxy"]


class _Pair:
    """A client's connection to the proxy, and the proxy's connection to the server for it."""

    def __init__(self, proxy: "RedisProxy", client: asyncio.StreamWriter) -> None:
        self.lost = False
        """Whether nothing is forwarded any more, in either direction."""
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._unanswered: list[asyncio.Event] = []
        self._replies_held: tuple[Hold, Command] | None = None
        self._due = 0.0

    async def serve(self, reader: asyncio.StreamReader, port: int) -> None:
        """Forward everything until both ends have closed."""
        replies = None
        try:
            answers, self._server = await asyncio.open_connection("127.0.0.1", port)
            replies = asyncio.create_task(self._forward_replies(answers))
            await self._forward_commands(reader, self._server)
            if self._server.can_write_eof():
                self._server.write_eof()  # the server executes what it has, then closes
            await replies
        except (OSError, hiredis.ProtocolError):
            pass
        finally:
            if replies:
                replies.cancel()
            self._executed()
            self.cut()

    def cut(self) -> None:
        """Reset both connections."""
        for writer in (self._client, self._server):
            if writer:
                writer.transport.abort()

    async def _forward_commands(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            names: list[str] = []
            self._proxy.round_trips.append(names)
            while (command := parser.gets()) is not False:
                names.append(command[0].decode())
                await self._forward_command(command, server)

    async def _forward_command(self, command: Command, server: asyncio.StreamWriter) -> None:
        parts = [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in command]
        packed = b"*%d\r\n%b" % (len(parts), b"".join(parts))
        if hold := self._proxy.holding_command(command):
            self.lost |= not await hold.keep(command)
            if not self.lost:
                self._unanswered.append(hold.expect())
        if self.lost:
            return
        if hold := self._proxy.holding_reply(command):
            self._replies_held = hold, command
        server.write(packed)
        await server.drain()

    async def _forward_replies(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65536):
            self._executed()
            if self._replies_held:
                hold, command = self._replies_held
                self.lost |= not await hold.keep(command)
                self._replies_held = None
            # Parts of one reply are delayed together, not one after the other.
            self._due = max(self._due + 1e-6, loop.time() + self._proxy.delay)
            loop.call_at(self._due, self._deliver, data)
        await asyncio.sleep(self._due - loop.time() + 1e-6)
        if not self._client.is_closing():
            self._client.close()

    def _deliver(self, data: bytes) -> None:
        if not self.lost and not self._client.is_closing():
            self._client.write(data)

    def _executed(self) -> None:
        while self._unanswered:
            self._unanswered.pop().set()


class RedisProxy:
    """A TCP proxy on a port of the loopback address; `url` is that of the server through it.

    With certificates it speaks TLS to its clients, though the server need not. A test knows exactly
    what the server has executed and what not: see `hold_commands` and `hold_replies`.
    """

    def __init__(self, url: str, certificates: Certificates | None = None) -> None:
        """`url` is that of the server, which must be on the loopback address."""
        parts = urlsplit(url)
        assert parts.port
        self.delay = 0.0
        """Seconds by which each reply is delayed."""
        self.round_trips: list[list[str]] = []
        """For each time that a client sent something, the names of the commands in it."""
        self.port = free_port()
        self.url = parts._replace(
            netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}".removeprefix("@")
        ).geturl()
        """The URL of the proxy, in place of the server's."""
        self._server_port = parts.port
        self._context = certificates.server_context() if certificates else None
        if certificates:
            self.url = f"{self.url.replace('redis:', 'rediss:', 1)}?ssl_ca_certs=" + quote(
                str(certificates.authority)
            )
        self._command_holds: list[Hold] = []
        self._reply_holds: list[Hold] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def hold_commands(self, *words: str | bytes, times: int = 1) -> Hold:
        """Hold the next command that has all these words, as its name or arguments.

        Released, it is executed late, even when its client has closed the connection; dropped, it
        is lost. Without words, the next command that is not part of a handshake is held. `times`
        is the number of commands to hold.
        """
        return self._hold(self._command_holds, words, times)

    def hold_replies(self, *words: str | bytes, times: int = 1) -> Hold:
        """Hold the reply to the next such command, which the server executes."""
        return self._hold(self._reply_holds, words, times)

    def swallow(self, *words: str | bytes, times: int = 1) -> Hold:
        """Lose the next such command: it is neither executed nor answered."""
        return self._hold(self._command_holds, words, times, lost=True)

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        proofs.show(proofs.FAULT)
        self.run(self._cut())

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Reset every connection and refuse new ones."""
        proofs.show(proofs.FAULT)
        self.run(self._stop_listening())
        try:
            yield
        finally:
            self.run(self._listen())

    def __enter__(self) -> Self:
        """Accept connections."""
        self._thread.start()
        self.run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        """Reset every connection and stop."""
        self.run(self._stop_listening())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, task: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the proxy's event loop, and wait for it."""
        asyncio.run_coroutine_threadsafe(task, self._loop).result(WAIT_TIMEOUT)

    def holding_command(self, command: Command) -> Hold | None:
        """Return the hold that catches the command, if any."""
        return next((hold for hold in self._command_holds if hold.takes(command)), None)

    def holding_reply(self, command: Command) -> Hold | None:
        """Return the hold that catches the reply to the command, if any."""
        return next((hold for hold in self._reply_holds if hold.takes(command)), None)

    def _hold(
        self, holds: list[Hold], words: tuple[str | bytes, ...], times: int, *, lost: bool = False
    ) -> Hold:
        encoded = (word.encode() if isinstance(word, str) else word for word in words)
        hold = Hold(self.run, tuple(word.upper() for word in encoded), times, lost=lost)
        holds.append(hold)
        return hold

    async def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0)
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        # When asyncio's own server closes, it forgets connections that it has accepted and not yet
        # begun to serve.
        with suppress(BlockingIOError, ConnectionError):
            client, _ = listener.accept()
            self._loop.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        task = asyncio.current_task()
        assert task
        self._serving.add(task)
        try:
            with suppress(asyncio.CancelledError, OSError):
                reader, writer = await self._streams(client)
                await _Pair(self, writer).serve(reader, self._server_port)
        finally:
            self._serving.remove(task)

    async def _streams(
        self, client: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await self._loop.connect_accepted_socket(
            lambda: protocol, client, ssl=self._context
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    async def _cut(self) -> None:
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _stop_listening(self) -> None:
        if self._listener:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await asyncio.sleep(0)  # until all accepted connections are served, and can be cut
        await self._cut()
