"""What README.md and the guides show can be done as it is shown."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import pegboard
from pegboard.redis import get_channel
from pegboard.testing import fixtures
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import Clock, MakeApp
from pegboard.testing.snapshots import part_of

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BACKGROUND_GUIDE = ROOT / "docs/how-to/background.md"
CACHE_GUIDE = ROOT / "docs/how-to/cache.md"
ITEMS_GUIDE = ROOT / "docs/how-to/items-hooks.md"
LISTENERS_GUIDE = ROOT / "docs/how-to/listeners.md"
MANAGEMENT_GUIDE = ROOT / "docs/how-to/management.md"
STATEMENTS_GUIDE = ROOT / "docs/how-to/statements.md"
STAGES_GUIDE = ROOT / "docs/how-to/stages.md"
STRATEGY_GUIDE = ROOT / "docs/how-to/cache-strategy.md"
LIMITS_GUIDE = ROOT / "docs/how-to/rate-limits.md"
TEST_GUIDE = ROOT / "docs/how-to/test.md"
CONTRACTS_GUIDE = ROOT / "docs/how-to/contracts.md"
DEPRECATION_GUIDE = ROOT / "docs/how-to/deprecate.md"
FIXTURES_GUIDE = ROOT / "docs/how-to/fixtures.md"

TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{6})?"


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def install(plugin_folder: PluginFolder, document: Path) -> str:
    """Write the distribution that a document shows; returns the plugin's name."""
    project = tomllib.loads(blocks(document, "toml")[0])["project"]
    ((name, module),) = project["entry-points"]["pegboard.plugins"].items()
    package, _, file = module.partition(".")
    assert "plugin" == file
    plugin_folder.add(
        name,
        blocks(document, "python")[0],
        version=project["version"],
        requires=project["dependencies"],
        distribution=project["name"],
        package=package,
    )
    return str(name)


def test_the_requests_of_the_readme_get_the_answers_that_it_shows(make_app: MakeApp) -> None:
    """But for ids and times."""
    client = make_app(plugins=["items"]).test_client()
    dialog = "".join(blocks(README, "console")).replace("\\\n", "")
    exchanges = re.findall(r"^\$ curl (.*)\n(.*)\n", dialog, re.MULTILINE)
    assert 3 == len(exchanges)
    for command, shown in exchanges:
        method, path, body = parse_curl(command)
        response = client.open(path, method=method, data=body, content_type="application/json")
        assert masked(shown) == masked(response.text)


def parse_curl(command: str) -> tuple[str, str, str | None]:
    """The method, path and body of a request."""
    words = shlex.split(command)
    url = next(word for word in words if word.startswith("http"))
    body = words[words.index("-d") + 1] if "-d" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    return method, "/" + url.split("/", 3)[3], body


def masked(text: str) -> str:
    """The text less what differs from run to run."""
    return re.sub(rf'{TIME}|(?<="id":)[0-9]+', "", text).strip()


def test_the_plugin_of_the_readme_has_thirty_lines() -> None:
    """Metadata included, blank lines and the names of the files not."""
    code = blocks(README, "toml")[0] + blocks(README, "python")[0]
    assert 30 >= len([line for line in code.splitlines() if line.strip()])


def test_the_plugin_of_the_readme_works(plugin_folder: PluginFolder, make_app: MakeApp) -> None:
    """It answers, its setting counts, and it is in the OpenAPI document."""
    name = install(plugin_folder, README)
    client = make_app(plugins=[name]).test_client()
    assert {"greeting": "Hello, Ada!"} == client.get("/api/greetings/Ada").get_json()

    other = make_app(plugins=[name], GREETER_SALUTATION="Ahoy").test_client()
    assert {"greeting": "Ahoy, Ada!"} == other.get("/api/greetings/Ada").get_json()

    document = client.get("/openapi.json").get_json()
    assert "/api/greetings/{name}" in document["paths"]
    assert "greeter.Greeting" in document["components"]["schemas"]


def test_the_plugin_of_the_items_guide_refuses_and_logs(
    plugin_folder: PluginFolder, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """pegboard_items_before_write and pegboard_items_after_commit are called, in this order."""
    name = install(plugin_folder, ITEMS_GUIDE)
    client = make_app(plugins=["items", name]).test_client()

    refused = client.post("/api/items/", json={"name": "Anvil"})
    assert 422 == refused.status_code
    assert {"name": ["This name is reserved."]} == refused.get_json()["errors"]
    assert [] == client.get("/api/items/").get_json()

    created = client.post("/api/items/", json={"name": "Claw hammer"}).get_json()
    assert f"created item {created['id']}" in caplog.messages


def test_the_plugin_of_the_listeners_guide_protects_and_logs(
    plugin_folder: PluginFolder, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """It sees the items of another plugin, which it does not know, and the way of an import."""
    name = install(plugin_folder, LISTENERS_GUIDE)
    app = make_app(plugins=["items", name], WITNESS_PROTECTED="items")
    client = app.test_client()

    path = client.post("/api/items/", json={"name": "Hammer"}).headers["Location"]
    client.put(path, json={"name": "Claw hammer"})
    refused = client.delete(path)

    assert (409, "Rows of items are kept.") == (refused.status_code, refused.get_json()["message"])
    assert "created Item 1, was {}" in caplog.messages
    assert "updated Item 1, was {'name': 'Hammer'}" in caplog.messages
    (example,) = (code for code in blocks(LISTENERS_GUIDE, "python") if "BulkInsert" in code)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - it is ours
    with app.app_context():
        names["import_names"](["Saw", "Plane"])
    assert {"created Item 2, was {}", "created Item 3, was {}"} <= set(caplog.messages)


def test_the_plugin_of_the_cache_guide_passes_its_test(
    plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """What it caches is new after a write of another plugin's."""
    install(plugin_folder, CACHE_GUIDE)
    (test,) = (block for block in blocks(CACHE_GUIDE, "python") if "def test_" in block)
    assert "1 passed" in run_tests(tmp_path, plugin_folder, test)


def test_the_plugin_of_the_background_guide_passes_its_test(
    plugin_folder: PluginFolder, make_app: MakeApp, clock: Clock
) -> None:
    """The value is read in the background."""
    install(plugin_folder, BACKGROUND_GUIDE)
    names: dict[str, Any] = {}
    exec(blocks(BACKGROUND_GUIDE, "python")[1], names)  # noqa: S102 - it is ours
    names["test_items_are_counted_again"](make_app, clock)


def test_the_plugin_of_the_management_guide_has_metrics(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """Of the database, which all workers share."""
    name = install(plugin_folder, MANAGEMENT_GUIDE)
    app = make_app(plugins=["items", name])
    app.test_client().post("/api/items/", json={"name": "Hammer"})
    with app.app_context():
        [metrics] = pegboard.get_registry(app).hook.pegboard_metrics(app=app)
    assert b"# TYPE shop_items gauge\nshop_items 1\n" == metrics


def test_the_plugin_of_the_statements_guide_answers(
    plugin_folder: PluginFolder, make_app: MakeApp, database_url: str
) -> None:
    """On both databases; what it writes is seen by others, which had cached it."""
    name = install(plugin_folder, STATEMENTS_GUIDE)
    client = make_app(plugins=["items", name], DATABASE_URL=database_url).test_client()
    for item in ("Hammer", "Saw"):
        client.post("/api/items/", json={"name": item})
    for _ in range(2):
        assert [{"id": 2, "name": "Saw"}] == client.get("/stock/?after=1").json
        assert "Saw" == client.get("/api/items/2").get_json()["name"]  # and is cached
    assert {"id": 2, "name": "Plane"} == client.put("/stock/2", json={"name": "Plane"}).json
    assert "Plane" == client.get("/api/items/2").get_json()["name"]
    assert 404 == client.put("/stock/9", json={"name": "Plane"}).status_code


def test_the_plugin_of_the_stages_guide_shuts_the_service(
    plugin_folder: PluginFolder, make_app: MakeApp, redis_url: str
) -> None:
    """For writes, as long as there is a notice; the command of the guide makes one."""
    name = install(plugin_folder, STAGES_GUIDE)
    client = make_app(plugins=["items", name], REDIS_URL=redis_url).test_client()
    assert 201 == client.post("/api/items/", json={"name": "Hammer"}).status_code

    dialog = "".join(blocks(STAGES_GUIDE, "console"))
    (command,) = re.findall(r"^\$ redis-cli (.*)\n", dialog, re.MULTILINE)
    with closing(Redis.from_url(redis_url)) as redis:
        redis.execute_command(*shlex.split(command))
    ((request, shown),) = re.findall(r"^\$ curl (.*)\n(.*)\n", dialog, re.MULTILINE)
    method, path, _ = parse_curl(request)
    refused = client.open(path, method=method)
    assert (503, shown, "60") == (refused.status_code, refused.text, refused.headers["Retry-After"])
    assert 200 == client.get("/api/items/").status_code


def test_the_plugin_of_the_stages_guide_needs_no_redis(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """It has no stage then."""
    name = install(plugin_folder, STAGES_GUIDE)
    client = make_app(plugins=["items", name]).test_client()
    assert 201 == client.post("/api/items/", json={"name": "Hammer"}).status_code


def test_the_script_of_the_stages_guide_runs(make_app: MakeApp, redis_url: str) -> None:
    """And so does its command."""
    examples = blocks(STAGES_GUIDE, "python")[1:3]
    names: dict[str, Any] = {"pegboard": pegboard, "name": "Ada"}
    exec("".join(examples), names)  # noqa: S102 - they are ours
    channel = get_channel(make_app(REDIS_URL=redis_url))
    assert channel is not None
    replies = channel.exchange([names["visits"], names["taking"]])
    assert [1, -1] == [reply.value for reply in replies]


@pytest.mark.slow
def test_the_strategy_of_the_guide_keeps_the_contract(
    plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """Two processes that share its file, and one that cannot open it."""
    install(plugin_folder, STRATEGY_GUIDE)
    contract = blocks(STRATEGY_GUIDE, "python")[1]
    printed = run_tests(tmp_path, plugin_folder, contract)
    assert re.search(r"^\d\d passed, \d deselected in", printed, re.MULTILINE), printed


def test_the_strategy_of_the_guide_serves(
    plugin_folder: PluginFolder, make_app: MakeApp, sqlite_url: str, tmp_path: Path
) -> None:
    """Two processes give out one answer, which is new after a write."""
    config: dict[str, Any] = {"DATABASE_URL": sqlite_url, "SHELF_FOLDER": str(tmp_path)}
    config["CACHE_STATUS_HEADER"] = True
    plugins = ["items", install(plugin_folder, STRATEGY_GUIDE)]
    one, other = (make_app(plugins=plugins, **config).test_client() for _ in range(2))
    path = one.post("/api/items/", json={"name": "Hammer"}).headers["Location"]
    assert "pegboard; fwd=miss; stored" == one.get(path).headers["Cache-Status"]
    assert "pegboard; hit" == other.get(path).headers["Cache-Status"]
    other.put(path, json={"name": "Anvil"})
    assert "Anvil" == one.get(path).get_json()["name"]


def test_the_tests_of_the_test_guide_pass(plugin_folder: PluginFolder, tmp_path: Path) -> None:
    """They test the plugins of the README and of the guide on stages, in a process of their own."""
    install(plugin_folder, README)
    install(plugin_folder, STAGES_GUIDE)
    _, tests, gate, *_ = blocks(TEST_GUIDE, "python")
    assert "3 passed" in run_tests(tmp_path, plugin_folder, tests + gate)


def test_the_plugin_of_the_deprecation_guide_passes_its_test(
    plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """Its names, arguments and settings work in their former forms."""
    *code, test = blocks(DEPRECATION_GUIDE, "python")
    plugin_folder.add("tools", "\n".join(code), package="pegboard_tools")
    printed = run_tests(tmp_path, plugin_folder, f"import pegboard\n{test}")
    assert "1 passed" in printed, printed


@pytest.mark.slow
def test_the_examples_of_the_fixtures_pass(
    plugin_folder: PluginFolder, make_app: MakeApp, tmp_path: Path
) -> None:
    """They are the tests of one module, and run in a process of their own."""
    (tmp_path / "openapi.json").write_text(items_document(make_app), encoding="utf-8")
    printed = run_tests(tmp_path, plugin_folder, "\n".join(blocks(FIXTURES_GUIDE, "python")))
    assert re.search(r"^\d\d passed(, \d skipped)? in", printed, re.MULTILINE), printed


@pytest.mark.slow
def test_the_examples_of_the_contracts_pass(plugin_folder: PluginFolder, tmp_path: Path) -> None:
    """With the plugins of the guides on stages and on rate limits; in a process of their own."""
    install(plugin_folder, STAGES_GUIDE)
    install(plugin_folder, LIMITS_GUIDE)
    printed = run_tests(tmp_path, plugin_folder, "\n".join(blocks(CONTRACTS_GUIDE, "python")))
    assert re.search(r"^\d\d passed, \d+ skipped in", printed, re.MULTILINE), printed


def items_document(make_app: MakeApp) -> str:
    """The snapshot that one of the examples compares."""
    document = make_app(plugins=["items"]).test_client().get("/openapi.json").get_json()
    return json.dumps(part_of(document, "/api/items"))


def test_every_fixture_has_an_example() -> None:
    """A section of its name, with a test that asks for it or a fixture that overrides it."""
    found = {name for name in fixtures.__all__ if name[0].islower()}
    text = FIXTURES_GUIDE.read_text(encoding="utf-8")
    parts = re.split(r"^### (.*)\n", text, flags=re.MULTILINE)[1:]
    shown = {
        name
        for name, section in zip(parts[::2], parts[1::2], strict=True)
        if re.search(rf"def test_\w+\(.*\b{name}\b.*\)|def \w+\({name}\)", section)
    }
    assert found == shown


def run_tests(directory: Path, plugin_folder: PluginFolder, tests: str | None = None) -> str:
    """Run tests, or those in a directory, in a process of their own; returns what pytest prints.

    What they reach other tests reach as well: its coverage is not measured, which takes as long as
    the tests. All orders of the steps of a strategy are tried for those that are published.
    """
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE_" not in name}
    if tests is not None:
        conftest = blocks(TEST_GUIDE, "python")[0]
        (directory / "conftest.py").write_text(conftest, encoding="utf-8")
        (directory / "test_shown.py").write_text(tests, encoding="utf-8")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-k", "not every_interleaving", str(directory)),
        ],
        cwd=directory,
        env={**inherited, "PYTHONPATH": str(plugin_folder.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def test_the_plugin_of_the_limits_guide_names_and_counts_clients(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """pegboard_client_identity and pegboard_ratelimit_storage are called."""
    name = install(plugin_folder, LIMITS_GUIDE)
    client = make_app(
        plugins=["items", "ratelimit", name],
        RATELIMIT_DEFAULT="2/minute;9/hour",
        DOORMAN_KEYS="s3cret=alice",
    ).test_client()

    def get(peer: str, key: str) -> int:
        return client.get(
            "/api/items/", headers={"X-API-Key": key}, environ_overrides={"REMOTE_ADDR": peer}
        ).status_code

    assert [200, 200, 429] == [get(f"192.0.2.{number}", "s3cret") for number in range(3)]
    assert [200, 200, 429] == [get("192.0.2.1", f"guess-{number}") for number in range(3)]
