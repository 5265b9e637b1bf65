"""Rules that are about the results of a plugin's own tests, read from reports."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from pegboard.grading import RULES, TIERS, Outcome
from pegboard.grading.errors import GradeError, Unavailable
from pegboard.grading.rule import Finding
from pegboard.grading.started import Route, Started
from pegboard.grading.subject import Subject, find_subject
from pegboard.grading.suite import Suite, read_suite
from pegboard.testing.contracts import MigrationsContract
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.evidence import pytest_collection_modifyitems as write_evidence

CONTRACTS = ["MigrationsContract", "PluginContract", "ResourceContract", "StageContract"]
STARTED = Started(
    (),
    hooks=("pegboard_stages",),
    tables=("notes",),
    resources=("notes",),
    routes=(Route("/notes", ("GET",)),),
)
UP_AND_DOWN = "tests/test_it.py::TestIt::test_each_revision_goes_up_down_and_up_again[1]"


@pytest.fixture
def subject(plugin_folder: PluginFolder) -> Subject:
    """An installed plugin of which nothing is run."""
    plugin_folder.add("notes", requires=["pegboard"])
    return find_subject("notes", TIERS)


def case(inside: str = "", **changes: Any) -> str:
    """One test of a report, which passes on both databases and has all that the rules look for."""
    evidence = {
        "name": UP_AND_DOWN,
        "distribution": "Example_Notes",
        "class": "TestIt",
        "contracts": CONTRACTS,
        "replaces": [],
        "proves": "rows-migrated",
        "databases": ["postgresql", "sqlite"],
        "fixtures": ["statement_budget"],
        "marks": ["faults"],
        "python": "3.11",
        "plugins": ["notes"],
        "raises_warnings": True,
        **changes,
    }
    value = quoteattr(json.dumps(evidence))
    found = f'<properties><property name="pegboard" value={value}/></properties>'
    return f"<testcase>{found}{inside}</testcase>"


GOOD = (
    case(plugins=["items", "notes"]),
    case(),
    case(name="tests/test_it.py::test_more", contracts=[], **{"class": ""}),
)


def read(subject: Subject, folder: Path, *cases: str) -> Suite:
    """The results of a report with these tests."""
    (folder / "report.xml").write_text(
        f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8"
    )
    return read_suite(subject, [folder / "report.xml"])


def check(rule: str, subject: Subject, suite: Suite, **changes: Any) -> Finding:
    """What the checker of a rule finds."""
    evidence = SimpleNamespace(
        subject=subject, suite=suite, tests=suite, is_one_run=False, imports=()
    )
    evidence.started = replace(STARTED, **changes)
    (found,) = [one for one in RULES if one.id == rule]
    return found.check(evidence)  # type: ignore[arg-type]


RULES_OF_RESULTS = [
    "own-tests",
    "plugin-contract",
    "migrations-contract",
    "resource-contract",
    "stage-contract",
    "both-databases",
    "combinations",
    "lowest-python",
    "budgets",
    "rows-migrated",
    "warnings-are-errors",
    "fault-tests",
]


@pytest.mark.parametrize("rule", RULES_OF_RESULTS)
def test_good_results_pass(rule: str, subject: Subject, tmp_path: Path) -> None:
    """The name of the distribution counts as an index compares it."""
    found = check(rule, subject, read(subject, tmp_path, *GOOD))
    assert Outcome.PASSED == found.outcome, found.details


def collected(test: str, database: str, folder: Path) -> str:
    """One test of the contract of migrations, with what the testing kit writes of it."""
    item: Any = SimpleNamespace(
        path=folder / "test_it.py",
        nodeid=f"test_it.py::TestIt::{test}[{database}]",
        name=test,
        cls=MigrationsContract,
        function=getattr(MigrationsContract, test),
        callspec=SimpleNamespace(params={"database": database}),
        user_properties=[],
        iter_markers=lambda: (),
    )
    config: Any = SimpleNamespace(
        option=SimpleNamespace(xmlpath="report.xml"), getini=lambda _: ["error"]
    )
    write_evidence(config, [item])
    ((_, value),) = item.user_properties
    return case(**json.loads(value))


@pytest.mark.parametrize(
    "test,outcome",
    [
        ("test_each_revision_goes_up_down_and_up_again", Outcome.PASSED),
        ("test_models_equal_the_database", Outcome.FAILED),
    ],
)
def test_the_contract_says_which_test_has_rows(
    test: str, outcome: Outcome, subject: Subject, tmp_path: Path
) -> None:
    """The rule knows it by its mark, whatever it is called."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "example-notes"\n')
    cases = [collected(test, database, tmp_path) for database in ("sqlite", "postgresql")]
    assert outcome == check("rows-migrated", subject, read(subject, tmp_path, *cases)).outcome


ONLY_SQLITE = (case(databases=["sqlite"]), case(name="x::test_y", contracts=[], databases=[]))


@pytest.mark.parametrize(
    "rule,cases,detail",
    [
        ("own-tests", (*GOOD, case("<failure/>", name="x::test_y")), "x::test_y fails"),
        ("own-tests", (*GOOD, case("<error/>", name="x::test_y")), "x::test_y fails"),
        ("own-tests", (case("<skipped/>"),), "no test passes"),
        ("plugin-contract", (case(contracts=[]),), "no test class inherits PluginContract"),
        ("plugin-contract", (case("<skipped/>"),), "all tests of PluginContract are skipped"),
        ("plugin-contract", (*GOOD, case("<failure/>", name="x::test_y")), "x::test_y fails"),
        (
            "plugin-contract",
            (*GOOD, case(name="x::test_y", contracts=[], replaces=["PluginContract"])),
            "x::test_y replaces a test of PluginContract",
        ),
        ("migrations-contract", ONLY_SQLITE, "no test of it has passed on postgresql"),
        ("both-databases", ONLY_SQLITE, "no test passes on sqlite or postgresql"),
        ("rows-migrated", ONLY_SQLITE, "has not passed on postgresql"),
        ("rows-migrated", (case(proves=None),), "has not passed on sqlite or postgresql"),
        ("combinations", (case(),), "no results where other plugins were installed"),
        ("combinations", (case(plugins=["items", "notes"]),), "where only notes was installed"),
        ("lowest-python", (case(python="3.13"), case(python="3.12")), "of 3.12, 3.13"),
        ("budgets", (case(fixtures=[]),), "no test declares a budget"),
        ("budgets", (case("<failure/>"),), "no test declares a budget"),
        ("warnings-are-errors", (*GOOD, case(raises_warnings=False)), "set filterwarnings"),
        ("fault-tests", (case(marks=[]),), "no test is marked faults"),
    ],
)
def test_results_that_lack_something_fail(
    rule: str, cases: tuple[str, ...], detail: str, subject: Subject, tmp_path: Path
) -> None:
    """What failed or was skipped proves nothing."""
    found = check(rule, subject, read(subject, tmp_path, *cases))
    assert Outcome.FAILED == found.outcome
    assert any(detail in one for one in found.details), found.details


def skipped(file: str, kind: str = "skip") -> str:
    """What pytest writes of a test that was skipped in a file."""
    return f'<skipped type="pytest.{kind}" message="x">{file}:3: x</skipped>'


KIT = "/lib/pegboard/testing/contracts/plugins/removed.py"


@pytest.mark.parametrize(
    "more,is_kept",
    [
        ([case(skipped(KIT), name="x::test_y")], True),
        ([case(skipped("/notes/tests/conftest.py"), name="x::test_y")], False),
        ([case(skipped(KIT), name="x::test_y", marks=["skip"])], False),
        ([case(skipped(KIT), name="x::test_y", marks=["skipif"])], False),
        ([case('<skipped type="pytest.xfail" message="x"/>', name="x::test_y")], False),
        ([case(skipped("/t.py"), name="x::test_y"), case(name="x::test_y")], True),
    ],
)
@pytest.mark.parametrize("rule", ["plugin-contract", "migrations-contract", "stage-contract"])
def test_only_a_contract_skips_its_tests(
    rule: str, more: list[str], *, is_kept: bool, subject: Subject, tmp_path: Path
) -> None:
    """Neither a mark nor a fixture of the plugin's does, unless the test passes elsewhere."""
    found = check(rule, subject, read(subject, tmp_path, *GOOD, *more))
    expected = (Outcome.PASSED, False) if is_kept else (Outcome.FAILED, True)
    wanted = "x::test_y is skipped, and not by the contract itself"
    assert expected == (found.outcome, wanted in found.details)


def test_each_resource_needs_a_class(subject: Subject, tmp_path: Path) -> None:
    """One class keeps the contract for one resource."""
    suite = read(subject, tmp_path, *GOOD)
    found = check("resource-contract", subject, suite, resources=("notes", "tags"))
    assert "1 classes inherit ResourceContract, for 2 resources" in found.details[-1]
    other = read(subject, tmp_path, *GOOD, case(**{"class": "TestTags"}))
    found = check("resource-contract", subject, other, resources=("notes", "tags"))
    assert Outcome.PASSED == found.outcome


@pytest.mark.parametrize(
    "rule,changes",
    [
        ("migrations-contract", {"tables": ()}),
        ("both-databases", {"tables": ()}),
        ("rows-migrated", {"tables": ()}),
        ("resource-contract", {"resources": ()}),
        ("stage-contract", {"hooks": ()}),
        ("budgets", {"routes": ()}),
        ("fault-tests", {"tables": ()}),
    ],
)
def test_a_rule_about_what_a_plugin_lacks_is_not_applicable(
    rule: str, changes: Any, subject: Subject, tmp_path: Path
) -> None:
    """Without an exemption."""
    suite = read(subject, tmp_path, case(contracts=[]))
    assert Outcome.NOT_APPLICABLE == check(rule, subject, suite, **changes).outcome


def test_results_of_others_are_none_of_the_plugin(subject: Subject, tmp_path: Path) -> None:
    """Nor are those without the property, as of tests that do not load the kit."""
    with pytest.raises(Unavailable, match="no test of example-notes is in the results"):
        read(subject, tmp_path, case(distribution="other"), "<testcase/>")


def test_results_that_are_not_there_are_told(subject: Subject, tmp_path: Path) -> None:
    """A missing file is a mistake of the caller, a broken one of whoever wrote it."""
    with pytest.raises(GradeError, match="there are no results at"):
        read_suite(subject, [tmp_path / "absent"])
    (tmp_path / "broken.xml").write_text("<testsuite>", encoding="utf-8")
    with pytest.raises(GradeError, match="is no report of pytest"):
        read_suite(subject, [tmp_path / "broken.xml"])


def test_results_without_coverage_leave_that_unknown(subject: Subject, tmp_path: Path) -> None:
    """It is not taken for zero, and does not pass."""
    found = check("coverage", subject, read(subject, tmp_path, *GOOD))
    assert Outcome.UNKNOWN == found.outcome
