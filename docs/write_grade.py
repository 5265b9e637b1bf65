"""Write the rules into docs/how-to/grade.md, between `<!-- rules -->` and `<!-- end -->`.

With `--check` nothing is written, and the script fails when the file is not current.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pegboard.grading import RULES, Tier

PAGE = Path(__file__).parent / "how-to/grade.md"
MARKED = re.compile(r"(<!-- rules -->\n).*?(<!-- end -->)", re.DOTALL)


def sections() -> Iterator[str]:
    """Yield the lines of all tiers and their rules."""
    for tier in list(Tier)[1:]:
        yield f"\n## {tier.label.capitalize()}\n"
        for rule in RULES:
            if rule.tier == tier:
                yield f"\n### {rule.id}\n\n{rule.sentence}\n\n{rule.advice}"
                yield "\n" if rule.may_be_exempt else " No plugin is exempt from it.\n"


def current() -> str:
    """Return the text of the page with the rules it should have."""
    text = PAGE.read_text(encoding="utf-8")
    return MARKED.sub(lambda mark: f"{mark[1]}{''.join(sections())}\n{mark[2]}", text)


def is_stale() -> bool:
    """Return whether the page differs from what the code has."""
    return current() != PAGE.read_text(encoding="utf-8")


def main() -> None:
    """Write or check."""
    if not is_stale():
        return
    if "--check" in sys.argv:
        sys.exit(f"Not current: {PAGE.name}; run this script.")
    PAGE.write_text(current(), encoding="utf-8")
    print(f"{PAGE.name} written")


if __name__ == "__main__":
    main()
