"""`pegboard plugins grade`, with reports as the rules make them."""

import json
import re
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
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI

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


def test_a_badge_that_cannot_be_written_is_refused_before_the_tests_run(run: Run) -> None:
    """They may take minutes."""
    done = run("--badge", "nowhere/grade.svg", found=report(Tier.PLATINUM, Outcome.FAILED))
    assert 2 == done.exit_code
    assert "'--badge': there is no folder nowhere" in done.stderr
    assert "running the tests" not in done.stderr


def test_a_mistake_in_the_table_is_told_without_a_traceback(run: Run) -> None:
    """With exit status 1, and nothing on standard output."""
    done = run(found=GradeError("[tool.pegboard.grade] has an unknown key"))
    assert (1, "") == (done.exit_code, done.stdout)
    assert "Error: [tool.pegboard.grade] has an unknown key" in done.stderr


@pytest.mark.slow
def test_no_other_command_loads_the_rules() -> None:
    """Nor does a service."""
    modules = "pegboard.cli.plugins, pegboard.cli.serve"
    code = f"import sys, {modules}; print('pegboard.grading' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False" == done.stdout.strip()


@pytest.mark.slow
def test_the_lists_of_plugins_tell_what_each_claims(
    plugin_folder: PluginFolder, make_app: MakeApp, cli: RunCLI
) -> None:
    """Nothing is checked for that: it is the table of the plugin."""
    plugin_folder.add("humble")
    plugin_folder.add("notes")
    carried = plugin_folder.path / "example_notes-1.0.dist-info" / "extra_metadata"
    carried.mkdir()
    table = '[tool.pegboard.grade]\nclaim = "gold"\n'
    (carried / "pyproject.toml").write_text(table, encoding="utf-8")
    app = make_app(plugins=["humble", "notes"])
    found = json.loads(cli("plugins", "list", "--json", app=app).stdout)["plugins"]
    claims = {one["name"]: one["claimed_grade"] for one in found}
    assert (None, "gold") == (claims["humble"], claims["notes"])
    shown = json.loads(cli("plugins", "show", "notes", "--json", app=app).stdout)
    assert "gold" == shown["claimed_grade"]
    assert "claims        gold" in cli("plugins", "show", "notes", app=app).stdout
    lines = cli("plugins", "list", "--wide", app=app).stdout.splitlines()
    assert ["CLAIMS", "gold"] == [
        re.split(r"  +", line)[3] for line in lines if line[:5] in {"NAME ", "notes"}
    ]
