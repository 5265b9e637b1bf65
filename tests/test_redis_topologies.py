"""The assembled service on Redis as it is run: by sentinels, in clusters, with few rights."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from pegboard.redis import get_redis
from pegboard.testing.clusters import ClusterServers
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.groups import PASSWORD, execute_command
from pegboard.testing.processes import wait_until
from pegboard.testing.sentinels import SentinelServers
from pegboard.testing.servers import RedisServer

PLUGINS = ("items", "cache_redis", "ratelimit")
RECOVERY = 10.0
ROOT = Path(__file__).parent.parent


def serve(make_app: MakeApp, postgres_url: str, redis_url: str) -> Flask:
    """Assemble all plugins that use Redis, and tell how each answer came about."""
    return make_app(
        plugins=PLUGINS,
        DATABASE_URL=postgres_url,
        REDIS_URL=redis_url,
        CACHE_STATUS_HEADER=True,
        RATELIMIT_DEFAULT="1000000/minute",
    )


def is_hit(client: FlaskClient, path: str) -> bool:
    """Get an item; return whether its answer was cached."""
    response = client.get(path)
    assert 200 == response.status_code
    return "hit" in response.headers["Cache-Status"]


def make_items(client: FlaskClient, number: int) -> list[str]:
    """Make items; return their paths."""
    made = [client.post("/api/items/", json={"name": f"item {n}"}) for n in range(number)]
    return [response.headers["Location"] for response in made]


def wait_for_hits(client: FlaskClient, paths: list[str]) -> None:
    """Get the items until all of them are cached."""
    wait_until(
        lambda: len(paths) == sum(is_hit(client, path) for path in paths), "all are hits", RECOVERY
    )


def rename(client: FlaskClient, path: str, name: str) -> None:
    """Change an item; what is read then is what was written."""
    assert 200 == client.put(path, json={"name": name}).status_code
    assert name == client.get(path).get_json()["name"]


@pytest.mark.slow
def test_cached_answers_survive_a_failover_by_sentinels(
    make_app: MakeApp, postgres_url, own_sentinels: SentinelServers
):
    """Nobody notices but by the time it takes; hits are back within ten seconds."""
    client = serve(make_app, postgres_url, own_sentinels.url).test_client()
    paths = make_items(client, 3)
    wait_for_hits(client, paths)
    own_sentinels.master.kill()
    rename(client, paths[0], "written while the master is away")
    wait_for_hits(client, paths)
    rename(client, paths[0], "written to the new master")
    wait_for_hits(client, paths)


@pytest.mark.slow
def test_cached_answers_survive_the_failover_of_a_shard(
    make_app: MakeApp, postgres_url, own_cluster: ClusterServers
):
    """Items are cached on all shards, one of which loses its master."""
    client = serve(make_app, postgres_url, own_cluster.url).test_client()
    paths = make_items(client, 40)
    wait_for_hits(client, paths)
    masters = own_cluster.servers[:3]
    assert all(own_cluster.client_of(master).dbsize() > 2 for master in masters)
    masters[0].kill()
    for path in paths[:3]:
        rename(client, path, "written while a shard is away")
    wait_for_hits(client, paths)
    for path in paths[:3]:
        rename(client, path, "written to the new master")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own_sentinels", "own_cluster"])
def test_requests_are_counted_together(
    make_app: MakeApp, postgres_url, kind, request: pytest.FixtureRequest
):
    """Two processes admit together what the limit allows, and no more."""
    url = request.getfixturevalue(kind).url
    apps = [
        make_app(
            plugins=PLUGINS,
            DATABASE_URL=postgres_url,
            REDIS_URL=url,
            RATELIMIT_DEFAULT="10/minute",
        )
        for _ in range(2)
    ]
    statuses = [app.test_client().get("/api/items/").status_code for app in apps * 10]
    assert 10 == statuses.count(200)
    assert 10 == statuses.count(429)


def documented_rules(kind: str) -> str:
    """Return the rules of a user as the guide gives them, for a server or for a cluster."""
    guide = (ROOT / "docs" / "how-to" / "redis.md").read_text()
    [rules] = re.findall(r"^user pegboard on >PASSWORD (.+)$", guide, re.MULTILINE)
    [more] = re.findall(r"^- In a cluster: `(.+)` as well\.$", guide, re.MULTILINE)
    return f"on >secret {rules} {more if kind == 'cluster' else ''}"


def test_guide_names_every_command():
    """Those that scripts run, and those that are sent, and no other."""
    files = [*ROOT.glob("plugins/*/src/**/*"), *ROOT.glob("core/src/pegboard/redis/*.py")]
    text = "".join(file.read_text() for file in files if file.suffix in {".py", ".lua"})
    sent = r"""call\('([A-Z]+)'|command\(\s*"([A-Z]+)"|\\r\\n([A-Z]{3,})\\r\\n"""
    found = {name.lower() for names in re.findall(sent, text) for name in names if name}
    implied = {"eval", "evalsha", "client|setname"}
    words = documented_rules("server").split()
    rules = {word[1:] for word in words if word.startswith("+")}
    assert found - {"auth", "client", "asking"} | implied == rules


@pytest.mark.slow
def test_documented_rights_are_enough(make_app: MakeApp, postgres_url, every_redis_program: Path):
    """Caching, counting, readiness and the client of redis-py need no other command."""
    rules = documented_rules("server")
    with RedisServer(program=every_redis_program, users={"pegboard": rules}) as server:
        app = serve(make_app, postgres_url, server.url_of("pegboard", "secret"))
        client = app.test_client()
        [path] = make_items(client, 1)
        wait_for_hits(client, [path])
        rename(client, path, "new")
        wait_for_hits(client, [path])
        assert "ok" == client.get("/health/ready").get_json()["checks"]["redis"]
        found = get_redis(app)
        assert found
        assert found.ping()
        with Redis.from_url(server.url) as admin:
            assert [] == admin.acl_log()


@pytest.mark.slow
def test_documented_rights_are_enough_in_a_cluster(
    make_app: MakeApp, postgres_url, own_cluster: ClusterServers
):
    """Those of a server, and two more."""
    for node in own_cluster.servers:
        execute_command(
            own_cluster.client_of(node),
            "ACL",
            "SETUSER",
            "pegboard",
            *documented_rules("cluster").split(),
        )
    url = own_cluster.url.replace("//:" + PASSWORD, "//pegboard:secret")
    client = serve(make_app, postgres_url, url).test_client()
    paths = make_items(client, 5)
    wait_for_hits(client, paths)
    rename(client, paths[0], "new")
    wait_for_hits(client, paths)
    assert "ok" == client.get("/health/ready").get_json()["checks"]["redis"]
    for node in own_cluster.servers:
        assert [] == execute_command(own_cluster.client_of(node), "ACL", "LOG")
