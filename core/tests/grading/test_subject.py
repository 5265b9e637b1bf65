"""Finding the plugin that is graded, and its source."""

import re
import shutil
from pathlib import Path

import pytest

from pegboard.grading import TIERS, GradeError, claimed_grades
from pegboard.grading.errors import Unavailable
from pegboard.grading.evidence import Evidence
from pegboard.grading.subject import find_subject
from pegboard.grading.types_check import find_silencing
from pegboard.testing.distributions import PluginFolder

PROJECT = '[project]\nname = "{name}"\n\n[tool.pegboard.grade]\nclaim = "gold"\n'


def write_project(folder: Path, name: str = "Example.Notes", text: str = PROJECT) -> Path:
    """Write a pyproject.toml into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(text.format(name=name), encoding="utf-8")
    return folder


@pytest.fixture
def notes(plugin_folder: PluginFolder) -> PluginFolder:
    """A folder with an installed plugin whose import would fail."""
    plugin_folder.add("notes", "raise ValueError")
    return plugin_folder


def test_a_plugin_is_not_imported_to_be_found(notes: PluginFolder) -> None:
    """Its package and the version of its distribution are known without that."""
    subject = find_subject("Example.Notes", TIERS)
    assert "notes" == subject.name
    assert notes.path / "example_notes" == subject.folder
    assert ("example-notes", "1.0", ()) == (subject.distribution, subject.version, subject.needs)


def test_what_it_requires_is_installed_beside_it(plugin_folder: PluginFolder) -> None:
    """Also what that requires; other plugins are not."""
    plugin_folder.add("base")
    plugin_folder.add("notes", requires=["pegboard", "example-base"])
    plugin_folder.add("tags", requires=["pegboard", "example-notes"])
    plugin_folder.add("other")
    assert ("base", "notes") == find_subject("tags", TIERS).needs


@pytest.mark.usefixtures("notes")
def test_without_its_source_it_has_no_claim_and_no_tests() -> None:
    """As it is from a wheel."""
    assert "notes" not in claimed_grades()
    with pytest.raises(Unavailable, match="--source"):
        _ = find_subject("notes", TIERS).source


@pytest.mark.usefixtures("notes")
def test_the_source_is_named_or_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the distribution counts as an index compares it."""
    source = write_project(tmp_path / "source")
    subject = find_subject("notes", TIERS, source)
    assert (source, "gold") == (subject.source, subject.options.claim)
    monkeypatch.chdir(source)
    assert source == find_subject("notes", TIERS).source
    monkeypatch.chdir(write_project(tmp_path / "other", "other"))
    assert find_subject("notes", TIERS).source_folder is None


def test_the_source_of_an_editable_installation_is_found(
    notes: PluginFolder, tmp_path: Path
) -> None:
    """Installers write where it was."""
    source = write_project(tmp_path / "with space")
    url = source.as_uri()
    (notes.path / "example_notes-1.0.dist-info/direct_url.json").write_text(
        f'{{"url": "{url}", "dir_info": {{"editable": true}}}}', encoding="utf-8"
    )
    assert source == find_subject("notes", TIERS).source
    assert "gold" == claimed_grades()["notes"]


def test_a_wheel_may_carry_its_claim(notes: PluginFolder) -> None:
    """In the place where hatchling puts it; its tests are not there."""
    metadata = notes.path / "example_notes-1.0.dist-info"
    write_project(metadata / "extra_metadata")
    assert "gold" == claimed_grades()["notes"]
    assert find_subject("notes", TIERS).source_folder is None


def test_a_claim_with_a_mistake_is_none(notes: PluginFolder) -> None:
    """What lists all plugins is no place to refuse it; grading the plugin is."""
    metadata = notes.path / "example_notes-1.0.dist-info"
    write_project(metadata / "extra_metadata", text=PROJECT.replace("gold", "glod"))
    assert "notes" not in claimed_grades()
    with pytest.raises(GradeError, match="did you mean 'gold'"):
        find_subject("notes", TIERS)


@pytest.mark.usefixtures("notes")
def test_a_source_of_another_plugin_is_refused(tmp_path: Path) -> None:
    """And that of another version, as its tests are those of other code."""
    with pytest.raises(GradeError, match="is not the source of example-notes"):
        find_subject("notes", TIERS, write_project(tmp_path / "other", "other"))
    with pytest.raises(GradeError, match="is not the source of example-notes"):
        find_subject("notes", TIERS, tmp_path / "absent")
    text = '[project]\nname = "example-notes"\nversion = "2.0"\n'
    with pytest.raises(GradeError, match=r"source of example-notes 2.0, and 1.0 is installed"):
        find_subject("notes", TIERS, write_project(tmp_path / "newer", text=text))
    with pytest.raises(GradeError, match="cannot be read"):
        find_subject("notes", TIERS, write_project(tmp_path / "broken", text="= 1"))


@pytest.mark.parametrize(
    "text,is_found",
    [
        ("# mypy: ignore-errors\n", True),
        ("x = 1\n#mypy: disable-error-code=arg-type\n", True),
        ('"""A docstring."""\n# type: ignore\nx = 1\n', True),
        ("x: int = 'a'  # type: ignore[assignment]\n", False),
        ("x = '# mypy: ignore-errors'\n", False),
        ("import typing\n@typing.no_type_check\ndef f(): pass\n", True),
        ("if not TYPE_CHECKING:\n    def f(): pass\n", True),
        ("if typing.TYPE_CHECKING:\n    x = 1\nelse:\n    def f(): pass\n", True),
        ("if TYPE_CHECKING:\n    from x import y\nelse:\n    y = object\n", False),
    ],
)
def test_what_keeps_mypy_from_code_is_an_error(
    plugin_folder: PluginFolder, text: str, *, is_found: bool
) -> None:
    """What is for one line is not: strict mypy tells one that is not needed."""
    (plugin_folder.add("notes") / "quiet.py").write_text(text, encoding="utf-8")
    found = [*find_silencing(find_subject("notes", TIERS))]
    assert is_found == bool(found)
    assert all(line.startswith("example_notes/quiet.py:") for line in found)


def test_a_stub_in_place_of_a_module_is_an_error(plugin_folder: PluginFolder) -> None:
    """Mypy reads no line of the module then; a stub of something else is fine."""
    package = plugin_folder.add("notes")
    (package / "native.pyi").touch()
    assert [] == [*find_silencing(find_subject("notes", TIERS))]
    (package / "plugin.pyi").touch()
    (told,) = find_silencing(find_subject("notes", TIERS))
    assert told.startswith("example_notes/plugin.pyi:1: error: mypy reads it in place of")


@pytest.mark.usefixtures("notes")
def test_a_plugin_that_is_not_installed_is_told() -> None:
    """With those that are."""
    with pytest.raises(GradeError) as caught:
        find_subject("note", TIERS)
    assert str(caught.value).startswith("note is not installed; the installed plugins are: ")
    assert "notes" in str(caught.value)


def test_a_plugin_of_one_module_is_told_what_to_do(plugin_folder: PluginFolder) -> None:
    """To install it again would change nothing."""
    shutil.rmtree(plugin_folder.add("notes"))
    (plugin_folder.path / "example_notes.py").touch()
    with pytest.raises(GradeError, match=r"one module .*: make it example_notes/__init__\.py"):
        find_subject("notes", TIERS)


def test_pages_are_what_is_written_for_people(plugin_folder: PluginFolder, tmp_path: Path) -> None:
    """Of folders too: whoever builds documents with Sphinx writes reStructuredText."""
    plugin_folder.add("notes")
    docs = write_project(tmp_path, "example-notes") / "docs"
    (docs / "more").mkdir(parents=True)
    for name in ("a.md", "b.rst", "more/c.txt", "d.py"):
        (docs / name).write_text(f"This is {name}.", encoding="utf-8")
    texts = Evidence(find_subject("notes", TIERS, tmp_path)).texts
    assert ["a.md", "b.rst", "c.txt"] == [*re.findall(r"[a-d]\.(?:md|rst|txt|py)", texts)]
