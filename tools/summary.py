"""Print what the tests of each environment came to, from the reports that pytest left."""

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET  # the reports are our own

import projects

REPORTS = projects.ROOT / ".tox" / "reports"
COVERAGE = projects.ROOT / ".tox" / "coverage"


def count(report: Path) -> Counter[str]:
    """Count the outcomes in one report."""
    outcomes: Counter[str] = Counter(passed=0, failed=0, skipped=0)
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - as above
        found = {child.tag for child in case}
        if found & {"failure", "error"}:
            outcomes["failed"] += 1
        elif "skipped" in found:
            outcomes["skipped"] += 1
        else:
            outcomes["passed"] += 1
    return outcomes


def line(outcomes: Counter[str]) -> str:
    """Say it as pytest does."""
    return ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())


def main(arguments: list[str]) -> None:
    """Print the summary, or with `--clear` forget the reports and coverage of an earlier run."""
    if arguments == ["--clear"]:
        for found in (*REPORTS.glob("*.xml"), *COVERAGE.glob("data*")):
            found.unlink()
        return
    total: Counter[str] = Counter(passed=0, failed=0, skipped=0)
    for report in sorted(REPORTS.glob("*.xml")):
        outcomes = count(report)
        total.update(outcomes)
        print(f"  {report.stem}: {line(outcomes)}")
    print(line(total))


if __name__ == "__main__":
    main(sys.argv[1:])
