"""Write a constraints file of the lowest version that each requirement declares."""

import re
import sys
from pathlib import Path

import projects

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<lowest>[\w.]+)")


def lowest() -> list[str]:
    """Return `name==version` for each requirement; each must have a lowest version."""
    lines = set()
    for requirement in projects.requirements():
        match = REQUIREMENT.match(requirement)
        if match is None:
            message = f"{requirement!r} declares no lowest version"
            raise SystemExit(message)
        lines.add(f"{match['name']}=={match['lowest']}")
    return sorted(lines, key=str.lower)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(lowest()) + "\n", encoding="utf-8")
