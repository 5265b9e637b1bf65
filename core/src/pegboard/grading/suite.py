"""The results of a plugin's own tests: of a run of them here, or of reports that are given.

Each test says in the JUnit report of pytest what `pegboard.testing.evidence` writes of it: to which
distribution it belongs and of which code, which contracts its class inherits, on which databases it
runs, and what it has shown.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET  # the reports are pytest's

from packaging.utils import canonicalize_name

from pegboard.grading.coverage_data import Coverage, combine, settings_file
from pegboard.grading.errors import GradeError, Unavailable
from pegboard.grading.processes import Done, run_python
from pegboard.grading.subject import Subject
from pegboard.plugins import code_digest

PROPERTY = "pegboard"
RUN_PROPERTY = "pegboard.run"

_INTERNAL_ERROR = 3
"""The exit status of pytest when it, or a plugin of it, raises an error."""
_WARNING_ENDS = re.compile(r"^INTERNALERROR> (\S*Warning): (.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One test in one environment."""

    name: str
    """The id of the test, seen from its distribution."""
    outcome: str
    """One of passed, failed, skipped."""
    is_left_out: bool
    """Whether it is skipped by what is not of the testing kit, or is expected to fail."""
    group: str
    """The class that the test is in, or empty."""
    contracts: frozenset[str]
    """The names of the contracts that have it, if its class inherits them and it is theirs."""
    replaces: frozenset[str]
    """The names of the contracts of which it replaces a test by its own."""
    proves: str | None
    """The id of the rule that asks for this test of a contract; None for other tests."""
    left_out: frozenset[str]
    """The names of the tests that its class has of contracts, and that its run left out."""
    databases: frozenset[str]
    """The databases that it says it runs on: sqlite, postgresql."""
    fixtures: frozenset[str]
    """The fixtures of the testing kit that it asks for."""
    marks: frozenset[str]
    """Its markers."""
    proofs: frozenset[str]
    """What it has shown while it ran: budget, fault."""
    plugin: str | None
    """The plugin that its contract is about, if it says that."""
    resource: str | None
    """The resource that its contract is about, if it says that."""
    package: str | None
    """The import package of that resource."""
    python: str
    """The version of Python, as in 3.11."""
    plugins: frozenset[str]
    """The names of the plugins that were installed."""
    raises_warnings: bool
    """Whether a warning would have failed it, of whatever category and in whatever module."""


@dataclass(frozen=True)
class Suite:
    """All results of a plugin's own tests."""

    cases: tuple[Case, ...]
    coverage: Coverage | None
    """None if no coverage was given with the reports."""
    problem: str | None = None
    """What kept the tests from running, if they did not."""

    @property
    def passed(self) -> tuple[Case, ...]:
        """The results of the tests that passed."""
        return tuple(case for case in self.cases if case.outcome == "passed")

    @property
    def failed(self) -> tuple[Case, ...]:
        """The results of the tests that failed."""
        return tuple(case for case in self.cases if case.outcome == "failed")

    def of_contract(self, contract: str) -> tuple[Case, ...]:
        """Return the results of the tests of a contract."""
        return tuple(case for case in self.cases if contract in case.contracts)

    def left_out_of(self, contract: str) -> list[str]:
        """Return the names of the tests of a contract's classes that no run has had."""
        seen = {text for case in self.cases for text in (case.name, case.name.partition("[")[0])}
        names = {name for case in self.of_contract(contract) for name in case.left_out}
        return sorted(names - seen)

    def replaced_of(self, contract: str) -> list[str]:
        """Return the names of the tests that replace one of a contract."""
        return sorted({case.name for case in self.cases if contract in case.replaces})


def run_suite(subject: Subject) -> Suite:
    """Run the plugin's tests once, with coverage. Raises `Unavailable` without the source."""
    folders = [one for one in subject.options.tests if (subject.source / one).exists()]
    if not folders:
        return Suite((), None)
    with tempfile.TemporaryDirectory(prefix="pegboard-grade-") as name:
        folder = Path(name)
        report = folder / "report.xml"
        settings = settings_file(subject, folder)
        run = ["-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q"]
        options = ["-p", "pegboard.testing.evidence", f"--junit-xml={report}", "--tb=line"]
        done = run_python(subject, [*run, *options, *folders], folder=subject.source)
        if not report.exists() or done.status == _INTERNAL_ERROR:
            return Suite((), None, f"the tests cannot be run: {_why_none_ran(done)}")
        if problem := _collection_problem(report):
            return Suite((), None, problem)
        cases = _own(_cases(report, subject), subject)
        return Suite(cases, combine(subject, [*folder.glob("data.*")], folder))


def read_suite(subject: Subject, paths: Sequence[Path]) -> Suite:
    """Read reports and coverage data; a path is that of a file or of a folder that holds files.

    Raises `GradeError` for a path that is not there.
    """
    if missing := [str(path) for path in paths if not path.exists()]:
        message = f"there are no results at {', '.join(missing)}; run the tests first"
        raise GradeError(message)
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.is_file()
    ]
    reports = [file for file in files if file.suffix == ".xml"]
    try:
        cases = _own((case for report in reports for case in _cases(report, subject)), subject)
    except OtherCodeError as error:
        return Suite((), None, str(error))
    if not cases:
        message = (
            f"no test of {subject.distribution} is in the results: give reports of pytest "
            "--junit-xml whose tests load pegboard.testing.fixtures"
        )
        raise Unavailable(message)
    data = [file for file in files if _is_coverage(file)]
    if not data:
        return Suite(cases, None)
    with tempfile.TemporaryDirectory(prefix="pegboard-grade-") as name:
        return Suite(cases, combine(subject, data, Path(name)))


def _why_none_ran(done: Done) -> str:
    """Return what ended pytest before its first test."""
    if warning := _WARNING_ENDS.search(f"{done.output}\n{done.errors}"):
        category, text = warning.groups()
        return (
            f"{category} ends pytest while it starts, as a warning is an error: {text} Add "
            f'"default::{category}" to filterwarnings, after "error"'
        )
    lines = (done.errors or done.output).strip().splitlines()
    return lines[-1] if lines else f"exit status {done.status}"


def _collection_problem(report: Path) -> str | None:
    """Return what keeps modules of tests from being imported, of which pytest runs none then."""
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - as above
        error = case.find("error")
        if error is not None and error.get("message") == "collection failure":
            lines = [line.strip() for line in (error.text or "").splitlines() if line.strip()]
            reasons = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
            reason = (reasons or lines or ["see pytest"])[-1]
            return f"the tests in {case.get('name')} cannot be collected: {reason}"
    return None


def _is_coverage(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(15) == b"SQLite format 3"


class OtherCodeError(Exception):
    """Raised for results of other code than is graded."""


def _own(cases: Iterable[Case], subject: Subject) -> tuple[Case, ...]:
    """Return the results; a class whose contracts are about another plugin keeps none for this."""
    found = tuple(cases)
    others = {
        _class_of(case)
        for case in found
        if case.plugin not in {None, subject.name}
        or (case.package is not None and case.package != subject.package.partition(".")[0])
    }
    return tuple(
        replace(case, contracts=frozenset(), replaces=frozenset(), left_out=frozenset())
        if _class_of(case) in others
        else case
        for case in found
    )


def _class_of(case: Case) -> tuple[str, str]:
    return case.name.partition("::")[0], case.group


def _cases(report: Path, subject: Subject) -> Iterator[Case]:
    own = canonicalize_name(subject.distribution)
    try:
        root = ET.parse(report).getroot()  # noqa: S314 - as above
    except ET.ParseError as error:
        message = f"{report} is no report of pytest: {error}"
        raise GradeError(message) from error
    for case in root.iter("testcase"):
        found = {
            one.get("name"): one.get("value", "") for one in case.iterfind("properties/property")
        }
        if PROPERTY in found:
            evidence = json.loads(found[PROPERTY])
            if canonicalize_name(evidence["distribution"]) == own:
                _require_same_code(report, evidence.get("code", {}).get(subject.name), subject)
                yield _case(case, evidence, json.loads(found.get(RUN_PROPERTY, "{}")))


def _require_same_code(report: Path, code: dict[str, str] | None, subject: Subject) -> None:
    """Raise `OtherCodeError` for a report that is not of the code that is installed."""
    again = "run the tests again"
    if code is None:
        message = f"{report.name} does not say of which code of {subject.name} it is: {again}"
    elif code["version"] != subject.version:
        message = (
            f"{report.name} is of {subject.name} {code['version']}, and {subject.version} is "
            f"installed: {again}"
        )
    elif code["digest"] != code_digest(subject.package):
        message = (
            f"{report.name} is of other code of {subject.name} {subject.version} than is "
            f"installed: {again}"
        )
    else:
        return
    raise OtherCodeError(message)


def _is_left_out(skipped: ET.Element, marks: Sequence[str]) -> bool:
    """Return whether it is not the kit that skips a test; pytest tells the file that does.

    Of a mark it tells the file of the test, which may be that of a contract.
    """
    file = (skipped.text or "").partition(": ")[0]
    return "pegboard/testing/" not in file.replace("\\", "/") or bool({"skip", "skipif"} & {*marks})


def _case(case: ET.Element, evidence: dict[str, Any], shown: dict[str, Any]) -> Case:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        outcome = "failed"
    else:
        outcome = "skipped" if "skipped" in tags else "passed"
    return Case(
        name=evidence["name"],
        outcome=outcome,
        is_left_out=any(_is_left_out(one, evidence["marks"]) for one in case.iterfind("skipped")),
        group=evidence["class"],
        contracts=frozenset(evidence["contracts"]),
        replaces=frozenset(evidence["replaces"]),
        proves=evidence.get("proves"),  # which reports of an older testing kit do not have
        left_out=frozenset(evidence["left_out"]),
        databases=frozenset(evidence["databases"]),
        fixtures=frozenset(evidence["fixtures"]),
        marks=frozenset(evidence["marks"]),
        proofs=frozenset(shown.get("proofs", ())),
        plugin=shown.get("plugin"),
        resource=shown.get("resource"),
        package=shown.get("resource_package"),
        python=evidence["python"],
        plugins=frozenset(evidence["plugins"]),
        raises_warnings=shown.get("raises_warnings", False),
    )
