"""How much of a plugin its tests execute."""

from pathlib import Path

import pytest

from pegboard.grading import TIERS
from pegboard.grading.coverage_data import combine
from pegboard.grading.subject import find_subject
from pegboard.testing.distributions import PluginFolder

# Authors have it by the extra, and the core alone has not.
coverage = pytest.importorskip("coverage")

VIEWS = """
def view():  # {comment}
    x = 1
    return x
"""


@pytest.mark.slow
@pytest.mark.parametrize("comment", ["pragma: no cover", "if TYPE_CHECKING:", "assert_never(x)"])
def test_what_a_run_leaves_out_is_not_covered(
    plugin_folder: PluginFolder, tmp_path: Path, comment: str
) -> None:
    """Neither a module that its configuration omits, nor lines that a comment hides."""
    package = plugin_folder.add("notes", "x = 1\n")
    data = coverage.CoverageData(str(tmp_path / "data"))
    data.add_arcs({str(package / "plugin.py"): [(-1, 1), (1, 2), (2, 3), (3, -1)]})
    data.write()
    subject = find_subject("notes", TIERS)
    found = combine(subject, [tmp_path / "data"], tmp_path)
    assert found is not None
    whole = found.percent
    (package / "views.py").write_text(VIEWS.format(comment=comment), encoding="utf-8")
    found = combine(find_subject("notes", TIERS), [tmp_path / "data"], tmp_path)
    assert found is not None
    assert found.percent < whole
    assert ("views.py 0 %",) == found.poorest


@pytest.mark.slow
def test_a_revision_is_no_module(plugin_folder: PluginFolder, tmp_path: Path) -> None:
    """Alembic runs it by its path, which coverage of a package does not see."""
    package = plugin_folder.add("notes", "x = 1\n")
    data = coverage.CoverageData(str(tmp_path / "data"))
    data.add_arcs({str(package / "plugin.py"): [(-1, 1), (1, 2), (2, 3), (3, -1)]})
    data.write()
    (package / "migrations").mkdir()
    revision = 'revision = "notes_0001"\ndown_revision = None\n'
    (package / "migrations" / "notes_0001.py").write_text(revision, encoding="utf-8")
    found = combine(find_subject("notes", TIERS), [tmp_path / "data"], tmp_path)
    assert found is not None
    assert 100.0 == found.percent
