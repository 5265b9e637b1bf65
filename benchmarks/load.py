"""Loads of keep-alive connections from one thread, and what they saw."""

import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from math import inf

CHUNK = 65_536


@dataclass
class Seen:
    """The answers to a load."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    """Seconds that each answer took."""

    @property
    def count(self) -> int:
        """How many answers there were."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.count / self.seconds

    def percentile(self, percent: int) -> float:
        """Return the seconds within which so many of a hundred answers came."""
        return sorted(self.times)[min(self.count - 1, self.count * percent // 100)]

    def note(self, client: "_Client", status: int) -> None:
        """Take note of an answer."""
        self.statuses[status] += 1
        self.times.append(time.perf_counter() - client.sent_at)


def request(method: str, path: str, body: bytes = b"", client: str = "") -> bytes:
    """Return the bytes of a request, from a client that a trusted proxy names."""
    headers = "Host: localhost\r\n"
    if body:
        headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    if client:
        headers += f"X-Forwarded-For: {client}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{headers}\r\n".encode() + body


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
    return steady(port, packets, seconds=seconds, rate=inf, connections=connections)


def steady(
    port: int, packets: list[bytes], *, seconds: float, rate: float, connections: int = 16
) -> Seen:
    """Send the packets in turn, so many a second; fewer if no connection is free for the next."""
    seen = Seen()
    idle = [_Client(port) for _ in range(connections)]
    clients = tuple(idle)
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    sent = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        while idle and sent <= passed * rate:
            sent += 1
            idle.pop().send(packets[sent % len(packets)])
        pause = (sent / rate - passed) if idle else 1
        for key, _ in selector.select(max(0, pause)):
            client = key.data
            status = client.receive()
            if status is not None:
                seen.note(client, status)
                idle.append(client)
    seen.seconds = time.perf_counter() - began
    for client in clients:
        client.socket.close()
    return seen
