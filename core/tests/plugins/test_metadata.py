"""Distributions whose metadata is broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pegboard import StartupError, create_app, get_registry
from pegboard.plugins import installed_plugins
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder

ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}

HEAD = "Metadata-Version: 2.1\nName: example-broken\n"


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    """What writes a file of a distribution's metadata."""
    data = content.encode() if isinstance(content, str) else content

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return damage


def entry(line: str) -> Callable[[Path], None]:
    """What writes an entry point."""
    return write("entry_points.txt", f"[console_scripts]\n[pegboard.plugins]\n# one\n{line}\n")


BROKEN = {
    "no METADATA": (lambda folder: (folder / "METADATA").unlink(), "METADATA"),
    "no name": (write("METADATA", "Metadata-Version: 2.1\n"), "name"),
    "no version": (write("METADATA", HEAD), "version"),
    "no valid version": (write("METADATA", f"{HEAD}Version: banana\n"), "'banana' is no version"),
    "bad requirement": (
        write("METADATA", f"{HEAD}Version: 1.0\nRequires-Dist: !!\n"),
        "InvalidRequirement",
    ),
    "no text": (write("METADATA", b"\xff\xfe\x00"), "UnicodeDecodeError"),
    "empty value": (entry("broken ="), "'broken =' names no module"),
    "no value": (entry("broken"), "names no module"),
    "no module": (entry("broken = not a module"), "'broken = not a module' names no module"),
    "no entry name": (entry("= example_broken"), "names no module"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_plugin_with_broken_metadata_is_named_with_its_path(
    plugin_folder: PluginFolder, case: str
) -> None:
    """Its policy decides, as with any other mistake; on no list, it is not even a mistake."""
    plugin_folder.add("alpha")
    plugin_folder.add("broken")
    folder = plugin_folder.path / "example_broken-1.0.dist-info"
    damage, words = BROKEN[case]
    damage(folder)
    config = {**ALONE, "PLUGINS_DISABLED": "cache_redis,items,observe,ratelimit"}
    with pytest.raises(StartupError) as caught:
        create_app(config)
    (problem,) = caught.value.problems
    assert Code.PLUGIN_METADATA_INVALID == problem.code
    assert problem.plugin in {"broken", "example-broken"}
    assert str(folder) in problem.summary
    assert words in problem.summary
    app = create_app({**config, "PLUGINS_POLICY": "*=skip"})
    assert ["alpha"] == [plugin.name for plugin in get_registry(app).plugins]
    assert create_app({**ALONE, "PLUGINS": "alpha"}).extensions


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "METADATA").unlink(),
        write("METADATA", b"\xff"),
        write("METADATA", "Name: !\nVersion: banana\nRequires-Dist: !!\n"),
        write("entry_points.txt", "[console_scripts]\nserve\n"),
        write("entry_points.txt", "nonsense\n= \n[\n"),
        write("entry_points.txt", b"\xff\xfe"),
        shutil.rmtree,
    ],
)
def test_broken_metadata_of_other_distributions_does_not_matter(
    plugin_folder: PluginFolder, damage: Callable[[Path], None]
) -> None:
    """They are no plugins, so nothing of them is needed."""
    plugin_folder.add("alpha")
    plugin_folder.add("foreign")
    folder = plugin_folder.path / "example_foreign-1.0.dist-info"
    (folder / "entry_points.txt").unlink()
    damage(folder)
    app = create_app({**ALONE, "PLUGINS": "alpha"})
    assert ["alpha"] == [plugin.name for plugin in get_registry(app).plugins]


def test_a_required_distribution_without_a_version_is_named(plugin_folder: PluginFolder) -> None:
    """It cannot be known whether it fits."""
    plugin_folder.add("alpha", requires=["pegboard", "example-foreign>=1"])
    plugin_folder.add("foreign")
    folder = plugin_folder.path / "example_foreign-1.0.dist-info"
    write("METADATA", "Name: example-foreign\nVersion: banana\n")(folder)
    (folder / "entry_points.txt").unlink()
    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, "PLUGINS": "alpha"})
    (problem,) = caught.value.problems
    assert ("alpha", Code.PLUGIN_METADATA_INVALID) == (problem.plugin, problem.code)
    assert str(folder) in problem.summary


def test_of_two_copies_of_a_distribution_the_first_counts(plugin_folder: PluginFolder) -> None:
    """As when Python imports it; an update may have left an older one behind."""
    plugin_folder.add("alpha", version="2.0")
    left = plugin_folder.path / "later" / "example_alpha-1.0.dist-info"
    shutil.copytree(plugin_folder.path / "example_alpha-2.0.dist-info", left)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(left.parent))
        patch.syspath_prepend(str(plugin_folder.path))
        found = [plugin for plugin in installed_plugins() if plugin.name == "alpha"]
    assert ["example-alpha 2.0"] == [str(plugin.distribution) for plugin in found]
