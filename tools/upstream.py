"""Run the tests of Flask and of flask-smorest on the classes of a service.

What users of Flask rely on must hold for a service, too. The tests are those of the installed
versions, from their source distributions. They find the classes of a service in the place of
`flask.Flask` and `flask_smorest.Blueprint`. A test that fails on the original class as well, as a
library is newer than the test, does not count; when many do, the suite shows nothing and fails.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET  # the reports are our own

import projects

MAX_IGNORED = 0.05
"""The part of a suite, at most, that may fail on the original class."""

REPORTS = projects.ROOT / ".tox" / "reports"


@dataclass(frozen=True)
class Suite:
    """The tests of one distribution."""

    distribution: str
    replacement: str
    """A statement that puts the class of a service in the place of the distribution's."""
    excluded: tuple[str, ...] = ()
    """Tests of what a service does otherwise on purpose; each has its reason beside it."""


SUITES = (
    Suite(
        "flask",
        "import flask; from pegboard.app.service import Service; flask.Flask = Service",
    ),
    Suite(
        "flask-smorest",
        "import flask_smorest, pegboard; flask_smorest.Blueprint = pegboard.Blueprint",
        (
            # They compare the text of X-Pagination, which is JSON without spaces as all other.
            "tests/test_pagination.py::TestPagination::test_pagination_custom_header_field_name",
            "tests/test_pagination.py::TestPagination::test_pagination_async_view",
        ),
    ),
)


def unpack(distribution: str, folder: Path) -> Path:
    """Unpack the source distribution of the installed version into a folder."""
    pinned = f"{distribution}=={version(distribution)}"
    options = ("--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder))
    subprocess.run([sys.executable, "-m", "pip", "download", *options, pinned], check=True)
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder)
    return folder / archive.name.removesuffix(".tar.gz")


def failures(source: Path, report: Path, *options: str) -> set[str]:
    """Run tests; returns the ids of those that fail. Raises `SystemExit` if they cannot be run."""
    base = ("-q", "-o", "junit_family=xunit1", f"--junit-xml={report}", "--confcutdir=.")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *base, *options],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source.parent)},
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise SystemExit(done.returncode)
    return {_id(case) for case in _cases(report) if _has_failed(case)}


def run(suite: Suite, environment: str) -> bool:
    """Run a suite on the class of a service; returns whether all tests that count pass."""
    print(f"{suite.distribution} {version(suite.distribution)}", flush=True)
    report = REPORTS / f"{environment}-{suite.distribution}.xml"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = unpack(suite.distribution, folder)
        (folder / "replacement.py").write_text(suite.replacement, encoding="utf-8")
        deselected = (f"--deselect={test}" for test in suite.excluded)
        failing = failures(source, report, "-p", "replacement", *deselected)
        original = failures(source, folder / "original.xml", *failing) if failing else set()
    for test in sorted(original):
        print(f"does not count, as it fails on the original class as well: {test}", flush=True)
    ignored = len(original) / len(_cases(report))
    if ignored > MAX_IGNORED:
        print(f"{ignored:.0%} of the tests fail on the original class, so they show nothing")
    _forget(report, original)
    return failing == original and ignored <= MAX_IGNORED


def _cases(report: Path) -> list[ET.Element]:
    return list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - as above


def _has_failed(case: ET.Element) -> bool:
    return bool({child.tag for child in case} & {"failure", "error"})


def _id(case: ET.Element) -> str:
    """Return the id of a test, as pytest takes it on its command line."""
    module = case.attrib["file"].removesuffix(".py").replace("/", ".")
    classes = case.attrib["classname"].removeprefix(module).split(".")
    return "::".join([case.attrib["file"], *filter(None, classes), case.attrib["name"]])


def _forget(report: Path, tests: set[str]) -> None:
    """Remove tests from a report, so that the summary does not count them."""
    tree = ET.parse(report)  # noqa: S314 - as above
    for parent in tree.iter("testsuite"):
        for case in parent.findall("testcase"):
            if _id(case) in tests:
                parent.remove(case)
    tree.write(report)


if __name__ == "__main__":
    results = [run(suite, sys.argv[1]) for suite in SUITES]
    sys.exit(not all(results))
