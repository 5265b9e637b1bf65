"""The guide on extending plugins: its plugins work, and mypy finds what it says that it finds."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pegboard import StartupError, create_app
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

GUIDE = Path(__file__).parent.parent / "docs/how-to/extend.md"


def blocks(language: str) -> list[str]:
    """The code blocks of the guide in one language."""
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def files() -> dict[str, str]:
    """The files of the guide: code by the path that its first line names."""
    found = (re.match(r"# (\S+\.py)\n(.*)", code, re.DOTALL) for code in blocks("python"))
    return {str(one[1]): str(one[2]) for one in found if one}


@pytest.fixture
def installed(plugin_folder: PluginFolder, files: dict[str, str]) -> list[str]:
    """The names of the guide's plugins, which are installed."""
    names = []
    for metadata in blocks("toml"):
        project = tomllib.loads(metadata)["project"]
        ((name, module),) = project["entry-points"]["pegboard.plugins"].items()
        package = module.partition(".")[0]
        folder = plugin_folder.add(
            name,
            requires=project["dependencies"],
            version=project["version"],
            distribution=project["name"],
            package=package,
        )
        for path, code in files.items():
            if path.startswith(f"{package}/"):
                (folder.parent / path).write_text(code, encoding="utf-8")
        names.append(name)
    return names


def test_the_plugins_of_the_guide_extend_each_other(
    installed: list[str], make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """The discount comes before the sale; one that fails stops no order."""
    namespace: dict[str, Any] = {}
    (sale,) = (code for code in blocks("python") if "class Sale" in code)
    exec(sale, namespace)  # noqa: S102 - it is ours
    app = make_app(plugins=[*installed, namespace["Sale"]()])
    client = app.test_client()
    assert {"price": 50} == client.post("/api/shop/anvil").get_json()
    assert {"price": 99} == client.post("/api/shop/hammer").get_json()
    charged = f"{app.name} charges 50 for anvil"
    assert [charged, "anvil for 50"] == caplog.messages[:2]


def test_the_shop_of_the_guide_needs_what_it_requires(installed: list[str]) -> None:
    """Without the cards there are no payments."""
    with pytest.raises(StartupError, match=r"pegboard_shop\.payments\.Payments") as caught:
        create_app({"ENV": "testing"}, plugins=[name for name in installed if name != "cards"])
    assert ["PB_SERVICE_MISSING"] == [one.code for one in caught.value.problems]


def test_the_foreign_key_of_the_guide_is_that_of_an_example() -> None:
    """Which has tests of its own."""
    (code,) = (code for code in blocks("python") if "class Review" in code)
    namespace: dict[str, Any] = {"__name__": "guide"}
    exec(code, namespace)  # noqa: S102 - it is ours
    models = GUIDE.parents[2] / "examples/reviews/src/pegboard_reviews/models.py"
    assert set(code.splitlines()[-5:]) - set(models.read_text(encoding="utf-8").splitlines()) == {
        '    """What somebody thinks of an item."""'
    }
    (key,) = namespace["Review"].__table__.foreign_keys
    assert "items" == key.column.table.name


@pytest.mark.slow
def test_mypy_finds_what_the_guide_shows(installed: list[str], plugin_folder: PluginFolder) -> None:
    """Nothing in the guide's own code; a wrong name in the code of one that implements."""
    folder = plugin_folder.path
    plugin = folder / "pegboard_discounts" / "plugin.py"
    (folder / "right.py").write_text(plugin.read_text())
    wrong = plugin.read_text().replace("halve(name: str", "halve(nam: str")
    (folder / "wrong.py").write_text(wrong.replace('name == "anvil"', 'nam == "anvil"'))
    others = [plugin.parent.with_name(f"pegboard_{name}") for name in ("shop", "cards")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "right.py", "wrong.py", *others],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    (error,) = (line for line in done.stdout.splitlines() if ": error:" in line)
    (shown,) = blocks("text")
    assert error.startswith("wrong.py")
    assert " ".join(shown.split()).partition("error:")[2] in error
