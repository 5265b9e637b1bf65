"""The contract of cache strategies, between processes on a real server and a real database."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from redis import Redis

import pegboard
from pegboard.cache import (
    Key,
    Miss,
    MissReason,
    RemoteFences,
    RemoteFills,
    Touched,
    Transaction,
    get_cache,
)
from pegboard.cache.coherence import WriterTransaction
from pegboard.redis import ChannelError
from pegboard.stages import result_of
from pegboard.testing.contracts import KEY, CacheStrategyContract, lease
from pegboard_cache_redis.cache import epoch
from pegboard_cache_redis.cache.codec import Codec, InvalidValueError

WARM = Key("warm", "up")


@pytest.fixture
def make_process(make_app, database_url, redis_url):
    """Make the app of one more process."""

    def make(**config):
        # A busy machine is no fault of Redis.
        urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        config = {**urls, "REDIS_TIMEOUT": 5, **config}
        return make_app(plugins=["cache_redis"], **config)

    return make


@pytest.fixture
def apps(make_process):
    """The apps of two processes: each with connections and a fingerprint of its own."""
    return [make_process(), make_process()]


@pytest.fixture
def processes(apps):
    """Their strategies, of which the first has turned caching on."""
    found: list[Any] = [get_cache(app).strategy for app in apps]
    for strategy in found:
        strategy._activation.begin()
        assert Miss(MissReason.MISS) == strategy.look_up(WARM)
    yield found
    for strategy in found:
        strategy._background._used_at = float("-inf")  # so that it stops


@pytest.fixture
def strategies(processes):
    """The strategies of two processes."""
    return processes


@pytest.fixture
def server(redis_url):
    """A client of the server."""
    with closing(Redis.from_url(redis_url)) as client:
        yield client


class TestRedisStrategy(CacheStrategyContract):
    """Two processes, on SQLite and on PostgreSQL."""

    @pytest.fixture
    def strategies(self, processes):
        """Those of two processes."""
        return processes

    @pytest.fixture
    def transaction(self, apps):
        """A writer's real connection."""
        with apps[0].app_context():
            engine = pegboard.db.engine
        with engine.connect() as connection:
            dialect = engine.dialect
            yield WriterTransaction(connection.connection, dialect, dialect.do_commit)

    @pytest.fixture
    def pass_time(self, server) -> Callable[[float], None]:
        """Let the server's keys expire so much earlier."""

        def pass_time(seconds):
            for key in server.scan_iter():
                rest = server.pttl(key) - int(seconds * 1000)
                server.pexpire(key, rest) if rest > 0 else server.delete(key)

        return pass_time

    @pytest.fixture
    def broken(self, strategies, make_process):
        """The strategy of a process that cannot reach the server."""
        return get_cache(make_process(REDIS_URL="redis://127.0.0.1:1")).strategy


class Prepared:
    """A strategy whose fences and leases are handled as the event loop does it."""

    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy
        self._channel = strategy._channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def fence(self, touched: Touched, transaction: Transaction) -> Any:
        """Set a fence; as it always does where it cannot be prepared, or is not confirmed."""
        prepared = self._strategy.prepare_fence(touched)
        if prepared is not None:
            replies = self._exchange(prepared.commands)
            if (fence := self._strategy.complete_fence(prepared, replies)) is not None:
                return fence
        return self._strategy.fence(touched, transaction)

    def release(self, fence: Any, transaction: Transaction) -> float:
        """Release a fence; as it always does where it cannot be prepared, or is not confirmed."""
        commands = self._strategy.prepare_release(fence)
        if commands is not None:
            replies = self._exchange(commands)
            if self._strategy.complete_release(fence, replies):
                return 0.0
        return float(self._strategy.release(fence, transaction))

    def lease(self, key: Key) -> Any:
        """Ask for a lease; as it always does where the state has to be read again."""
        if not self._strategy.is_non_blocking():
            return self._strategy.lease(key)
        return result_of(self._strategy.lease_by(key, self._send))

    def fill(self, lease: Any, value: bytes, ttl: int) -> bool:
        """Store a value."""
        return bool(result_of(self._strategy.fill_by(lease, value, ttl, self._send)))

    def give_back(self, lease: Any) -> None:
        """End a lease."""
        result_of(self._strategy.give_back_by(lease, self._send))

    async def _send(self, commands: Any) -> Any:
        return self._channel.exchange(commands)

    def _exchange(self, commands: Any) -> Any:
        try:
            return self._channel.exchange(commands) if commands else []
        except ChannelError as error:
            return error


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestBesideTheLoop(TestRedisStrategy):
    """The same, with fences and leases that no thread waits for."""

    @pytest.fixture
    def strategies(self, processes):
        """Those of two processes."""
        return [Prepared(strategy) for strategy in processes]

    def test_the_loop_uses_them(self, strategies, monkeypatch):
        """It may set fences and fill, and does so while the state is known."""
        monkeypatch.setattr(epoch, "TRUST", 60)
        strategies[0].look_up(KEY)
        assert all(isinstance(one._strategy, RemoteFences) for one in strategies)
        assert all(isinstance(one._strategy, RemoteFills) for one in strategies)
        assert strategies[0].prepare_fence(Touched(frozenset({KEY}))) is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_value_under_another_key_is_no_value(strategies, server):
    """What this service stored for one key is not taken for the value of another."""
    one, other = strategies
    key = Key("notes", "0a1b2c:2")
    given = lease(one)
    assert one.fill(given, b"value", 300)
    target = lease(one, key).context.place
    server.set(target.key, server.get(given.context.place.key))
    assert Miss(MissReason.INVALID) == other.look_up(key)
    assert one.fill(lease(one, key), b"other", 300)
    assert b"other" == other.look_up(key)


def test_values_outlive_a_change_of_the_secret():
    """A process that knows the other's secret takes its values, and the other takes none."""
    old = Codec("earlier", max_size=100)
    new = Codec("current", max_size=100, earlier=["before", "earlier"])
    mark = b"G" + b"g" * 16
    assert b"value" == new.decode(b"key", mark, old.encode(b"key", mark, b"value") or b"")
    with pytest.raises(InvalidValueError, match="another SECRET_KEY"):
        old.decode(b"key", mark, new.encode(b"key", mark, b"value") or b"")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_answer_that_is_too_large_is_not_stored(strategies, caplog):
    """And nobody waits for it."""
    one, other = strategies
    assert not one.fill(lease(one), bytes(1024 * 1024 + 1), 300)
    assert "too large" in caplog.text
    lease(other)
