"""Configuration of other servers that the documents show: each line is given to such a server."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from pegboard.testing.processes import Server, free_port
from pegboard.testing.servers import RedisServer

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/**/README.md")]
TEXTS = {page.relative_to(ROOT): page.read_text(encoding="utf-8") for page in PAGES}
GUIDE = TEXTS[Path("docs/how-to/redis.md")]
DIRECTIVES = ("cluster-", "maxmemory", "tls-")
"""How the directives of Redis begin that the documents name."""

SPANS = {span for text in TEXTS.values() for span in re.findall(r"`([a-z][^`\n]*)`", text)}
REDIS = sorted(span for span in SPANS if span.startswith(DIRECTIVES))
SENTINEL = sorted(span for span in SPANS if span.startswith("sentinel ") and span.endswith("yes"))
NGINX = [
    pytest.param(block, id=f"{page}-{number}")
    for page, text in TEXTS.items()
    for number, block in enumerate(re.findall(r"```nginx\n(.*?)```", text, re.DOTALL))
]


def test_the_documents_show_what_is_tried_here() -> None:
    """The patterns above find it."""
    assert {"cluster-require-full-coverage no", "maxmemory-policy"} <= set(REDIS)
    assert len(SENTINEL) > 1
    assert NGINX


def test_the_user_of_the_guide_is_accepted(every_redis_program: Path, tmp_path: Path) -> None:
    """Its line, as it stands, in an `aclfile`; the user may do nothing else."""
    [line] = re.findall(r"^user pegboard .+$", GUIDE, re.MULTILINE)
    [more] = re.findall(r"^- In a cluster: `(.+)` as well\.$", GUIDE, re.MULTILINE)
    users = tmp_path / "users.acl"
    lines = [line, f"{line.replace('pegboard', 'node', 1)} {more} +command"]
    users.write_text("\n".join([*lines, "user default on >admin ~* &* +@all", ""]))
    options = {"aclfile": str(users), "requirepass": ""}
    with RedisServer(program=every_redis_program, options=options, password="admin") as server:
        for user in ("pegboard", "node"):
            with Redis.from_url(server.url_of(user, "PASSWORD"), client_name="a-name") as client:
                assert client.set("pb:x", 1)
                assert 1 == client.eval("return redis.call('EXISTS', KEYS[1])", 1, "pb:x")
                with pytest.raises(NoPermissionError):
                    client.set("other", 1)
                with pytest.raises(NoPermissionError):
                    client.config_get()


@pytest.mark.parametrize("span", REDIS)
def test_directives_of_redis_are_known(every_redis_program: Path, span: str) -> None:
    """Those with a value are given to a node of a cluster; the others are names that it has."""
    name, _, value = span.partition(" ")
    options = {"cluster-enabled": "yes"} | ({name: value} if value else {})
    with (
        RedisServer(program=every_redis_program, options=options) as server,
        Redis.from_url(server.url) as client,
    ):
        if name.startswith("tls-") and not client.config_get("tls-port"):
            pytest.skip("this server is built without TLS")
        found = client.config_get(name)
    assert [name] == list(found)
    assert value in {"", found[name]}


@contextmanager
def sentinel(program: Path, directory: Path, lines: list[str]) -> Iterator[int]:
    """Run a sentinel with these lines, and yield its port."""
    port = free_port()
    file = directory / "sentinel.conf"
    file.write_text("\n".join([f"port {port}", "bind 127.0.0.1", *lines, ""]))

    class Sentinel(Server):
        def answers(self) -> bool:
            with suppress(RedisConnectionError), Redis(port=port) as client:
                return bool(client.ping())
            return False

    with Sentinel([str(program), str(file), "--sentinel"], port=port, directory=directory):
        yield port


def test_lines_for_sentinels_are_accepted(every_redis_program: Path, tmp_path: Path) -> None:
    """The directives, and the rights of a user, which are enough and allow nothing else."""
    [rights] = re.findall(r"^- Sentinels: (.+)\.$", GUIDE, re.MULTILINE)
    rules = " ".join(re.findall(r"`(\+[^`]+)`", rights))
    lines = [*SENTINEL, f"user watcher on >secret {rules}"]
    with (
        sentinel(every_redis_program, tmp_path, lines) as port,
        Redis(port=port, username="watcher", password="secret") as client,
    ):
        assert client.ping()
        assert client.execute_command("SENTINEL", "get-master-addr-by-name", "main") is None
        with pytest.raises(NoPermissionError):
            client.execute_command("SENTINEL", "masters")


@pytest.mark.parametrize("block", NGINX)
def test_blocks_for_nginx_are_accepted(block: str, tmp_path: Path) -> None:
    """As it says of a file that has them in a server."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx: install the package of that name")
    file = tmp_path / "nginx.conf"
    server = f"server {{\nlisten 127.0.0.1:{free_port()};\n{block}}}"
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file.write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{server}\n}}\n"
    )
    command = [program, "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
