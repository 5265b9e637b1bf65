"""`pegboard plugins grade`, with reports as the rules make them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pegboard import grading
from pegboard.cli.grade import grade
from pegboard.grading import RULES, GradeError, Outcome, Report, Tier, Verdict

Run = Callable[..., Result]


def report(claim: Tier | None, outcome: Outcome) -> Report:
    """A report in which each rule of platinum has the outcome."""
    verdicts = tuple(
        Verdict(rule, outcome if rule.tier == Tier.PLATINUM else Outcome.PASSED, ("here",))
        for rule in RULES
    )
    return Report("notes", "acme-notes", "1.0", True, verdicts, claim, frozenset())  # noqa: FBT003 - its order


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on a report, or with an error of the grading."""

    def run(*arguments: str, found: Report | Exception) -> Result:
        def made(_name: str, _source: Any, _results: Any, tell: Callable[[str], None]) -> Report:
            tell("running the tests")
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(grading, "grade", made)
        return CliRunner().invoke(grade, ["notes", *arguments])

    return run


@pytest.mark.parametrize(
    "claim,outcome,status",
    [
        (None, Outcome.FAILED, 0),
        (Tier.GOLD, Outcome.FAILED, 0),
        (Tier.PLATINUM, Outcome.FAILED, 1),
        (Tier.PLATINUM, Outcome.UNKNOWN, 1),
        (Tier.PLATINUM, Outcome.EXEMPT, 0),
    ],
)
def test_only_a_false_claim_is_an_error(
    run: Run, claim: Tier | None, outcome: Outcome, status: int
) -> None:
    """A low grade is none."""
    done = run(found=report(claim, outcome))
    assert status == done.exit_code
    assert done.stdout.startswith("notes (acme-notes 1.0): ")


def test_the_json_is_alone_on_standard_output(run: Run) -> None:
    """What takes long is told on the other stream."""
    done = run("--json", found=report(Tier.PLATINUM, Outcome.FAILED))
    assert 1 == done.exit_code
    assert "gold" == json.loads(done.stdout)["grade"]
    assert "running the tests" in done.stderr


def test_the_badge_is_written_beside_the_report(run: Run, tmp_path: Path) -> None:
    """Also for a false claim: it shows the grade that was reached."""
    run("--badge", str(tmp_path / "grade.svg"), found=report(Tier.PLATINUM, Outcome.FAILED))
    assert ">gold</text>" in (tmp_path / "grade.svg").read_text(encoding="utf-8")


def test_a_mistake_in_the_table_is_told_without_a_traceback(run: Run) -> None:
    """With exit status 1, and nothing on standard output."""
    done = run(found=GradeError("[tool.pegboard.grade] has an unknown key"))
    assert (1, "") == (done.exit_code, done.stdout)
    assert "Error: [tool.pegboard.grade] has an unknown key" in done.stderr


def test_no_other_command_loads_the_rules() -> None:
    """Nor does a service."""
    modules = "pegboard.cli.plugins, pegboard.cli.serve"
    code = f"import sys, {modules}; print('pegboard.grading' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()
