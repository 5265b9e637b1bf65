"""Write the rules into docs/how-to/grade.md."""

from collections.abc import Iterator
from pathlib import Path

from marked_page import MarkedPage

from pegboard.grading import RULES, Tier


def sections() -> Iterator[str]:
    """Yield the lines of all tiers and their rules."""
    for tier in list(Tier)[1:]:
        yield f"\n## {tier.label.capitalize()}\n"
        for rule in RULES:
            if rule.tier == tier:
                yield f"\n### {rule.id}\n\n{rule.sentence}\n\n{rule.advice}"
                if rule.exemption is not None:
                    yield f" A plugin may be exempt {rule.exemption.condition}"
                yield "\n"


PAGE = MarkedPage(
    Path(__file__).parent / "how-to/grade.md", "rules", lambda _: f"{''.join(sections())}\n"
)


if __name__ == "__main__":
    PAGE.main()
