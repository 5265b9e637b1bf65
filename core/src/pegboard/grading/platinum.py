"""The highest tier: strict types, nothing private, faults and costs under control."""

import re
import sys
from importlib import import_module
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pegboard.grading.evidence import Evidence
from pegboard.grading.imports import Import
from pegboard.grading.rule import Finding, GradeRule, Tier, failed, judged, not_applicable, passed
from pegboard.grading.silver import SHOWN, is_marked
from pegboard.plugins import PUBLIC_MODULES


def has_strict_types(evidence: Evidence) -> Finding:
    """Check that strict mypy finds nothing."""
    if not is_marked(evidence):
        return failed(f"there is no file {evidence.subject.package}/py.typed")
    errors = evidence.type_errors
    return judged(errors[:SHOWN], "mypy --strict finds nothing")


def imports_public_names(evidence: Evidence) -> Finding:
    """Check what it imports of the core and of other plugins."""
    mistakes = [*filter(None, map(_private, evidence.imports))]
    return judged([*dict.fromkeys(mistakes)], "it uses only public names")


def declares_imports(evidence: Evidence) -> Finding:
    """Check that its distribution requires what it imports."""
    metadata = evidence.subject.metadata
    requirements = map(Requirement, metadata.requires or ())
    extras = ["", *metadata.metadata.get_all("Provides-Extra", ())]
    # What an extra is for may be missing: its import is where the plugin can do without it.
    declared = {
        canonicalize_name(one.name)
        for one in requirements
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    }
    providers = packages_distributions()
    mistakes = []
    for top in sorted({one.top for one in evidence.imports if not _is_given(one)}):
        if top in sys.stdlib_module_names:
            continue
        # An editable installation does not say which packages it has.
        distributions = {canonicalize_name(name) for name in (*providers.get(top, ()), top)}
        if not distributions & declared:
            place = next(one.place for one in evidence.imports if one.top == top)
            name = canonicalize_name(providers.get(top, [top])[0])
            mistakes.append(f"{place} imports {top}: add {name} to the dependencies")
    return judged(mistakes, "every package that it imports is among its dependencies")


def imports_no_tests(evidence: Evidence) -> Finding:
    """Check that nothing for tests is imported when it serves."""
    mistakes = [
        f"{one.place} imports {one.module}, which is for tests"
        for one in evidence.imports
        if (one.top == "pytest" or one.module.startswith("pegboard.testing"))
        and not one.is_for_tests
        and not one.is_typing
    ]
    mistakes += [f"{one} is loaded when it starts" for one in evidence.started.test_modules]
    return judged(mistakes, "nothing for tests is imported when it serves")


def tests_faults(evidence: Evidence) -> Finding:
    """Check that a test lets a server fail."""
    uses_redis = any(
        one.top == "redis" or one.module == "pegboard.redis" for one in evidence.imports
    )
    if not uses_redis and not evidence.started.tables:
        return not_applicable("it uses neither Redis nor the database")
    names = {case.name for case in evidence.suite.passed if "fault" in case.proofs}
    if not names:
        return failed("no test stops, suspends or cuts off a server: use own_redis or own_postgres")
    return passed(f"{len(names)} tests let a server fail")


def keeps_its_budget(evidence: Evidence) -> Finding:
    """Check what it adds to a request for another plugin's route."""
    without, beside = evidence.started.calls
    added, allowed = max(0, beside - without), evidence.subject.options.calls
    text = f"{added} calls of Python functions are added to a request for another's route"
    return passed(text) if added <= allowed else failed(f"{text}; its budget (calls) is {allowed}")


def _is_given(one: Import) -> bool:
    """Return whether no requirement is needed: as for types alone."""
    # Revisions import what the core's template writes, which is the core's requirement; contracts
    # that the plugin has for others import pytest, which whoever runs them has.
    is_revision = one.top == "alembic" and "/migrations/" in one.place
    return one.is_typing or is_revision or (one.top == "pytest" and one.is_for_tests)


def _private(one: Import) -> str | None:
    """Return what is private in an import or a use, if it is."""
    used = f"{one.module}.{one.name}" if one.name else one.module
    if one.top != "pegboard" and not one.top.startswith("pegboard_"):
        return None
    is_dunder = re.compile(r"__(?!dict__)\w+__").fullmatch
    if any(part.startswith("_") and not is_dunder(part) for part in used.split(".")):
        return f"{one.place} imports or uses {used}, which is private"
    if one.top != "pegboard" or one.module.startswith("pegboard.testing"):
        return None
    if one.module not in PUBLIC_MODULES:
        return f"{one.place} imports {one.module}, which is no public module of the core"
    names = getattr(import_module(one.module), "__all__", ())
    name = (one.name or "").partition(".")[0]
    if name and name not in names and not is_dunder(name) and used not in PUBLIC_MODULES:
        return f"{one.place} imports or uses {one.name} of {one.module}, which is no public name"
    return None


RULES = (
    GradeRule(
        "strict-types",
        Tier.PLATINUM,
        "mypy finds no error in it with `--strict`.",
        "Again without the plugin's own configuration.",
        has_strict_types,
    ),
    GradeRule(
        "public-imports",
        Tier.PLATINUM,
        "It imports and uses only public names of the core and of other plugins.",
        "Those of the core are in the reference of Python; no part of a name begins with an "
        "underscore. What is used as an attribute counts, too, as `pegboard.server`, and so does "
        "what is named in `sys.modules`, or for `import_module`, `resolve_name` and the like.",
        imports_public_names,
    ),
    GradeRule(
        "declared-imports",
        Tier.PLATINUM,
        "Its distribution requires every package that it imports.",
        "What happens to be installed by another distribution's requirement may be gone with its "
        "next release.",
        declares_imports,
    ),
    GradeRule(
        "no-test-imports",
        Tier.PLATINUM,
        "It imports neither pytest nor `pegboard.testing` when it serves.",
        "A subpackage `testing` of its own may, if nothing imports that when it serves.",
        imports_no_tests,
    ),
    GradeRule(
        "fault-tests",
        Tier.PLATINUM,
        "If it uses Redis or the database, a test lets a server fail.",
        "A test counts that has stopped, killed or suspended a server of the testing kit "
        "(`own_redis`, `own_postgres` and the like), or has cut or held a connection by "
        "`redis_proxy`.",
        tests_faults,
    ),
    GradeRule(
        "performance-budget",
        Tier.PLATINUM,
        "A request for another plugin's route costs no more than the plugin declares.",
        "Calls of Python functions are counted, which are the same on every machine. The budget is "
        "`calls` in the plugin's table, 300 at most, and 100 without it.",
        keeps_its_budget,
    ),
)
