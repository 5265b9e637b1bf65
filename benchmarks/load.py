"""A load of keep-alive connections from one thread, and what it saw."""

import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

CHUNK = 65_536


@dataclass
class Seen:
    """The answers to a load."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0

    @property
    def count(self) -> int:
        """How many answers there were."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.count / self.seconds


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode() + body


class _Client:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = 0.0

    def send(self, packet: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(packet)

    def receive(self) -> int | None:
        """Read on; returns the status of an answer that is complete."""
        data = self.socket.recv(CHUNK)
        if not data:
            message = "the server has closed the connection"
            raise ConnectionError(message)
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length")), 0)
        if len(body) < length:
            return None
        self.buffer = body[length:]
        return int(head[9:12])


def load(port: int, packets: list[bytes], *, seconds: float, connections: int = 16) -> Seen:
    """Send the packets in turn, each connection its next one when it has its answer."""
    seen = Seen()
    clients = [_Client(port) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    number = 0
    began = time.perf_counter()
    for client in clients:
        client.send(packets[(number := number + 1) % len(packets)])
    while (now := time.perf_counter()) < began + seconds:
        for key, _ in selector.select(1):
            client = key.data
            status = client.receive()
            if status is None:
                continue
            seen.statuses[status] += 1
            seen.slowest = max(seen.slowest, now - client.sent_at)
            client.send(packets[(number := number + 1) % len(packets)])
    seen.seconds = time.perf_counter() - began
    for client in clients:
        client.socket.close()
    return seen
