"""What the revision files of a history say of themselves, without Alembic."""

from pathlib import Path

import pytest

from pegboard.migrations import History
from pegboard.migrations.written_ids import written_heads

FIRST = 'revision: str = "a"\ndown_revision: str | None = None\n'


@pytest.mark.parametrize(
    "files,expected",
    [
        ([], set()),
        ([FIRST], {"a"}),
        ([FIRST, 'revision = "b"\ndown_revision = "a"\nbranch_labels = None\n'], {"b"}),
        ([FIRST, 'revision = "b"\n'], {"a", "b"}),
        (
            [FIRST, 'revision = "b"\n', 'revision = "c"\ndown_revision = ("a", "b")\n'],
            {"c"},
        ),
    ],
    ids=["none", "one", "two", "two branches", "merged"],
)
def test_heads_are_the_revisions_that_no_other_follows(
    tmp_path: Path, files: list[str], expected: set[str]
):
    """As Alembic has it, whose own files are written like this."""
    for number, text in enumerate(files):
        (tmp_path / f"{number}.py").write_text(text)
    (tmp_path / "__init__.py").write_text("revision = None")
    assert frozenset(expected) == written_heads(History("notes", tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "def upgrade():\n    pass\n",
        "revision = 'a'\ndown_revision = previous()\n",
        "revision = 'a'\nrevision = 'b'\n",
        "revision = 'a'\nif True:\n    down_revision = 'b'\n",
        "revision = 'a'\ndown_revision = 'missing'\n",
        "revision = 'a'\ndown_revision = 'a'\n",
        "revision = 'a'\ndown_revision = 1\n",
        "revision = 'a'\ndepends_on = 'b'\n",
        "revision = 'a'\nbranch_labels = ('b',)\n",
        "revision = 'a'\n)",
        "revision = 'a'\n\0",
    ],
)
def test_what_is_written_otherwise_is_left_to_alembic(tmp_path: Path, text: str):
    """It knows more ways, and reports what is wrong."""
    (tmp_path / "0.py").write_text(text)
    assert written_heads(History("notes", tmp_path)) is None


def test_two_files_of_one_revision_are_left_to_alembic(tmp_path: Path):
    """It reports them."""
    for number in range(2):
        (tmp_path / f"{number}.py").write_text(FIRST)
    assert written_heads(History("notes", tmp_path)) is None
