"""The channel to one server when the server, or the way to it, has faults."""

import gc
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest

import pegboard
from pegboard.redis import ChannelError, command, get_channel
from pegboard.redis.connection import Connection
from pegboard.redis.handshake import Connected, Handshake
from pegboard.redis.pool import AT_ONCE, ServerChannel
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import run_python, wait_until
from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import RedisServer

pytestmark = pytest.mark.faults

PING = command("PING", key="")
GET = command("GET", "a", key="a")
NewChannel = Callable[..., ServerChannel]

NEVER = 600.0
"""Seconds that no test lasts."""


@pytest.fixture
def new_channel(make_app: MakeApp) -> NewChannel:
    """Make a channel by its URL and by settings."""

    def make(url: str, **config: Any) -> ServerChannel:
        channel = get_channel(make_app(upgrade=False, REDIS_URL=url, **config))
        assert isinstance(channel, ServerChannel)
        return channel

    return make


@pytest.fixture
def probing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes follow each other faster than in life."""
    monkeypatch.setattr("pegboard.circuit_breaker.PAUSE", 0.02)


class Stranger:
    """A server that answers everybody with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.connections = 0
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if not connection.recv(65536):
                    return
                self.connections += 1
                connection.sendall(self._answer)

    def close(self) -> None:
        """Go."""
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n",
        b"$-1\r\n$4\r\nrun_",
        b"$25\r\nrun_id:\xff\r\nmaster_replid:\xfe\r\n$-1\r\n",
    ],
)
@pytest.mark.usefixtures("probing")
def test_a_stranger_is_no_server(new_channel: NewChannel, answer: bytes):
    """Whatever it answers; and no failed attempt takes a connection away from later ones."""
    with closing(Stranger(answer)) as stranger:
        channel = new_channel(stranger.url, REDIS_POOL_SIZE=2)
        for _ in range(5):
            with pytest.raises(ChannelError):
                channel.exchange([GET])
            wait_until(lambda: not channel.is_unavailable or stranger.connections > 5, "probes")
            channel._breaker.is_open = False
        assert (set(), 2) == (channel._busy, channel._permits.free)


@pytest.mark.slow
def test_who_asked_later_does_not_find_out_by_waiting_as_long(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """The first exchange that times out fails all others, which began later."""
    channel = new_channel(redis_proxy.url, REDIS_TIMEOUT=4.0)

    def exchange() -> str:
        with pytest.raises(ChannelError) as caught:
            channel.exchange([GET])
        return str(caught.value)

    with redis_proxy.hold_commands(times=AT_ONCE) as hold, ThreadPoolExecutor(AT_ONCE) as pool:
        first = pool.submit(exchange)
        hold.wait()
        time.sleep(1)
        others = [pool.submit(exchange) for _ in range(AT_ONCE - 1)]
        wait_until(lambda: AT_ONCE == len(hold.caught), "all wait")
        assert "the server did not answer in time" == first.result()
        # Who had waited to the end of his own time would say so.
        assert {"the server has closed the connection"} == {other.result() for other in others}
    assert (set(), AT_ONCE) == (channel._busy, channel._permits.free)


@pytest.mark.usefixtures("probing")
def test_a_connection_that_was_cut_in_its_last_moment_is_not_used_again(
    new_channel: NewChannel, redis_url: str
):
    """Its reply had come, and it was given back."""
    channel = new_channel(redis_url)
    channel.exchange([GET])
    connection = channel.acquire()
    connection.cut()
    channel.release(connection)
    assert channel.exchange([GET])
    assert not channel.is_unavailable


@pytest.mark.slow
def test_while_it_is_known_to_be_unavailable_nobody_asks(
    new_channel: NewChannel,
    redis_proxy: RedisProxy,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """It answers probes and nothing else: after the second time-out one pays in a second."""
    channel = new_channel(redis_proxy.url)
    pause = 3.0
    monkeypatch.setattr("pegboard.circuit_breaker.PAUSE", NEVER)

    def fail() -> None:
        with pytest.raises(ChannelError):
            channel.exchange([GET])

    with caplog.at_level(logging.WARNING), redis_proxy.hold_commands(times=100) as hold:
        fail()
        wait_until(lambda: not channel.is_unavailable, "a probe has been answered at once")
        monkeypatch.setattr("pegboard.circuit_breaker.PAUSE", pause)
        for paid in (2, 3):
            began = time.monotonic()
            for _ in range(50):
                fail()
            assert paid == len(hold.caught)
            wait_until(lambda: not channel.is_unavailable, "a probe has been answered")
            assert time.monotonic() - began > pause
        wait_until(lambda: len(caplog.messages) >= 6, "that it is back is said")
        assert 6 == len(caplog.messages)


@pytest.mark.slow
def test_one_late_reply_costs_the_others_next_to_nothing(
    new_channel: NewChannel, redis_proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
):
    """Those who wait with it fail with it, and do not open the breaker anew after the probe."""
    channel = new_channel(redis_proxy.url, REDIS_TIMEOUT=3.0)
    monkeypatch.setattr("pegboard.circuit_breaker.PAUSE", NEVER)

    def exchange() -> bool:
        try:
            return bool(channel.exchange([GET]))
        except ChannelError:
            return False

    with redis_proxy.hold_commands(times=AT_ONCE) as hold, ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(exchange) for _ in range(20)]
        began = time.monotonic()
        wait_until(lambda: AT_ONCE == len(hold.caught), "all wait")
        assert not any(one.result() for one in asked[:AT_ONCE])
        for one in asked:
            one.result()
        assert time.monotonic() - began < 6.0  # nobody waits for a second time-out
        wait_until(lambda: not channel.is_unavailable, "a probe has been answered at once")
        assert all(pool.map(lambda _: exchange(), range(100)))


@pytest.mark.usefixtures("probing")
def test_a_replica_does_not_bring_it_back(
    new_channel: NewChannel, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
):
    """It answers and takes no writes, so it is unavailable until it is a master again."""
    channel = new_channel(own_redis.url)
    write = command("SET", "a", "1", key="a")
    assert b"OK" == channel.exchange([write])[0].value
    former = channel.exchange([write])[0].server
    other = new_channel(own_redis.url)
    assert b"OK" == other.exchange([command("REPLICAOF", "127.0.0.1", "1", key="")])[0].value
    with pytest.raises(ChannelError), caplog.at_level(logging.DEBUG, "pegboard.circuit_breaker"):
        channel.exchange([write])
    with caplog.at_level(logging.DEBUG, "pegboard.circuit_breaker"):
        wait_until(lambda: any("still unavailable" in one for one in caplog.messages), "a probe")
    assert channel.is_unavailable
    other.exchange([command("REPLICAOF", "NO", "ONE", key="")])
    wait_until(lambda: not channel.is_unavailable, "it is back")
    assert former != channel.exchange([write])[0].server


def test_no_more_connections_than_allowed(
    new_channel: NewChannel, redis_proxy: RedisProxy, monkeypatch: pytest.MonkeyPatch
):
    """The surplus queues as long as it may, and then is no reason to do without the server."""
    channel = new_channel(redis_proxy.url, REDIS_POOL_SIZE=3, REDIS_TIMEOUT=30)
    monkeypatch.setattr("pegboard.redis.pool.QUEUE_TIMEOUT", 0.1)
    with redis_proxy.hold_commands(times=3) as hold, ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(channel.exchange, [GET]) for _ in range(3)]
        wait_until(lambda: 3 == len(hold.caught), "all wait")
        with pytest.raises(ChannelError, match="all 3 connections"):
            channel.exchange([GET])
        assert not channel.is_unavailable
        hold.release()
        assert [[None]] * 3 == [[reply.value for reply in one.result()] for one in asking]
    assert [None] == [reply.value for reply in channel.exchange([GET])]


def test_few_speak_at_once_and_the_others_queue(new_channel: NewChannel, redis_proxy: RedisProxy):
    """No thread is refused that need not wait longer than the time-out."""
    channel = new_channel(redis_proxy.url, REDIS_TIMEOUT=30)
    with redis_proxy.hold_commands(times=64) as hold, ThreadPoolExecutor(64) as pool:
        asking = [pool.submit(channel.exchange, [GET]) for _ in range(64)]
        wait_until(lambda: AT_ONCE == len(hold.caught), "some wait")
        time.sleep(0.1)
        assert (AT_ONCE, AT_ONCE) == (len(hold.caught), len(channel._busy))
        hold.release()
        assert [[None]] * 64 == [[reply.value for reply in one.result()] for one in asking]
    assert (AT_ONCE, AT_ONCE) == (channel._permits.free, len(channel._idle))


def test_a_connection_in_use_does_not_outlive_a_reset(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """It would go on to tell what its server was when it was opened."""
    channel = new_channel(redis_proxy.url, REDIS_TIMEOUT=30)
    mine = [command("CLIENT", "ID", key="")]
    with redis_proxy.hold_commands("ID") as hold, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(channel.exchange, mine)
        wait_until(lambda: bool(hold.caught), "it waits")
        channel.reset()
        hold.release()
        (before,) = asking.result()
    (after,) = channel.exchange(mine)
    assert before.value != after.value


def test_those_who_queue_are_served_in_the_order_of_coming(
    new_channel: NewChannel, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    """No later thread overtakes them; one that has waited too long leaves the queue."""
    channel = new_channel(redis_url, REDIS_POOL_SIZE=1)
    monkeypatch.setattr("pegboard.redis.pool.QUEUE_TIMEOUT", 30.0)
    connection = channel.acquire()
    served: list[int] = []

    def ask(number: int) -> None:
        taken = channel.acquire()
        served.append(number)
        channel.release(taken)

    with ThreadPoolExecutor(9) as pool:
        asking = []
        for number in range(9):
            asking.append(pool.submit(ask, number))
            wait_until(lambda: len(asking) == channel._permits.waiting, "it queues")
        monkeypatch.setattr("pegboard.redis.pool.QUEUE_TIMEOUT", 0.05)
        with pytest.raises(ChannelError, match="all 1 connections"):
            channel.acquire()
        channel.release(connection)
        for one in asking:
            one.result()
    assert list(range(9)) == served
    assert (0, 1) == (channel._permits.waiting, channel._permits.free)


@pytest.mark.slow
def test_a_server_that_drips_is_not_waited_for_beyond_the_bound(new_channel: NewChannel):
    """One byte after the other, each in time."""
    with closing(Stranger(b"$-1\r\n$-1\r\n")) as stranger:
        channel = new_channel(stranger.url, REDIS_TIMEOUT=1.0)
        connection = channel.acquire()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(1.0)
        channel._busy.discard(connection)
        connection.close()
        channel.release(Connection(Connected(ours, None, "", Handshake({}))))

        def drip() -> None:
            with suppress(OSError):
                for byte in b"$20\r\n" + bytes(20):
                    theirs.send(bytes([byte]))
                    time.sleep(0.5)

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(ChannelError, match="in time"):
            channel.exchange([GET])
        assert time.monotonic() - began < 6.0  # half of the time that it drips
        theirs.close()
        thread.join()


def test_whatever_ends_an_exchange_its_connection_is_not_used_again(
    new_channel: NewChannel, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    """The reply that was not read would be taken for that of another exchange."""
    channel = new_channel(redis_url)
    channel.exchange([PING])
    (connection,) = channel._idle

    class Stop(BaseException): ...

    def stop(*_: object) -> None:
        raise Stop

    monkeypatch.setattr(type(connection), "converse", stop)
    with pytest.raises(Stop):
        channel.exchange([GET])
    monkeypatch.undo()
    assert ([], set()) == (channel._idle, channel._busy)
    assert connection._socket.fileno() < 0
    assert [b"PONG"] == [reply.value for reply in channel.exchange([PING])]


def test_a_server_that_closed_an_idle_connection_is_not_unavailable(
    new_channel: NewChannel, own_redis: RedisServer
):
    """It is checked before it is used again, if it lay idle for a while."""
    channel = new_channel(own_redis.url)
    channel.exchange([PING])
    (connection,) = channel._idle
    own_redis.kill()
    own_redis.start()
    connection.used_at -= 1.0
    (reply,) = channel.exchange([PING])
    assert connection.server != reply.server
    assert not channel.is_unavailable


@pytest.mark.slow
def test_an_app_that_is_gone_takes_its_probe_with_it(redis_proxy: RedisProxy):
    """And its connections."""
    app = pegboard.create_app({"ENV": "testing", "REDIS_URL": redis_proxy.url}, plugins=[])
    channel = get_channel(app)
    assert channel
    others = probes()
    with redis_proxy.refusing():
        with pytest.raises(ChannelError):
            channel.exchange([GET])
        assert probes() - others
        del app, channel
        gc.collect()
        wait_until(lambda: not probes() - others, "the probe ends")


def probes() -> set[threading.Thread]:
    """Return the threads that probe, also those of other tests' apps."""
    return {thread for thread in threading.enumerate() if thread.name == "pegboard-breaker"}


FORK = """
import os, sys
import pegboard
from pegboard.redis import command, get_channel
config = {"ENV": "testing", "REDIS_URL": sys.argv[1], "REDIS_POOL_SIZE": 1}
app = pegboard.create_app(config, plugins=[])
channel = get_channel(app)
mine = command("CLIENT", "ID", key="")
before = channel.exchange([mine])[0].value
connection = channel.acquire()
child = os.fork()
if not child:
    ids = {channel.exchange([mine])[0].value for _ in range(100)}
    os._exit(0 if before not in ids and len(ids) == 1 else 1)
channel.release(connection)
ids = {channel.exchange([mine])[0].value for _ in range(100)}
assert os.waitpid(child, 0)[1] == 0
assert ids == {before}
"""


@pytest.mark.slow
def test_a_forked_process_speaks_on_a_connection_of_its_own(redis_url: str):
    """And leaves its parent's alone."""
    run_python(FORK, redis_url)
