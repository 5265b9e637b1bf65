"""Known failures, each with its reason."""

from pathlib import Path

import pytest

from pegboard.combinations import ExclusionError, read_exclusions, unneeded

FILE = """
# What is known to fail.
pegboard_audit  tests/test_log.py::test_order[*]  # waits for 2.1

Pegboard-Mail  # has no tests
"""


def test_a_line_names_a_distribution_a_test_and_a_reason(tmp_path: Path) -> None:
    """Distributions by any spelling; brackets are letters, and an asterisk any text."""
    path = tmp_path / "known.txt"
    path.write_text(FILE)
    audit, mail = read_exclusions(path)

    assert ("pegboard-audit", "waits for 2.1") == (audit.distribution, audit.reason)
    assert audit.covers("pegboard-audit", "tests/test_log.py::test_order[1]")
    assert not audit.covers("pegboard-audit", "tests/test_log.py::test_order1")
    assert not audit.covers("pegboard-mail", "tests/test_log.py::test_order[1]")
    assert not audit.covers("pegboard-audit", None)
    assert mail.covers("pegboard-mail", None)
    assert mail.covers("pegboard-mail", "tests/test_any.py::test_any")


def test_lines_without_a_reason_are_refused(tmp_path: Path) -> None:
    """All of them at once, each with its number."""
    path = tmp_path / "known.txt"
    path.write_text("pegboard-a test_x  # why\npegboard-b\npegboard-c test_y #\na b c # why\n")

    with pytest.raises(ExclusionError) as caught:
        read_exclusions(path)
    assert [
        f"{path}:2: pegboard-b has no reason: write it behind ' #'",
        f"{path}:3: pegboard-c test_y has no reason: write it behind ' #'",
        f"{path}:4: a b c is more than a distribution and a test",
    ] == str(caught.value).splitlines()


def test_what_no_longer_fails_is_found(tmp_path: Path) -> None:
    """Of the distributions that ran; of others nothing is known."""
    path = tmp_path / "known.txt"
    path.write_text("a test_x # why\na test_y # why\nb test_x # why\n")
    found = unneeded(read_exclusions(path), [("a", "test_x")], {"a"})

    assert [f"{path}:2: a test_y"] == [str(one) for one in found]
