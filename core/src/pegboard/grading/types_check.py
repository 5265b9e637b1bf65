"""What mypy says of a plugin's package."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

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


_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_BEFORE_CODE = {tokenize.ENCODING, tokenize.NL, tokenize.NEWLINE, tokenize.STRING}
_CONFIGURES = re.compile(r"#\s*mypy:")
_IGNORES = re.compile(r"#\s*type:\s*ignore")


def find_type_errors(subject: Subject) -> list[str]:
    """Return the errors of strict mypy; those of other packages do not count.

    The plugin's configuration of mypy does not, either: comments that configure it, or leave out a
    whole module, are errors. Raises `Unavailable` without mypy.
    """
    done = run_python(subject, ["-m", "mypy", *OPTIONS, "-p", subject.package])
    if "No module named mypy" in done.errors:
        message = "needs mypy: pip install 'pegboard[author]'"
        raise Unavailable(message)
    if done.status and ": error:" not in done.output:
        message = f"mypy failed: {(done.errors or done.output).strip()[-300:]}"
        raise Unavailable(message)
    return [
        *find_silencing(subject),
        *(line for line in done.output.splitlines() if ": error:" in line),
    ]


def find_silencing(subject: Subject) -> Iterator[str]:
    """Yield what keeps mypy from looking at code, in the form of its own errors."""
    for path in sorted(subject.folder.rglob("*.pyi")):
        if path.with_suffix(".py").exists():
            place = path.relative_to(subject.folder.parent)
            yield f"{place}:1: error: mypy reads it in place of the module: remove it  [silenced]"
    for path in subject.modules:
        place = path.relative_to(subject.folder.parent)
        for node in ast.walk(ast.parse(path.read_bytes())):
            if text := _hidden(node):
                yield f"{place}:{getattr(node, 'lineno', 1)}: error: {text}  [silenced]"
    yield from _silencing_comments(subject)


def _hidden(node: ast.AST) -> str | None:
    """Return what hides code from mypy, if a node does; a name that is bound there hides none."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        texts = map(ast.unparse, node.decorator_list)
        if any(text.rpartition(".")[2] == "no_type_check" for text in texts):
            return "remove the decorator no_type_check"
    if isinstance(node, ast.If):
        test = ast.unparse(node.test).replace("typing.", "")
        hidden = {"TYPE_CHECKING": node.orelse, "not TYPE_CHECKING": node.body}.get(test, [])
        if any(isinstance(one, _FUNCTION) for part in hidden for one in ast.walk(part)):
            return "mypy does not see the functions that it never takes for executed"
    return None


def _silencing_comments(subject: Subject) -> Iterator[str]:
    for path in subject.modules:
        is_head = True  # where `type: ignore` is for the whole module
        for token in tokenize.tokenize(io.BytesIO(path.read_bytes()).readline):
            if token.type == tokenize.COMMENT:
                if _CONFIGURES.match(token.string) or (is_head and _IGNORES.match(token.string)):
                    place = f"{path.relative_to(subject.folder.parent)}:{token.start[0]}"
                    yield f"{place}: error: remove the comment {token.string!r}  [silenced]"
            elif token.type not in _BEFORE_CODE:
                is_head = False


def is_strict_only(error: str) -> bool:
    """Return whether mypy tells an error only with `--strict`."""
    code = re.search(r"\[([\w-]+)\]$", error)
    is_of_code = code is not None and code[1] in STRICT_CODES
    return is_of_code or any(text in error for text in STRICT_TEXTS)
