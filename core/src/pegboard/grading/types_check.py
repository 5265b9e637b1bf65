"""What mypy says of a plugin's package."""

import re

from pegboard.grading.errors import Unavailable
from pegboard.grading.processes import run_python
from pegboard.grading.subject import Subject

OPTIONS = (
    "--strict",
    "--config-file=",
    "--ignore-missing-imports",
    "--follow-imports=silent",
    "--show-error-codes",
    "--no-error-summary",
    "--no-color-output",
)

STRICT_CODES = frozenset(
    {
        "comparison-overlap",
        "explicit-any",
        "no-any-return",
        "no-any-unimported",
        "no-untyped-call",
        "no-untyped-def",
        "redundant-cast",
        "type-arg",
        "untyped-decorator",
        "unused-ignore",
    }
)
"""The codes of errors that mypy tells only with `--strict`."""

STRICT_TEXTS = ("does not explicitly export", "Untyped decorator", "Class cannot subclass")
"""Parts of such errors that share their code with others."""


def find_type_errors(subject: Subject) -> list[str]:
    """Return the errors of strict mypy; those of other packages do not count.

    The plugin's configuration of mypy does not, either. Raises `Unavailable` without mypy.
    """
    done = run_python(subject, ["-m", "mypy", *OPTIONS, "-p", subject.package])
    if "No module named mypy" in done.errors:
        message = "needs mypy: pip install 'pegboard[author]'"
        raise Unavailable(message)
    if done.status and ": error:" not in done.output:
        message = f"mypy failed: {(done.errors or done.output).strip()[-300:]}"
        raise Unavailable(message)
    return [line for line in done.output.splitlines() if ": error:" in line]


def is_strict_only(error: str) -> bool:
    """Return whether mypy tells an error only with `--strict`."""
    code = re.search(r"\[([\w-]+)\]$", error)
    is_of_code = code is not None and code[1] in STRICT_CODES
    return is_of_code or any(text in error for text in STRICT_TEXTS)
