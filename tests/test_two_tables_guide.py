"""The guide on a plugin with two tables: its plugin works as it says."""

import re
import tomllib
from pathlib import Path

import pytest

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI

GUIDE = Path(__file__).parent.parent / "docs/how-to/two-tables.md"


def blocks(language: str) -> list[str]:
    """The code blocks of the guide in one language."""
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def library(plugin_folder: PluginFolder) -> str:
    """The name of the guide's plugin, which is installed."""
    (project,) = (tomllib.loads(code)["project"] for code in blocks("toml"))
    ((name, module),) = project["entry-points"]["pegboard.plugins"].items()
    folder = plugin_folder.add(
        name,
        requires=project["dependencies"],
        version=project["version"],
        distribution=project["name"],
        package=module.partition(".")[0],
    )
    for code in blocks("python"):
        place, _, rest = code.partition("\n")
        (folder.parent / place.removeprefix("# ")).write_text(rest, encoding="utf-8")
    (folder / "migrations").mkdir()
    return str(name)


@pytest.mark.slow
def test_the_plugin_of_the_guide_has_two_tables(
    library: str, make_app: MakeApp, cli: RunCLI, database_url: str
) -> None:
    """With its commands, and with what it says of books without authors and the reverse."""
    app = make_app(plugins=[library], upgrade=False, DATABASE_URL=database_url)
    for line in blocks("sh")[0].splitlines():
        arguments = re.findall(r'"([^"]*)"|(\S+)', line.removeprefix("pegboard "))
        done = cli(*(quoted or plain for quoted, plain in arguments), app=app)
        assert 0 == done.exit_code, done.output
    client = make_app(plugins=[library], DATABASE_URL=database_url).test_client()
    author = client.post("/api/library/authors/", json={"name": "Jane Austen"})
    assert 201 == author.status_code, author.get_json()
    book = client.post("/api/library/books/", json={"title": "Emma", "author_id": 1})
    assert 201 == book.status_code, book.get_json()
    assert ["Emma"] == [
        one["title"] for one in client.get("/api/library/books/?author_id=1").get_json()
    ]
    assert [] == client.get("/api/library/books/?author_id=2").get_json()
    refused = client.post("/api/library/books/", json={"title": "Ivanhoe", "author_id": 2})
    assert (422, ["author_id"]) == (refused.status_code, [*refused.get_json()["errors"]])
    assert 409 == client.delete("/api/library/authors/1").status_code
