"""The table `[tool.pegboard.grade]`."""

import tomllib
from pathlib import Path

import pytest

from pegboard.grading import RULES, TIERS, GradeError
from pegboard.grading.options import Options, check_rules, read_options

NAMES = {rule.id: rule.exemption is not None for rule in RULES}


def read(text: str) -> Options:
    """The options of a pyproject.toml."""
    options = read_options(tomllib.loads(text), TIERS)
    check_rules(options, NAMES)
    return options


@pytest.mark.parametrize(
    "text,message",
    [
        ("[tool.pegboard.grade]\nclam = 'gold'", "unknown key 'clam'; did you mean 'claim'?"),
        ("[tool.pegboard.grade]\nclaim = 'glod'", "claim is 'glod'; did you mean 'gold'?"),
        (
            "[tool.pegboard.grade]\nclaim = 1",
            'claim is 1; write the name of a tier, as in "silver"',
        ),
        ("[tool.pegboard.grade]\nclaim = 'x'", "there are bronze, silver, gold, platinum"),
        ("[tool.pegboard.grade]\ndone = ['tiped']", "unknown rule 'tiped'; did you mean 'typed'?"),
        ("[tool.pegboard.grade]\ndone = [1]", "done is [1]; write a list of rules"),
        ("[tool.pegboard.grade]\ncalls = -1", "calls is -1; write a number of calls"),
        ("[tool.pegboard.grade]\ncalls = 301", "no budget is larger than 300"),
        ("[tool.pegboard.grade]\ncalls = true", "calls is True; write a number of calls"),
        ("[tool.pegboard.grade.exempt]\ntyped = ''", "the exemption of typed needs its reason"),
        ("[tool.pegboard.grade.exempt]\ntyped = 'no time'", "needs its reason"),
        ("[tool.pegboard.grade.exempt]\ntyped = 3", "needs its reason"),
        ("[tool.pegboard.grade.exempt]\ntipe = 'This is no rule.'", "unknown rule 'tipe'"),
        (
            "[tool.pegboard.grade.exempt]\ntyped = 'It has no types.'",
            "exempt from typed, only from quiet-start, routes-documented, quiet-import; a rule",
        ),
        (
            "[tool.pegboard.grade]\ndone = ['quiet-start']\nexempt.quiet-start = 'x logs a line.'",
            "quiet-start is both done and exempt",
        ),
        (
            "[tool.pegboard.grade.settings]\nLOG_LEVEL = 'CRITICAL'",
            "settings has LOG_LEVEL, with which every plugin is started alike",
        ),
        ("[tool.pegboard.garde]\nclaim = 'gold'", "did you mean [tool.pegboard.grade]?"),
        ("[tool]\npegboard = 1", "is no table"),
        ("[tool.pegboard]\ngrade = 1", "is no table"),
    ],
)
def test_a_mistake_is_refused_with_what_is_allowed(text: str, message: str) -> None:
    """Not a key, a tier, a rule or an exemption that there is not, nor a wrong type."""
    with pytest.raises(GradeError) as caught:
        read(text)
    assert message in str(caught.value)


def test_no_table_claims_nothing() -> None:
    """And tables of other tools are left alone."""
    assert Options() == read("[tool.pegboard.matrix]\nx = 1\n[tool.ruff]\nline-length = 100")


def test_the_example_of_the_guide_is_allowed() -> None:
    """With every key that there is."""
    page = (Path(__file__).parents[3] / "docs/how-to/grade.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    options = read(example)
    assert "silver" == options.claim
    assert ("strict-types",) == options.done
    assert {"quiet-import"} == options.exempt.keys()
    table = tomllib.loads(example)["tool"]["pegboard"]["grade"]
    assert set(vars(Options())) == set(table)
