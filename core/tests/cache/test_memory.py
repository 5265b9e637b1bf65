"""The strategies of the core: in the process, and none."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pegboard.cache import (
    CacheStrategy,
    Key,
    Lease,
    MemoryStrategy,
    Miss,
    Touched,
)
from pegboard.cache.memory import SQLiteVersion
from pegboard.cache.strategy import NullStrategy
from pegboard.testing.contracts import KEY, SIBLING, CacheStrategyContract, NoTransaction, lease
from pegboard.testing.fixtures import Clock

TOUCHED = Touched(keys=frozenset({KEY}))


class TestMemoryStrategy(CacheStrategyContract):
    """The processes are threads of one."""

    @pytest.fixture
    def strategies(self, clock):
        """One strategy, as its storage is its own."""
        strategy = MemoryStrategy(size=100)
        return [strategy, strategy]

    @pytest.fixture
    def pass_time(self, clock: Clock) -> Callable[[float], None]:
        """Move the time of the platform."""
        return clock.advance


class TestMemoryStrategyOnSQLite(CacheStrategyContract):
    """The same beside a file; the writers of the contract commit nothing to it."""

    @pytest.fixture
    def strategies(self, clock, database):
        """One strategy."""
        strategy = MemoryStrategy(size=100, version=version_of(database))
        return [strategy, strategy]

    @pytest.fixture
    def pass_time(self, clock: Clock) -> Callable[[float], None]:
        """Move the time of the platform."""
        return clock.advance

    @pytest.fixture
    def broken(self, tmp_path) -> CacheStrategy:
        """A strategy beside a file that cannot be opened."""
        return MemoryStrategy(size=100, version=version_of(tmp_path))


def version_of(path: Path) -> SQLiteVersion:
    """What tells whether the file is another."""
    return SQLiteVersion(make_url(f"sqlite:///{path}"))


@pytest.fixture
def database(tmp_path):
    """An SQLite file with a table of numbers, as the service keeps it: with a write-ahead log."""
    path = tmp_path / "shared.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE numbers (number INTEGER)")
    return path


@pytest.fixture
def commit(database):
    """Commit to the file, as any process does."""
    connection = sqlite3.connect(database)

    def commit():
        connection.execute("INSERT INTO numbers VALUES (1)")
        connection.commit()

    yield commit
    connection.close()


@pytest.fixture
def processes(database):
    """Two strategies beside one SQLite file that know nothing of each other."""
    return [MemoryStrategy(size=100, version=version_of(database)) for _ in range(2)]


def fill(strategy: CacheStrategy, value: bytes, key: Key = KEY) -> bool:
    """Take a lease and fill."""
    return strategy.fill(lease(strategy, key), value, 300)


def write(strategy: CacheStrategy, commit: Callable[[], None]) -> None:
    """Write as the core does."""
    fence = strategy.fence(TOUCHED, NoTransaction())
    commit()
    strategy.release(fence, NoTransaction())


def test_a_write_of_another_process_forgets(processes, commit):
    """The file tells; what is filled afterwards is found again."""
    one, other = processes
    assert fill(one, b"old")
    write(other, commit)
    assert isinstance(one.look_up(KEY), Miss)
    assert fill(one, b"new")
    assert b"new" == one.look_up(KEY)


def test_until_another_process_has_committed_nothing_is_forgotten(processes, commit):
    """Its fence is not known here, and need not be: the old value is the one in force."""
    one, other = processes
    fill(one, b"old")
    fence = other.fence(TOUCHED, NoTransaction())
    assert b"old" == one.look_up(KEY)
    commit()
    assert isinstance(one.look_up(KEY), Miss)
    other.release(fence, NoTransaction())


def test_a_slow_reader_beside_another_process_fills_nothing(processes, commit):
    """He read before the other's commit."""
    one, other = processes
    slow = lease(one)
    write(other, commit)
    assert not one.fill(slow, b"old", 300)
    assert isinstance(one.look_up(KEY), Miss)


def test_a_write_that_no_strategy_knows_of_forgets(processes, commit):
    """A shell with sqlite3 in it."""
    one, _ = processes
    fill(one, b"old")
    slow = lease(one, SIBLING)
    commit()
    assert isinstance(one.look_up(KEY), Miss)
    assert not one.fill(slow, b"old", 300)


@pytest.mark.slow
def test_what_a_process_inherits_is_not_taken_for_its_own(processes, commit):
    """A forked process begins to count versions anew, and might meet the number of a value."""
    one, _ = processes
    version = one._version()
    fill(one, b"old")
    process = os.fork()
    if process == 0:  # pragma: no cover - another process
        os._exit(0 if one._version() != version and isinstance(one.look_up(KEY), Miss) else 1)
    assert 0 == os.waitpid(process, 0)[1]
    assert b"old" == one.look_up(KEY)


def test_a_database_that_goes_away_is_a_miss(database):
    """Its file is not to be opened any more."""
    version = version_of(database)
    strategy = MemoryStrategy(size=100, version=version)
    slow = lease(strategy)
    fill(strategy, b"value", SIBLING)
    assert version._connection is not None
    version._connection.close()
    assert isinstance(strategy.look_up(SIBLING), Miss)
    assert not strategy.fill(slow, b"value", 300)


def test_a_uri_is_opened_as_the_service_opens_it(database, commit):
    """A file of that very name is not created."""
    version = SQLiteVersion(make_url(f"sqlite:///file:{database}?uri=true"))
    before = version()
    commit()
    assert before != version()
    assert [database.name] == [
        path.name for path in database.parent.iterdir() if path.suffix == ".db"
    ]


def test_no_more_than_its_size_is_kept():
    """What was filled first goes first."""
    strategy = MemoryStrategy(size=2)
    keys = [Key("notes", str(number)) for number in range(3)]
    for key in keys:
        fill(strategy, b"value", key)
    assert [True, False, False] == [isinstance(strategy.look_up(key), Miss) for key in keys]
    assert 2 == strategy.stats()["values"]


@pytest.mark.slow
def test_leases_do_not_pile_up(clock):
    """Those of readers that died are dropped when their time is over."""
    strategy = MemoryStrategy(size=2)
    for number in range(100):
        lease(strategy, Key("notes", str(number)))
        clock.advance(1)
    assert 10 > len(strategy._leases)


def test_it_counts_what_it_does():
    """As an operator reads it."""
    strategy = MemoryStrategy(size=2)
    strategy.look_up(KEY)
    fill(strategy, b"value")
    strategy.look_up(KEY)
    slow = lease(strategy, SIBLING)
    strategy.clear()
    strategy.fill(slow, b"value", 300)
    strategy.release(strategy.fence(TOUCHED, NoTransaction()), NoTransaction())
    expected = {"hits": 1, "misses": 1, "fills": 1, "refused_fills": 1, "fences": 1, "values": 0}
    assert expected == strategy.stats()


def test_none_stores_nothing():
    """And asks nobody to wait for it."""
    strategy = NullStrategy()
    for found in (strategy.look_up(KEY), strategy.lease(KEY)):
        assert isinstance(found, Miss)
        assert not found.may_fill
    assert not strategy.fill(Lease(KEY, "token"), b"value", 300)
    strategy.give_back(Lease(KEY, "token"))
    fence = strategy.fence(TOUCHED, NoTransaction())
    assert 0.0 == strategy.release(fence, NoTransaction())
    strategy.clear()
    strategy.clear("notes")
    assert {} == strategy.stats()
    assert "none" == strategy.name


class SeenKey(Key):
    """A key that counts how often anything looks at it."""

    looks = 0

    def __hash__(self) -> int:
        """Count, and hash as a key."""
        SeenKey.looks += 1
        return super().__hash__()

    __eq__ = Key.__eq__


def test_a_group_is_forgotten_without_a_look_at_what_it_has():
    """As each write of a table forgets the totals of its lists."""
    strategy = MemoryStrategy(size=1000)
    keys = [SeenKey("notes::notes", f"total/{number}") for number in range(100)]
    for key in keys:
        strategy.fill(lease(strategy, key), b"1", 300)
    held = lease(strategy, SIBLING)
    SeenKey.looks = 0
    fence = strategy.fence(Touched(groups=frozenset({"notes::notes"})), NoTransaction())
    strategy.release(fence, NoTransaction())
    assert 0 == SeenKey.looks
    assert 0 == strategy.stats()["values"]
    assert all(isinstance(strategy.look_up(key), Miss) for key in keys)
    assert strategy.fill(held, b"of another group", 300)
    for key in keys:
        assert strategy.fill(lease(strategy, key), b"2", 300)
    assert 101 == strategy.stats()["values"]
