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
from pegboard.plugins import code_digest
from pegboard.testing.distributions import PluginFolder

CONTRACTS = ["MigrationsContract", "PluginContract", "ResourceContract", "StageContract"]
STARTED = Started(
    (),
    hooks=("pegboard_stages",),
    tables=("notes",),
    migrations="notes/migrations",
    resources=("notes",),
    routes=(Route("/notes", ("GET",)),),
)
UP_AND_DOWN = "tests/test_it.py::TestIt::test_each_revision_goes_up_down_and_up_again[1]"


@pytest.fixture
def subject(plugin_folder: PluginFolder) -> Subject:
    """An installed plugin of which nothing is run."""
    plugin_folder.add("notes", requires=["pegboard"])
    return find_subject("notes", TIERS)


CODE = {"notes": {"version": "1.0", "digest": "THE DIGEST"}}
"""What a report says of the code; `read` puts the digest of the plugin there."""

SHOWN = {
    "proofs": ["budget", "fault"],
    "raises_warnings": True,
    "plugin": "notes",
    "resource": "notes",
}
"""What a test says when it has run."""


def case(inside: str = "", shown: Any = SHOWN, **changes: Any) -> str:
    """One test of a report, which passes on both databases and has all that the rules look for."""
    evidence = {
        "name": UP_AND_DOWN,
        "distribution": "Example_Notes",
        "class": "TestIt",
        "code": CODE,
        "contracts": CONTRACTS,
        "replaces": [],
        "proves": "rows-migrated",
        "databases": ["postgresql", "sqlite"],
        "fixtures": ["statement_budget"],
        "left_out": [],
        "marks": ["faults"],
        "python": "3.11",
        "plugins": ["notes"],
        **changes,
    }
    value = quoteattr(json.dumps(evidence))
    run = quoteattr(json.dumps({"resource_package": None, **shown}))
    found = f'<property name="pegboard" value={value}/><property name="pegboard.run" value={run}/>'
    return f"<testcase><properties>{found}</properties>{inside}</testcase>"


GOOD = (
    case(plugins=["items", "notes"]),
    case(),
    case(name="tests/test_it.py::test_more", contracts=[], **{"class": ""}),
)


def read(subject: Subject, folder: Path, *cases: str) -> Suite:
    """The results of a report with these tests."""
    text = f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"
    text = text.replace("THE DIGEST", code_digest(subject.package))
    (folder / "report.xml").write_text(text, encoding="utf-8")
    return read_suite(subject, [folder / "report.xml"])


def check(
    rule: str, subject: Subject, suite: Suite, *, is_one_run: bool = False, **changes: Any
) -> Finding:
    """What the checker of a rule finds."""
    evidence = SimpleNamespace(
        subject=subject, suite=suite, tests=suite, is_one_run=is_one_run, imports=()
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


ONLY_SQLITE = (case(databases=["sqlite"]), case(name="x::test_y", contracts=[], databases=[]))


@pytest.mark.parametrize(
    "rule,cases,detail",
    [
        ("own-tests", (*GOOD, case("<failure/>", name="x::test_y")), "x::test_y fails"),
        ("own-tests", (*GOOD, case("<error/>", name="x::test_y")), "x::test_y fails"),
        ("own-tests", (case("<skipped/>"),), "no test passes"),
        (
            "own-tests",
            (*GOOD, case("<skipped/>", name="x::test_y", marks=["xfail"])),
            "x::test_y is marked xfail, and passes nowhere",
        ),
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
        ("budgets", (case(shown={}),), "no test holds a request to a budget"),
        ("budgets", (case("<failure/>"),), "no test holds a request to a budget"),
        (
            "warnings-are-errors",
            (*GOOD, case(name="x::test_y", shown={**SHOWN, "raises_warnings": False})),
            "a warning fails 3 of 4 tests, and not x::test_y: set filterwarnings",
        ),
        ("fault-tests", (case(shown={}),), "no test stops, suspends or cuts off a server"),
        (
            "plugin-contract",
            (*GOOD, case(left_out=["x::test_y", "x::test_z[1]"])),
            "x::test_y is left out of every run",
        ),
        (
            "stage-contract",
            (case(left_out=["x::test_z[1]"]), case(name="x::test_z[2]")),
            "x::test_z[1] is left out of every run",
        ),
        (
            "plugin-contract",
            (case(shown={**SHOWN, "plugin": "items"}),),
            "no test class inherits PluginContract",
        ),
        (
            "resource-contract",
            (case(shown={**SHOWN, "resource": "tags"}),),
            "no class inherits ResourceContract for the resource notes",
        ),
        (
            "resource-contract",
            (case(shown={**SHOWN, "resource_package": "pegboard_items"}),),
            "no test class inherits ResourceContract",
        ),
    ],
)
def test_results_that_lack_something_fail(
    rule: str, cases: tuple[str, ...], detail: str, subject: Subject, tmp_path: Path
) -> None:
    """What failed or was skipped proves nothing."""
    found = check(rule, subject, read(subject, tmp_path, *cases))
    assert Outcome.FAILED == found.outcome
    assert any(detail in one for one in found.details), found.details


@pytest.mark.parametrize("rule", ["combinations", "lowest-python"])
def test_one_run_is_told_how_to_get_the_others(rule: str, subject: Subject, tmp_path: Path) -> None:
    """With the commands for what `pegboard new` has written."""
    suite = read(subject, tmp_path, case(python="3.13"))
    found = check(rule, subject, suite, is_one_run=True)
    assert Outcome.UNKNOWN == found.outcome
    (told,) = found.details
    commands = "`tox run -m matrix`, then `pegboard plugins grade notes --results .tox/reports`"
    assert told.endswith(f": run {commands}"), told


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
    """One that returns it, and not any second one."""
    again = case(**{"class": "TestAgain"})
    found = check(
        "resource-contract",
        subject,
        read(subject, tmp_path, *GOOD, again),
        resources=("notes", "tags"),
    )
    assert "no class inherits ResourceContract for the resource tags" == found.details[-1]
    tags = case(shown={**SHOWN, "resource": "tags"}, **{"class": "TestTags"})
    suite = read(subject, tmp_path, *GOOD, tags)
    found = check("resource-contract", subject, suite, resources=("notes", "tags"))
    assert Outcome.PASSED == found.outcome


def test_what_one_run_leaves_out_another_may_have(subject: Subject, tmp_path: Path) -> None:
    """As where a matrix runs parts of the tests in each environment."""
    part = case(left_out=["x::test_y", "x::test_z[1]"])
    others = (case(name="x::test_y[sqlite]"), case(name="x::test_z[1]"))
    found = check("plugin-contract", subject, read(subject, tmp_path, part, *others))
    assert Outcome.PASSED == found.outcome, found.details


@pytest.mark.parametrize(
    "code,told",
    [
        ({}, "report.xml does not say of which code of notes it is"),
        ({"notes": {"version": "0.9", "digest": "THE DIGEST"}}, "is of notes 0.9, and 1.0 is"),
        ({"notes": {"version": "1.0", "digest": "0"}}, "is of other code of notes 1.0 than is"),
    ],
)
def test_results_of_other_code_are_refused(
    code: Any, told: str, subject: Subject, tmp_path: Path
) -> None:
    """One report is enough: with the version, or that the files differ, and what to do."""
    suite = read(subject, tmp_path, *GOOD, case(code=code))
    found = check("own-tests", subject, suite)
    assert Outcome.FAILED == found.outcome
    assert told in found.details[0]
    assert found.details[0].endswith(": run the tests again")


@pytest.mark.parametrize(
    "rule,changes",
    [
        ("migrations-contract", {"tables": ()}),
        ("both-databases", {"tables": ()}),
        ("rows-migrated", {"migrations": None}),
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
