"""The third tier: combinations, budgets, data that survives, a clean document."""

from packaging.specifiers import SpecifierSet

from pegboard.grading.documented import undocumented_hooks
from pegboard.grading.evidence import PAGES, Evidence
from pegboard.grading.openapi_lint import lint
from pegboard.grading.rule import (
    Finding,
    GradeRule,
    Tier,
    failed,
    judged,
    judged_events,
    libraries_do,
    not_applicable,
    passed,
    unknown,
)
from pegboard.grading.silver import DATABASES

ROWS_MIGRATED = "rows-migrated"
"""The rule of which a test of `MigrationsContract` says that it proves it."""

OLDEST_PYTHON = 11
NEWEST_PYTHON = 30
"""Minor versions of Python 3 among which the lowest is looked for."""


def passes_in_combinations(evidence: Evidence) -> Finding:
    """Check that its tests pass alone, and beside other plugins."""
    subject = evidence.subject
    alone = frozenset({subject.name, *subject.needs})
    sets = {case.plugins for case in evidence.suite.passed}
    mistakes = []
    if alone not in sets:
        mistakes.append(f"no results where only {', '.join(sorted(alone))} was installed")
    if not any(alone < one for one in sets):
        mistakes.append("no results where other plugins were installed, too")
    if mistakes and evidence.is_one_run:
        return unknown(f"{mistakes[0]}: {_of_several(subject.name)}")
    return judged(mistakes, f"{len(sets)} combinations of installed plugins")


def passes_on_its_lowest_python(evidence: Evidence) -> Finding:
    """Check that there are results of the lowest Python that its metadata allows."""
    allowed = SpecifierSet(evidence.subject.field("Requires-Python"))
    lowest = next(
        (
            f"3.{minor}"
            for minor in range(OLDEST_PYTHON, NEWEST_PYTHON)
            if f"3.{minor}.99" in allowed
        ),
        None,
    )
    if lowest is None:
        return failed("its metadata allows no Python that Pegboard supports")
    versions = sorted({case.python for case in evidence.suite.passed}, key=_minor)
    if lowest in versions:
        return passed(f"results of Python {', '.join(versions)}")
    text = f"no results of Python {lowest}; there are those of {', '.join(versions) or 'none'}"
    if evidence.is_one_run:
        return unknown(f"{text}: {_of_several(evidence.subject.name)}")
    return failed(text)


def _of_several(name: str) -> str:
    """Return how one gets the results of several environments, and hands them over."""
    return f"run `tox run -m matrix`, then `pegboard plugins grade {name} --results .tox/reports`"


def declares_budgets(evidence: Evidence) -> Finding:
    """Check that a test counts what a request sends."""
    if not evidence.started.routes:
        return not_applicable("it has no routes")
    cases = [case for case in evidence.suite.passed if "budget" in case.proofs]
    tests = {case.name for case in cases}
    if not tests:
        return failed(
            "no test holds a request to a budget: use the fixture statement_budget, and send a "
            "request in its block"
        )
    return passed(f"{len(tests)} tests declare a budget")


def migrates_rows(evidence: Evidence) -> Finding:
    """Check that the contract's test with rows passed on both databases."""
    if not evidence.started.migrations:
        return not_applicable("it has no migrations")
    passing = {
        database
        for case in evidence.suite.of_contract("MigrationsContract")
        if case.outcome == "passed" and case.proves == ROWS_MIGRATED
        for database in case.databases
    }
    missing = [one for one in DATABASES if one not in passing]
    if missing:
        text = "the test of MigrationsContract that goes up and down with rows has not passed on"
        return failed(f"{text} {' or '.join(missing)}")
    return passed("each revision goes up, down and up again with rows in the tables")


def has_a_clean_document(evidence: Evidence) -> Finding:
    """Check its part of the OpenAPI document."""
    started = evidence.started
    if not started.operations:
        return not_applicable("it has no routes in the OpenAPI document")
    return judged(lint(started.document, started.operations), "nothing to complain of")


def documents_hooks(evidence: Evidence) -> Finding:
    """Check that each hook that it declares has a docstring, and is named in its documentation."""
    hooks = evidence.started.hookspecs
    if not hooks:
        return not_applicable("it declares no hooks")
    mistakes = undocumented_hooks(hooks, evidence.subject.name, evidence.texts, PAGES)
    return judged([*mistakes], f"{len(hooks)} hooks are documented")


def imports_quietly(evidence: Evidence) -> Finding:
    """Check that its import does nothing but define things."""
    return judged_events(
        evidence.started.effects, evidence.subject.package, "its import has no effects"
    )


def fails_on_warnings(evidence: Evidence) -> Finding:
    """Check that a warning would have failed each test."""
    cases = evidence.suite.passed
    if not cases:
        return failed("there are no results of tests")
    quiet = [*dict.fromkeys(case.name for case in cases if not case.raises_warnings)]
    if not quiet:
        return passed("a warning fails its tests")
    return failed(
        f"a warning fails {len(cases) - len(quiet)} of {len(cases)} tests, and not {quiet[0]}: set "
        'filterwarnings = ["error"] in [tool.pytest.ini_options], and ignore after it only '
        "warnings with a text, or of a library's module"
    )


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


RULES = (
    GradeRule(
        "combinations",
        Tier.GOLD,
        "Its tests pass where only the plugins that it requires are installed, and beside others.",
        "Run `tox run -m matrix`, and hand over what it has left by `--results .tox/reports`.",
        passes_in_combinations,
    ),
    GradeRule(
        "lowest-python",
        Tier.GOLD,
        "Its tests pass on the lowest Python that its metadata allows.",
        "That is the lowest version in `requires-python`.",
        passes_on_its_lowest_python,
    ),
    GradeRule(
        "budgets",
        Tier.GOLD,
        "If it has routes, a test declares how many statements a request may send.",
        "A test counts in which a block of the fixture `statement_budget` says a number, and has "
        "sent a request or a statement in its process.",
        declares_budgets,
    ),
    GradeRule(
        ROWS_MIGRATED,
        Tier.GOLD,
        "Each of its revisions goes up, down and up again with rows in the tables, on both "
        "databases.",
        "A test of `MigrationsContract` does that. A `downgrade` that does nothing, refuses, or "
        "leaves something fails it.",
        migrates_rows,
    ),
    GradeRule(
        "openapi-lint",
        Tier.GOLD,
        "Its part of the OpenAPI document is valid and complete.",
        "The document is valid OpenAPI; each call has an id of its own, a described tag, described "
        "parameters, an answer with a schema, and its errors.",
        has_a_clean_document,
    ),
    GradeRule(
        "hooks-documented",
        Tier.GOLD,
        "Each hook that it declares for other plugins has a docstring, and is named in the "
        "documentation.",
        "The docstring says when the hook is called, and what it returns.",
        documents_hooks,
    ),
    GradeRule(
        "quiet-import",
        Tier.GOLD,
        "Its import opens no connection and no database, starts no thread and no process, and "
        "writes no file.",
        "Do that in a hook that is given the app, or when it is first used.",
        imports_quietly,
        libraries_do("do it when they are imported", lambda evidence: evidence.started.effects),
    ),
    GradeRule(
        "warnings-are-errors",
        Tier.GOLD,
        "A warning fails its tests.",
        'Set `filterwarnings = ["error"]` in `[tool.pytest.ini_options]`: what is deprecated then '
        "shows before it is gone. Of filters the last that matches decides, as in pytest: one that "
        "ignores may follow if it has a text, or names a module of a library; so may "
        "`default::pytest.PytestDeprecationWarning`: plugins of pytest warn so while it starts, "
        "where an error ends the run. What a test has then is tried, so `-W ignore`, "
        "`-p no:warnings`, a mark and a fixture count as well.",
        fails_on_warnings,
    ),
)
