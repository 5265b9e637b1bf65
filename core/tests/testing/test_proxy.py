"""The proxy that makes faults on demand."""

import gc
import socket
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import Certificates

pytestmark = pytest.mark.faults


@pytest.fixture
def client(redis_proxy: RedisProxy) -> Iterator[Redis]:
    """A client behind the proxy, with a short time-out."""
    with Redis.from_url(
        redis_proxy.url, socket_timeout=0.1, retry=Retry(NoBackoff(), 0), decode_responses=True
    ) as client:
        yield client


@pytest.fixture
def server(redis_url: str) -> Iterator[Redis]:
    """A client that reaches the server itself."""
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_what_is_not_caught_passes(redis_proxy, client):
    """Pipelines, large values and other connections included."""
    with redis_proxy.hold_commands("SET", "other"):
        assert client.set("key", "x" * 1_000_000)
        with client.pipeline(transaction=False) as pipeline:
            assert [True, 2] == pipeline.set("number", 1).incr("number").execute()
        assert 1_000_000 == len(client.get("key"))


def test_held_command_is_executed_late(redis_proxy, client, server):
    """Its client has closed its connection, and others were served meanwhile."""
    with redis_proxy.hold_commands("SET", "key") as hold:
        with pytest.raises(RedisTimeoutError):
            client.set("key", "late")
        client.close()
        hold.wait()
        assert [[b"SET", b"key", b"late"]] == hold.caught
        assert client.set("other", "soon")
        assert server.get("key") is None
        hold.release()
        assert "late" == server.get("key")


def test_held_reply_is_of_a_command_that_was_executed(redis_proxy, client, server):
    """And the client that waits long enough gets it."""
    patient = Redis.from_url(redis_proxy.url)
    with patient, ThreadPoolExecutor() as pool, redis_proxy.hold_replies("SET") as hold:
        answer = pool.submit(patient.set, "key", "value")
        hold.wait()
        assert "value" == server.get("key")
        assert not answer.done()
        assert client.set("key", "of another, who is not held")
        hold.release()
        assert answer.result()


def test_swallowed_command_is_never_executed(redis_proxy, client, server):
    """Nor is what follows on its connection; the next connection works."""
    hold = redis_proxy.swallow("SET")
    with pytest.raises(RedisTimeoutError), client.pipeline(transaction=False) as pipeline:
        pipeline.set("key", 1).incr("key").execute()
    hold.wait()
    assert server.get("key") is None
    assert client.set("key", 2)


def test_dropped_reply_leaves_the_client_in_doubt(redis_proxy, client, server):
    """The command was executed, and its client never learns of it."""
    with pytest.raises(RedisTimeoutError), redis_proxy.hold_replies("SET") as hold:
        client.set("key", "value")
    hold.drop()
    assert "value" == server.get("key")


def test_delay_slows_every_reply(redis_proxy, client):
    """A slow server is not a dead one."""
    client.ping()
    redis_proxy.delay = 0.05
    began = time.perf_counter()
    client.ping()
    assert time.perf_counter() - began >= 0.05


def test_cut_connections_are_made_again(redis_proxy, client):
    """A client that is in the middle of something learns of it."""
    patient = Redis.from_url(redis_proxy.url, retry=Retry(NoBackoff(), 0))
    with patient, ThreadPoolExecutor() as pool:
        with redis_proxy.hold_commands("BLPOP") as hold:
            answer = pool.submit(patient.blpop, ["nothing"], 30)
            hold.wait()
            redis_proxy.cut()
        with pytest.raises(RedisConnectionError):
            answer.result()
        assert patient.ping()


def test_refused_connections(redis_proxy, client):
    """Nothing listens, until it does again."""
    client.ping()
    with redis_proxy.refusing(), pytest.raises(RedisConnectionError):
        client.ping()
    assert client.ping()


def test_nothing_is_caught_by_waiting(redis_proxy):
    """Waiting for what never comes ends."""
    with pytest.raises(TimeoutError, match="nothing was caught"):
        redis_proxy.hold_commands().wait(0)


def test_proxy_speaks_tls_for_a_server_that_does_not(redis_url, certificates: Certificates):
    """Certificates are checked; faults work as without."""
    with RedisProxy(redis_url, certificates) as proxy:
        with Redis.from_url(proxy.url, socket_timeout=5) as client:
            assert client.set("key", "x" * 100_000)
            assert 100_000 == len(client.get("key"))
            with proxy.hold_replies("PING") as hold, ThreadPoolExecutor() as pool:
                answer = pool.submit(client.ping)
                hold.wait()
                hold.release()
                assert answer.result()
        stranger = proxy.url.partition("?")[0]
        with (
            Redis.from_url(stranger, retry=Retry(NoBackoff(), 0)) as client,
            pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.ping()


@pytest.mark.slow
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_clients_that_come_as_the_proxy_goes_leave_nothing_open(
    redis_url, certificates, is_encrypted
):
    """Not the one that has just been accepted, nor one in its handshake."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            with RedisProxy(redis_url, certificates if is_encrypted else None) as proxy:
                coming = [pool.submit(connect, proxy.port) for _ in range(4)]
            for one in coming:
                one.result()
    with warnings.catch_warnings(record=True) as caught:
        gc.collect()
    assert [] == caught


def connect(port: int) -> None:
    """Come, and stay until the other side has gone."""
    with (
        suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=5) as client,
    ):
        try:
            client.recv(1)
        except TimeoutError:
            # The system may drop the end of its handshake as the listener goes, and says so only to
            # a client that sends.
            client.sendall(b"\r\n")
            client.recv(1)
