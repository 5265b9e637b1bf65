"""What `pegboard plugins doctor` finds beside what absent plugins have left in the database."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

from pegboard.cli import main
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.services import LiveServer, clean_environment

SHOP = """
class ShopSettings(pegboard.Settings):
    page_size: int = pegboard.setting(20, doc="Rows a page holds.")
    forgotten: int = pegboard.setting(20, doc="What no module reads.")

@pegboard.hookimpl
def pegboard_settings():
    return ShopSettings

def rows():
    return pegboard.get_settings(ShopSettings).page_size
"""


class Examine(Protocol):
    """Runs the doctor with settings of the environment."""

    def __call__(self, **settings: str) -> tuple[Result, dict[str, Any]]:
        """Return what the command did, and its document."""


@pytest.fixture
def examine(plugin_folder: PluginFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the doctor as JSON where a plugin with two settings is installed."""
    monkeypatch.chdir(tmp_path)
    plugin_folder.add("shop", SHOP.replace("get_settings(ShopSettings).page_size", "db"))

    def examine(**settings: str) -> tuple[Result, dict[str, Any]]:
        given = {"PEGBOARD_PLUGINS": "shop", "DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}
        clean = dict.fromkeys(os.environ) | clean_environment(given | settings)
        done = CliRunner(env=clean).invoke(main, ["plugins", "doctor", "--json"])
        return done, json.loads(done.stdout)

    return examine


def named(content: dict[str, Any], kind: str) -> dict[str, str]:
    """Return the findings of a kind: what is said of each name."""
    return {one["name"]: one["text"] for one in content["findings"] if one["kind"] == kind}


@pytest.mark.slow
def test_settings_that_nobody_reads_are_found(
    examine: Examine, plugin_folder: PluginFolder
) -> None:
    """Variables without a setting, and settings that no module of a plugin uses, nor a template."""
    done, content = examine(PEGBOARD_SOLD="1")
    assert 1 == done.exit_code
    found = named(content, "setting")
    assert {"PEGBOARD_SOLD", "PEGBOARD_SHOP_PAGE_SIZE", "PEGBOARD_SHOP_FORGOTTEN"} == {*found}
    assert "no active plugin declares it" in found["PEGBOARD_SOLD"]
    (plugin_folder.path / "example_shop" / "plugin.py").write_text("import pegboard\n" + SHOP)
    assert {"PEGBOARD_SHOP_FORGOTTEN"} == {*named(examine()[1], "setting")}
    (plugin_folder.path / "example_shop" / "rows.html").write_text("{{ settings.forgotten }}")
    assert {} == named(examine()[1], "setting")


@pytest.mark.parametrize(
    "code,is_known",
    [
        ("getattr(make(), name)", True),
        ("getattr(request, name)", True),
        ("getattr(settings, 'page_size')", True),
        ("getattr(settings, name)", False),
        ("getattr(pegboard.get_settings(ShopSettings), name)", False),
        ("[mine := pegboard.get_settings(ShopSettings), getattr(mine, name)]", False),
        ("dataclasses.asdict(self._settings)", False),
        ("vars(settings)", False),
        ("settings.__dict__[name]", False),
    ],
)
def test_only_names_that_are_not_known_hide_what_is_not_read(
    code: str, *, is_known: bool, examine: Examine, plugin_folder: PluginFolder
) -> None:
    """Those that are asked of the settings; of another plugin's nothing is hidden."""
    news = SHOP.replace("Shop", "News").replace("page_size", "size").replace("forgotten", "lost")
    plugin_folder.add("news", news)
    text = f"import pegboard\n{SHOP}\ndef read(settings, request, name, self):\n    return {code}\n"
    (plugin_folder.path / "example_shop" / "plugin.py").write_text(text)
    found = named(examine(PEGBOARD_PLUGINS="shop,news")[1], "setting")
    expected = {"PEGBOARD_NEWS_LOST"} | ({"PEGBOARD_SHOP_FORGOTTEN"} if is_known else set())
    assert expected == {*found}


def test_a_database_that_cannot_be_asked_hides_no_other_finding(examine: Examine) -> None:
    """Why it cannot is one finding among the others."""
    done, content = examine(
        DATABASE_URL="postgresql://127.0.0.1:1/shop", PEGBOARD_PLUGINS="shop", PEGBOARD_SOLD="1"
    )
    assert 1 == done.exit_code
    assert "PEGBOARD_SOLD" in named(content, "setting")
    (text,) = named(content, "database").values()
    assert "Connection refused" in text
    assert "DATABASE_URL" in text


def test_a_distribution_that_is_installed_twice_is_found(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both versions and folders, the one that is used first."""
    other = tmp_path / "other"
    metadata = other / "Example.Shop-2.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: Example.Shop\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(other)
    found = named(examine()[1], "distribution")
    expected = f"2.0 in {other} is used, and there is 1.0 in {tmp_path / 'site'}; uninstall one"
    assert {"example-shop": expected} == found


@pytest.mark.slow
def test_what_has_changed_since_the_last_start_is_told(
    examine: Examine, plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """By version, by files, or by the lists; it is nothing that has to be done."""
    assert {} == named(examine()[1], "change")
    (plugin_folder.path / "example_shop" / "plugin.py").write_text("import pegboard\n" + SHOP)
    data = plugin_folder.path / "example_shop" / "data" / "rows.csv"
    data.parent.mkdir()
    data.touch()
    settings = {
        "PYTHONPATH": str(plugin_folder.path),
        "PEGBOARD_PLUGINS": "shop",
        "DATABASE_URL": f"sqlite:///{tmp_path}/a.db",
    }
    with LiveServer(**settings) as server:
        (server.directory / "instance").rename(tmp_path / "instance")
    assert {} == named(examine()[1], "change")
    data.parent.rename(data.parent.with_name("moved"))
    done, content = examine()
    assert {"shop": "has other files than at the last start, and still version 1.0"} == named(
        content, "change"
    )
    metadata = plugin_folder.path / "example_shop-1.0.dist-info"
    text = (metadata / "METADATA").read_text().replace("Version: 1.0", "Version: 1.1")
    (metadata / "METADATA").write_text(text)
    assert "has version 1.1, and had 1.0 at the last start" == named(examine()[1], "change")["shop"]
    plugin_folder.add("news")
    done, content = examine(PEGBOARD_PLUGINS="news")
    assert {
        "shop": "was active at the last start, and is not",
        "news": "is active, and was not at the last start",
    } == named(content, "change")
    assert 0 == done.exit_code


def test_an_unavailable_database_hides_nothing_else(examine: Examine) -> None:
    """Where the service cannot start either; its settings are looked at."""
    settings = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "PORT": "many"}
    done, content = examine(**settings)
    assert (1, False) == (done.exit_code, content["can_start"])
    assert {"not looked at"} == {*named(content, "database")}
    assert "PEGBOARD_SHOP_FORGOTTEN" in named(content, "setting")
