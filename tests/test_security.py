"""What SECURITY.md says: the tests that it names, and that nothing here calls other servers."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
HTTP_CLIENTS = {
    "aiohttp",
    "ftplib",
    "http.client",
    "httpx",
    "requests",
    "urllib.request",
    "urllib3",
}


@pytest.mark.parametrize("number", range(1, 11))
def test_each_entry_of_the_top_ten_names_tests_that_exist(number: int) -> None:
    """By file and name."""
    entry = re.search(rf"^\*\*API{number}: .*?(?=^\*\*API|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert entry
    named = re.findall(r"`([\w/.]+)::(\w+)`", entry[0])
    assert named
    for path, name in named:
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (
            name
        )


@pytest.mark.slow
def test_nothing_that_serves_makes_requests_of_its_own() -> None:
    """Neither the core, but for its testing kit, nor a first-party plugin has a client of HTTP."""
    paths = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    assert paths
    for path in paths:
        if "testing" not in path.parts:
            assert not imported(path) & HTTP_CLIENTS, path


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, also within functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found
