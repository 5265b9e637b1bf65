"""The pipeline of an event loop: all its exchanges on one connection, whatever happens to it."""

import asyncio
import gc
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from pegboard.redis import (
    ChannelError,
    Command,
    Reply,
    Script,
    command,
    get_channel,
)
from pegboard.redis.pipeline import MAX_UNDER_WAY, ServerPipeline
from pegboard.redis.pool import ServerChannel
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import WAIT_TIMEOUT, run_python, wait_until
from pegboard.testing.proxy import RedisProxy
from pegboard.testing.servers import Certificates, RedisServer

pytestmark = pytest.mark.faults

GET = command("GET", "a", key="a")
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
with suppress(ImportError):
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


@pytest.fixture
def new_channel(make_app: MakeApp) -> Callable[..., ServerChannel]:
    """Make a channel by its URL and by settings; it is patient where time is no matter."""

    def make(url: str, **config: Any) -> ServerChannel:
        config = {"REDIS_TIMEOUT": 10.0, **config}
        channel = get_channel(make_app(upgrade=False, REDIS_URL=url, **config))
        assert isinstance(channel, ServerChannel)
        return channel

    return make


NewChannel = Callable[..., ServerChannel]


@pytest.fixture
def probing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes follow each other faster than in life."""
    monkeypatch.setattr("pegboard.circuit_breaker.PAUSE", 0.02)


@asynccontextmanager
async def pipeline_of(channel: ServerChannel) -> AsyncIterator[ServerPipeline]:
    """Make a pipeline of this loop that is connected."""
    pipeline = channel.pipeline(asyncio.get_running_loop())
    with closing(pipeline):
        await pipeline.exchange([GET])
        yield pipeline


def set_(key: str, value: str | bytes) -> Command:
    """Make a command that writes."""
    return command("SET", key, value, key=key)


def get(key: str) -> Command:
    """Make a command that reads."""
    return command("GET", key, key=key)


def echo(text: str) -> Command:
    """Make a command that is answered with the text."""
    return command("ECHO", text, key="")


def values(replies: list[Reply]) -> list[object]:
    """Return the values alone, without the identities."""
    return [reply.value for reply in replies]


async def failure(asked: Awaitable[object]) -> str:
    """Return the message of the error with which an exchange fails."""
    with pytest.raises(ChannelError) as caught:
        await asked
    return str(caught.value)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds, while the loop goes on."""
    await asyncio.to_thread(wait_until, condition, what)


async def waited(event: Callable[[], object]) -> None:
    """Wait for something that blocks, while the loop goes on."""
    await asyncio.to_thread(event)


def clients(url: str) -> list[dict[str, str]]:
    """Return the other clients that are connected to the server."""
    with closing(Redis.from_url(url)) as client:
        mine = client.client_id()
        return [one for one in client.client_list() if one["id"] != str(mine)]


async def test_replies_come_in_order(new_channel: NewChannel, redis_url: str):
    """Each exchange gets its own replies, with the identity of the server."""
    channel = new_channel(redis_url)
    [server] = channel.servers()

    async with pipeline_of(channel) as pipeline:
        asked = [
            pipeline.exchange([echo(f"{number}.{part}") for part in range(number % 4)])
            for number in range(100)
        ]
        for number, replies in enumerate(await asyncio.gather(*asked)):
            expected = [Reply(b"%d.%d" % (number, part), server) for part in range(number % 4)]
            assert expected == replies


async def test_what_is_asked_in_one_turn_leaves_together(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """In one packet, while the one before is still under way."""
    channel = new_channel(redis_proxy.url)

    async with pipeline_of(channel) as pipeline:
        del redis_proxy.round_trips[:]
        with redis_proxy.hold_replies("SET") as hold:
            first = pipeline.exchange([set_("a", "1")])
            await waited(hold.wait)
            others = [pipeline.exchange([get("a"), echo(f"{n}")]) for n in range(16)]
            await until(lambda: len(redis_proxy.round_trips) > 1, "the others are sent")
            assert not first.done()
            hold.release()
        assert [b"OK"] == values(await first)
        for number, replies in enumerate(await asyncio.gather(*others)):
            assert [b"1", b"%d" % number] == values(replies)
    assert [["SET"], ["GET", "ECHO"] * 16] == redis_proxy.round_trips


async def test_no_more_are_under_way_than_are_answered_in_time(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """Others queue, and their time-out has not begun; they are sent as replies come."""
    channel = new_channel(redis_proxy.url)

    async with pipeline_of(channel) as pipeline:
        del redis_proxy.round_trips[:]
        with redis_proxy.hold_replies("ECHO", "0") as hold:
            asked = [pipeline.exchange([echo(f"{n}")]) for n in range(3 * MAX_UNDER_WAY)]
            await waited(hold.wait)
            assert [["ECHO"] * MAX_UNDER_WAY] == redis_proxy.round_trips
            hold.release()
        for number, replies in enumerate(await asyncio.gather(*asked)):
            assert [b"%d" % number] == values(replies)


async def test_what_queues_fails_with_what_is_under_way(
    new_channel: NewChannel, own_redis: RedisServer
):
    """A server that hangs is waited for once, not by each that queues after the other."""
    channel = new_channel(own_redis.url, REDIS_TIMEOUT=0.05)

    async with pipeline_of(channel) as pipeline:
        with own_redis.suspended():
            asked = [pipeline.exchange([GET]) for _ in range(5 * MAX_UNDER_WAY)]
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert channel.is_unavailable
    assert {"the server did not answer in time"} == {str(one) for one in found}


async def test_scripts_are_sent_once(new_channel: NewChannel, redis_proxy: RedisProxy):
    """What the server does not know it is told, and nothing else is executed twice."""
    channel = new_channel(redis_proxy.url)
    script = Script("return {KEYS[1], redis.call('INCR', KEYS[1])}")
    other = Script("return ARGV[1]")

    async with pipeline_of(channel) as pipeline:
        channel.exchange([command("SCRIPT", "FLUSH", key="")])
        del redis_proxy.round_trips[:]
        first, second = await asyncio.gather(
            pipeline.exchange(
                [
                    command("INCR", "b", key="b"),
                    script.call(keys=["k"]),
                    get("b"),
                    other.call(keys=["k"], arguments=["x"]),
                ]
            ),
            pipeline.exchange([command("INCR", "b", key="b")]),
        )
        assert [1, [b"k", 1], b"1", b"x"] == values(first)
        assert [2] == values(second)
        assert [["INCR", "EVALSHA", "GET", "EVALSHA", "INCR"], ["EVAL"] * 2] == (
            redis_proxy.round_trips
        )
        [reply] = await pipeline.exchange([script.call(keys=["k"])])
        assert [b"k", 2] == reply.value
        assert ["EVALSHA"] == redis_proxy.round_trips[-1]


async def test_errors_are_values(new_channel: NewChannel, redis_url: str):
    """As with threads; the replies of other exchanges are not affected."""
    channel = new_channel(redis_url)
    wrong = [set_("a", "text"), command("INCR", "a", key="a"), get("a")]
    broken = Script("return redis.call('NOSUCH')").call(keys=["a"])

    async with pipeline_of(channel) as pipeline:
        failing, well, unknown = await asyncio.gather(
            pipeline.exchange(wrong), pipeline.exchange([get("a")]), pipeline.exchange([broken])
        )
        assert [type(one.value) for one in channel.exchange(wrong)] == [
            type(one.value) for one in failing
        ]
        assert "value is not an integer or out of range" == str(failing[1].value)
        assert [b"text"] == values(well)
        assert isinstance(unknown[0].value, Exception)
    assert not channel.is_unavailable


async def test_cancelled_exchange_disturbs_no_other(new_channel: NewChannel, redis_url: str):
    """Before it is sent, or on its way: its reply is given to no other exchange."""
    channel = new_channel(redis_url)
    unknown = Script("return 1").call(keys=["a"])

    async with pipeline_of(channel) as pipeline:
        asked = [pipeline.exchange([echo(str(number)), unknown]) for number in range(9)]
        asked[0].cancel()
        await asyncio.sleep(0)
        asked[4].cancel()
        plain = [pipeline.exchange([echo(str(number))]) for number in range(3)]
        await asyncio.sleep(0)
        plain[1].cancel()
        assert [[b"0"], [b"2"]] == [values(await plain[number]) for number in (0, 2)]
        kept = [one for one in asked if not one.cancelled()]
        assert [[b"%d" % number, 1] for number in (1, 2, 3, 5, 6, 7, 8)] == [
            values(await one) for one in kept
        ]


async def test_reply_that_nobody_asked_for_is_no_others(new_channel: NewChannel, redis_url: str):
    """A connection on which something else arrives is not used again."""
    channel = new_channel(redis_url)

    async with pipeline_of(channel) as pipeline:
        await pipeline.exchange([command("SUBSCRIBE", "news", key="")])
        publish = [command("PUBLISH", "news", "x", key="")]
        assert [1] == values(await asyncio.to_thread(channel.exchange, publish))
        await until(lambda: pipeline._connection is None, "the message has come")
        assert [b"x"] == values(await pipeline.exchange([echo("x")]))
        assert [0] == values(await asyncio.to_thread(channel.exchange, publish))
    assert not channel.is_unavailable


@pytest.mark.usefixtures("probing")
async def test_server_that_wants_a_password_again_is_unavailable(
    new_channel: NewChannel, own_redis: RedisServer
):
    """That is no error of a command; the probe logs in, and so does the next connection."""
    channel = new_channel(own_redis.url)

    async with pipeline_of(channel) as pipeline:
        await pipeline.exchange([command("RESET", key="RESET")])
        assert "Authentication" in await failure(pipeline.exchange([echo("x"), GET]))
        assert channel.is_unavailable
        await until(lambda: not channel.is_unavailable, "it is back")
        assert [b"x"] == values(await pipeline.exchange([echo("x")]))


async def test_connection_that_was_cut_in_its_last_moment_is_no_fault_of_its_own(
    new_channel: NewChannel, redis_url: str
):
    """The breaker stays as it is; exchanges fail that begin before the loop notices."""
    channel = new_channel(redis_url)

    async with pipeline_of(channel) as pipeline:
        pipeline.cut()
        await failure(pipeline.exchange([GET]))
        assert not channel.is_unavailable
        assert [None] == values(await pipeline.exchange([GET]))


# Event loops warn of a connection that nobody has closed.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_channel_that_is_closed_after_the_loop_closes_the_connection(
    new_channel: NewChannel, own_redis: RedisServer
):
    """Also when the pipeline was not closed."""
    channel = new_channel(own_redis.url)
    for new_loop in LOOPS.values():
        loop = new_loop()
        pipeline = channel.pipeline(loop)
        loop.run_until_complete(pipeline.exchange([GET]))
        loop.close()
        channel.close()
        wait_until(lambda: not clients(own_redis.url), "the connection is closed")
        del loop, pipeline
        gc.collect()


@pytest.mark.usefixtures("probing")
async def test_server_that_hangs_opens_the_breaker(new_channel: NewChannel, own_redis: RedisServer):
    """All that is under way fails with the first, what is asked then at once; it is back."""
    channel = new_channel(own_redis.url, REDIS_TIMEOUT=0.5)

    async with pipeline_of(channel) as pipeline:
        with own_redis.suspended():
            asked = [pipeline.exchange([GET])]
            await asyncio.sleep(0.1)
            asked += [pipeline.exchange([GET]) for _ in range(99)]
            assert "the server did not answer in time" == await failure(asked[0])
            assert all(one.done() for one in asked)
            for one in asked:
                assert "the server did not answer in time" == await failure(one)
            assert channel.is_unavailable
            refused = pipeline.exchange([GET])
            assert refused.done()
            assert "Redis is unavailable" == await failure(refused)
        await until(lambda: not channel.is_unavailable, "it is back")
        assert [None] == values(await pipeline.exchange([GET]))


@pytest.mark.slow
async def test_loop_that_stood_still_opens_no_breaker(new_channel: NewChannel, redis_url: str):
    """Replies that came while the loop stood still are read before deadlines are checked."""
    channel = new_channel(redis_url, REDIS_TIMEOUT=0.3)

    async with pipeline_of(channel) as pipeline:
        for _ in range(3):
            first = pipeline.exchange([GET])
            await asyncio.sleep(0)  # it is sent
            second = pipeline.exchange([GET])
            time.sleep(0.6)  # noqa: ASYNC251 - what a busy process does to a loop
            assert [[None]] * 2 == [values(await one) for one in (first, second)]
    assert not channel.is_unavailable


@pytest.mark.slow
async def test_hang_that_a_thread_finds_fails_the_pipeline(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """It need not find out by waiting as long; and it says so no second time."""
    channel = new_channel(redis_proxy.url, REDIS_TIMEOUT=2.0)

    async with pipeline_of(channel) as pipeline:
        with redis_proxy.hold_commands(times=2) as hold:
            thread = asyncio.create_task(asyncio.to_thread(channel.exchange, [GET]))
            await until(lambda: len(hold.caught) == 1, "the thread waits")
            await asyncio.sleep(1)
            asked = pipeline.exchange([GET])
            assert "the server has closed the connection" == await failure(asked)
            assert "the server did not answer in time" == await failure(thread)
        await until(lambda: not channel.is_unavailable, "a probe has been answered at once")
        assert [None] == values(await pipeline.exchange([GET]))


@pytest.mark.slow
async def test_hang_that_the_pipeline_finds_fails_threads(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """They need not find out by waiting as long."""
    channel = new_channel(redis_proxy.url, REDIS_TIMEOUT=2.0)

    async with pipeline_of(channel) as pipeline:
        with redis_proxy.hold_commands(times=2) as hold:
            asked = pipeline.exchange([GET])
            await until(lambda: len(hold.caught) == 1, "the pipeline waits")
            await asyncio.sleep(1)
            thread = asyncio.create_task(asyncio.to_thread(channel.exchange, [GET]))
            assert "the server did not answer in time" == await failure(asked)
            assert "the server has closed the connection" == await failure(thread)


async def test_connection_that_was_closed_while_idle_is_no_fault(
    new_channel: NewChannel, redis_url: str
):
    """The server, or a proxy, closes it; the next exchange has a new connection."""
    channel = new_channel(redis_url)
    me = command("CLIENT", "ID", key="")

    async with pipeline_of(channel) as pipeline:
        [former] = values(await pipeline.exchange([me]))
        channel.exchange([command("CLIENT", "KILL", "ID", str(former), key="")])
        await asyncio.sleep(0)
        [now] = values(await pipeline.exchange([me]))
        assert former != now
    assert not channel.is_unavailable


@pytest.mark.slow
async def test_connection_is_looked_at_if_it_lay_idle_for_long(
    new_channel: NewChannel, own_redis: RedisServer
):
    """Also when the loop has had no time to notice that the server has closed it."""
    channel = new_channel(own_redis.url)

    async with pipeline_of(channel) as pipeline:
        [before] = await pipeline.exchange([GET])
        own_redis.kill()
        own_redis.start()
        time.sleep(1)  # noqa: ASYNC251 - the loop is kept from noticing
        [after] = await pipeline.exchange([GET])
        assert before.server != after.server
    assert not channel.is_unavailable


@pytest.mark.usefixtures("probing")
async def test_connection_that_is_reset_fails_what_is_under_way(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """They are not sent again, as they may have been executed; later ones have a new connection."""
    channel = new_channel(redis_proxy.url)

    async with pipeline_of(channel) as pipeline:
        with redis_proxy.hold_commands() as hold:
            asked = [pipeline.exchange([GET]) for _ in range(3)]
            await waited(hold.wait)
            await waited(redis_proxy.cut)
            for one in asked:
                await failure(one)
        await until(lambda: not channel.is_unavailable, "it is back")
        assert [None] == values(await pipeline.exchange([GET]))


@pytest.mark.usefixtures("probing")
async def test_server_that_is_restarted_is_another(new_channel: NewChannel, own_redis: RedisServer):
    """Without it exchanges fail, the first by trying to connect, the others at once."""
    channel = new_channel(own_redis.url)

    async with pipeline_of(channel) as pipeline:
        [before] = await pipeline.exchange([GET])
        own_redis.kill()
        asked = [pipeline.exchange([GET]) for _ in range(3)]
        for one in asked:
            await failure(one)
        await until(lambda: channel.is_unavailable, "it is known to be unavailable")
        assert pipeline.exchange([GET]).exception()
        await waited(own_redis.start)
        await until(lambda: not channel.is_unavailable, "it is back")
        [after] = await pipeline.exchange([GET])
        assert before.server != after.server


@pytest.mark.usefixtures("probing")
async def test_server_that_is_gone_at_first_is_found_later(
    new_channel: NewChannel, own_redis: RedisServer
):
    """All that is asked waits for one attempt to connect."""
    channel = new_channel(own_redis.url)
    own_redis.kill()

    pipeline = channel.pipeline(asyncio.get_running_loop())
    with closing(pipeline):
        for one in [pipeline.exchange([GET]) for _ in range(3)]:
            await failure(one)
        await waited(own_redis.start)
        await until(lambda: not channel.is_unavailable, "it is back")
        assert [None] == values(await pipeline.exchange([GET]))


async def test_server_that_accepts_and_says_nothing_is_not_waited_for_longer(
    new_channel: NewChannel, own_redis: RedisServer
):
    """The time for connecting is part of the time of the exchanges that wait."""
    channel = new_channel(own_redis.url, REDIS_TIMEOUT=0.2)

    pipeline = channel.pipeline(asyncio.get_running_loop())
    with closing(pipeline), own_redis.suspended():
        for one in [pipeline.exchange([GET]) for _ in range(3)]:
            assert "the server did not answer in time" == await failure(one)
        assert channel.is_unavailable


@pytest.mark.usefixtures("probing")
@pytest.mark.parametrize("way", ["command", "script"])
async def test_replica_is_not_the_server_to_ask(
    new_channel: NewChannel, own_redis: RedisServer, way: str
):
    """Writing to it fails, also by a script that it does not know yet."""
    channel, other = new_channel(own_redis.url), new_channel(own_redis.url)
    script = Script("return redis.call('SET', KEYS[1], 1)")
    write = set_("a", "1") if way == "command" else script.call(keys=["a"])

    async with pipeline_of(channel) as pipeline:
        [before] = await pipeline.exchange([set_("a", "1")])
        other.exchange([command("REPLICAOF", "127.0.0.1", "1", key="")])
        read, written = pipeline.exchange([GET]), pipeline.exchange([write])
        assert [b"1"] == values(await read)
        assert "read only replica" in await failure(written)
        assert channel.is_unavailable
        other.exchange([command("REPLICAOF", "NO", "ONE", key="")])
        await until(lambda: not channel.is_unavailable, "it is a master again")
        [after] = await pipeline.exchange([write])
        assert before.server != after.server


async def test_large_commands_are_sent_in_parts(new_channel: NewChannel, redis_url: str):
    """What does not fit into the buffers waits for room, and what is asked meanwhile for it."""
    channel = new_channel(redis_url)
    large = bytes(range(256)) * 4 * 10_000

    async with pipeline_of(channel) as pipeline:
        first = pipeline.exchange([set_("a", large), get("a"), get("a")])
        await asyncio.sleep(0)
        second = pipeline.exchange([set_("b", large[1:])])
        third = pipeline.exchange([get("b"), echo("end")])
        assert [b"OK", large, large] == values(await first)
        assert [b"OK"] == values(await second)
        assert [large[1:], b"end"] == values(await third)
        assert [None] == values(await pipeline.exchange([get("c")]))


async def test_large_command_that_a_hung_server_does_not_take_is_given_up(
    new_channel: NewChannel, own_redis: RedisServer
):
    """The parts that are left are not sent to anybody."""
    channel = new_channel(own_redis.url, REDIS_TIMEOUT=0.5)
    large = bytes(30_000_000)

    async with pipeline_of(channel) as pipeline:
        with own_redis.suspended():
            for one in [pipeline.exchange([set_("a", large)]), pipeline.exchange([GET])]:
                assert "in time" in await failure(one)
        await until(lambda: not channel.is_unavailable, "it is back")
        assert [b"x"] == values(await pipeline.exchange([echo("x")]))


async def test_threads_have_all_turns_beside_a_pipeline(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """One connection for threads is one for threads."""
    channel = new_channel(redis_proxy.url, REDIS_POOL_SIZE=1)

    async with pipeline_of(channel) as pipeline:
        with redis_proxy.hold_commands("GET", "held") as hold:
            asked = pipeline.exchange([get("held")])
            await waited(hold.wait)
            replies = await asyncio.to_thread(channel.exchange, [echo("thread")])
            assert [b"thread"] == values(replies)
            hold.release()
            assert [None] == values(await asked)


async def test_reset_gives_the_pipeline_a_new_connection(
    new_channel: NewChannel, redis_proxy: RedisProxy
):
    """Nothing that is under way fails by it, and what is asked then goes to the new one."""
    channel = new_channel(redis_proxy.url)
    me = command("CLIENT", "ID", key="")

    async with pipeline_of(channel) as pipeline:
        [first] = values(await pipeline.exchange([me]))
        await asyncio.to_thread(channel.reset)
        [second] = values(await pipeline.exchange([me]))
        with redis_proxy.hold_commands("GET", "held") as hold:
            asked = pipeline.exchange([get("held"), me])
            await waited(hold.wait)
            await asyncio.to_thread(channel.reset)
            later = pipeline.exchange([me])
            await asyncio.sleep(0)
            hold.release()
            assert [None, second] == values(await asked)
            [third] = values(await later)
        assert 3 == len({first, second, third})


async def test_closed_pipeline_leaves_nothing_behind(
    new_channel: NewChannel, own_redis: RedisServer
):
    """What is under way fails, what is asked then as well, and the server sees it go."""
    channel = new_channel(own_redis.url)

    async with pipeline_of(channel) as pipeline:
        with own_redis.suspended():
            asked = pipeline.exchange([GET])
            await asyncio.sleep(0)
            waiting = pipeline.exchange([GET])
            pipeline.close()
            assert "the pipeline is closed" == await failure(asked)
            assert "the pipeline is closed" == await failure(waiting)
            assert pipeline.exchange([GET]).exception()
    assert not channel.is_unavailable
    await until(lambda: not clients(own_redis.url), "its connection is closed")


async def close_while_it_connects(channel: ServerChannel, server: RedisServer) -> None:
    """Close a pipeline whose connection comes too late."""
    pipeline = channel.pipeline(asyncio.get_running_loop())
    with server.suspended():
        asked = pipeline.exchange([GET])
        await until(lambda: bool((one := pipeline._connection) and one._transport), "it connects")
        pipeline.close()
        await failure(asked)


async def test_pipeline_that_is_closed_while_it_connects_leaves_nothing_behind(
    new_channel: NewChannel, own_redis: RedisServer
):
    """The connection comes too late."""
    channel = new_channel(own_redis.url, REDIS_TIMEOUT=WAIT_TIMEOUT)
    await close_while_it_connects(channel, own_redis)
    await until(lambda: not clients(own_redis.url), "its connection is closed")


@pytest.mark.slow
@pytest.mark.parametrize("turns", range(8))
async def test_pipeline_may_be_closed_at_each_moment_of_connecting(
    new_channel: NewChannel, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, turns: int
):
    """So many turns of the loop after the socket is connected; no error is logged."""
    channel = new_channel(own_redis.url)
    loop, is_connected = asyncio.get_running_loop(), threading.Event()
    errors: list[Any] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    connect = channel._endpoint.connect

    def connect_and_tell() -> Any:
        try:
            return connect()
        finally:
            is_connected.set()

    monkeypatch.setattr(channel._endpoint, "connect", connect_and_tell)
    pipeline = channel.pipeline(loop)
    asked = pipeline.exchange([GET])
    while not is_connected.is_set():  # noqa: ASYNC110 - turn by turn
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    pipeline.close()
    with suppress(ChannelError):
        await asked
    await until(lambda: not clients(own_redis.url), "its connection is closed")
    gc.collect()
    assert not errors
    assert not channel.is_unavailable


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_connection_that_comes_after_the_end_of_the_loop_leaves_nothing_behind(
    new_channel: NewChannel,
    own_redis: RedisServer,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
):
    """The pipeline was closed while it connected, and the loop ends before it has."""
    channel = new_channel(own_redis.url, REDIS_TIMEOUT=WAIT_TIMEOUT)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(close_while_it_connects(channel, own_redis))
    wait_until(lambda: not clients(own_redis.url), "its connection is closed")


@pytest.mark.slow
async def test_pipeline_speaks_tls(
    new_channel: NewChannel, redis_url: str, certificates: Certificates
):
    """Large commands, replies in order, and what a busy process does to its loop included."""
    large = bytes(range(256)) * 4 * 1_000
    with RedisProxy(redis_url, certificates) as proxy:
        channel = new_channel(proxy.url, REDIS_TIMEOUT=1.0)
        async with pipeline_of(channel) as pipeline:
            asked = [pipeline.exchange([echo(f"{number}")]) for number in range(100)]
            assert [b"OK", large] == values(await pipeline.exchange([set_("a", large), get("a")]))
            assert [b"%d" % number for number in range(100)] == [
                (await one)[0].value for one in asked
            ]
            for _ in range(3):
                first = pipeline.exchange([get("b")])
                await asyncio.sleep(0)
                second = pipeline.exchange([get("b")])
                time.sleep(2)  # noqa: ASYNC251 - what a busy process does to a loop
                assert [[None]] * 2 == [values(await one) for one in (first, second)]
        assert not channel.is_unavailable


@pytest.mark.usefixtures("probing")
async def test_server_whose_certificate_is_not_trusted_is_unavailable(
    new_channel: NewChannel, redis_url: str, certificates: Certificates
):
    """Nothing is sent to it."""
    with RedisProxy(redis_url, certificates) as proxy:
        channel = new_channel(proxy.url.partition("?")[0])
        with closing(channel.pipeline(asyncio.get_running_loop())) as pipeline:
            assert "CERTIFICATE_VERIFY_FAILED" in await failure(pipeline.exchange([GET]))
            assert channel.is_unavailable
        assert [] == proxy.round_trips


async def test_tls_that_hangs_is_not_waited_for_longer(
    new_channel: NewChannel, certificates: Certificates
):
    """The server accepts, and does not take part in the handshake of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rediss://127.0.0.1:{silent.getsockname()[1]}?ssl_ca_certs={certificates.authority}"
        channel = new_channel(url, REDIS_TIMEOUT=0.2)
        with closing(channel.pipeline(asyncio.get_running_loop())) as pipeline:
            asked = [pipeline.exchange([GET]) for _ in range(3)]
            async with asyncio.timeout(WAIT_TIMEOUT):
                for one in asked:
                    assert "the server did not answer in time" == await failure(one)
            assert channel.is_unavailable


async def test_socket_of_the_file_system(new_channel: NewChannel, tmp_path: Path):
    """It is a connection as any other."""
    path = tmp_path / "redis.sock"
    with RedisServer(options={"unixsocket": str(path)}) as server:
        channel = new_channel(f"unix://{path}?password={server.password}&db=2")
        async with pipeline_of(channel) as pipeline:
            assert [b"x"] == values(await pipeline.exchange([echo("x")]))


@contextmanager
def stranger(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the URL of a server that takes part in one handshake, and then answers so."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"$-1\r\n$-1\r\n")  # who it is stays unknown
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.slow
async def test_large_command_is_waited_for_while_the_server_takes_it(new_channel: NewChannel):
    """Longer than the bound, which begins with the last part that it takes."""
    size = 30_000_000

    def take(connection: socket.socket) -> None:
        left = size
        while left > 0:
            left -= len(connection.recv(500_000))
            time.sleep(0.05)
        connection.sendall(b"+OK\r\n")

    with stranger(take) as url:
        channel = new_channel(url, REDIS_TIMEOUT=1.5)
        with closing(channel.pipeline(asyncio.get_running_loop())) as pipeline:
            began = time.monotonic()
            assert [b"OK"] == values(await pipeline.exchange([set_("a", bytes(size))]))
            assert time.monotonic() - began > 2.0


@pytest.mark.slow
async def test_server_that_drips_is_not_waited_for_beyond_the_bound(new_channel: NewChannel):
    """One byte after the other, each in time."""

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in b"$20\r\n" + bytes(20):
            connection.sendall(bytes([byte]))
            time.sleep(0.25)

    with stranger(drip) as url:
        channel = new_channel(url, REDIS_TIMEOUT=1.0)
        with closing(channel.pipeline(asyncio.get_running_loop())) as pipeline:
            began = time.monotonic()
            assert "in time" in await failure(pipeline.exchange([GET]))
            assert time.monotonic() - began < 3.0  # half of the time that it drips


async def test_there_is_none_where_it_cannot_be(make_app: MakeApp, certificates: Certificates):
    """Known from the URL: nothing is connected to."""
    secret = f"?ssl_ca_certs={certificates.authority}"
    channels = [
        get_channel(make_app(upgrade=False, REDIS_URL=url))
        for url in (
            "redis+cluster://127.0.0.1:1",
            f"rediss+cluster://127.0.0.1:1{secret}",
        )
    ]

    loop = asyncio.get_running_loop()
    assert [None] * 2 == [channel.pipeline(loop) for channel in channels if channel]


@pytest.mark.slow
async def test_pipeline_follows_the_master(make_app: MakeApp, own_sentinels):
    """After a failover it speaks with the new one."""
    channel = get_channel(make_app(upgrade=False, REDIS_URL=own_sentinels.url))
    assert isinstance(channel, ServerChannel)

    async with pipeline_of(channel) as pipeline:
        [before] = await pipeline.exchange([set_("key", "old")])
        await waited(own_sentinels.failover)
        after, deadline = before, time.monotonic() + 10
        while after is before:
            assert time.monotonic() < deadline
            with suppress(ChannelError):
                [after] = await pipeline.exchange([set_("key", "new")])
            await asyncio.sleep(0.02)
        assert before.server != after.server
        with Redis.from_url(own_sentinels.master.url) as master:
            assert b"new" == master.get("key")


FORK = """
import asyncio, os, sys
import pegboard
from pegboard.redis import command, get_channel
app = pegboard.create_app({"ENV": "testing", "REDIS_URL": sys.argv[1]}, plugins=[])
channel = get_channel(app)
mine = [command("CLIENT", "ID", key="")]

async def child(before):
    pipeline = channel.pipeline(asyncio.get_running_loop())
    ids = {(await pipeline.exchange(mine))[0].value for _ in range(100)}
    pipeline.close()
    return before not in ids and len(ids) == 1

async def parent():
    pipeline = channel.pipeline(asyncio.get_running_loop())
    before = (await pipeline.exchange(mine))[0].value
    asked = [pipeline.exchange(mine) for _ in range(100)]
    await asyncio.sleep(0)
    pid = os.fork()
    if not pid:
        asyncio._set_running_loop(None)
        asyncio.set_event_loop(None)
        channel.reset()
        os._exit(0 if asyncio.new_event_loop().run_until_complete(child(before)) else 1)
    ids = {replies[0].value for replies in await asyncio.gather(*asked)}
    assert (await asyncio.to_thread(os.waitpid, pid, 0))[1] == 0
    ids |= {(await pipeline.exchange(mine))[0].value for _ in range(100)}
    assert ids == {before}
    pipeline.close()

asyncio.run(parent())
"""


@pytest.mark.slow
def test_forked_process_leaves_the_connection_of_its_parent_alone(redis_url: str):
    """It has a loop of its own, and a pipeline of that."""
    run_python(FORK, redis_url)
