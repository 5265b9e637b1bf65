"""The second tier: the contracts are kept on both databases, types are checked, tests are whole."""

from collections.abc import Callable, Collection

from pegboard.grading.evidence import Evidence
from pegboard.grading.rule import (
    Finding,
    GradeRule,
    Tier,
    failed,
    judged,
    not_applicable,
    passed,
    unknown,
)
from pegboard.grading.suite import Case
from pegboard.grading.types_check import is_strict_only

DATABASES = ("sqlite", "postgresql")
LEAST_COVERAGE = 90.0
SHOWN = 10
"""Errors that are listed; a plugin without types has hundreds."""


def keeps(evidence: Evidence, contract: str) -> Finding:
    """Check that a class of its tests inherits the contract, and that its tests pass."""
    cases = evidence.suite.of_contract(contract)
    if not cases:
        return failed(f"no test class inherits {contract} of pegboard.testing.contracts")
    passing = [case for case in cases if case.outcome == "passed"]
    mistakes = [f"{name} fails" for name in _names(cases, "failed")]
    mistakes += [
        f"{name} replaces a test of {contract}" for name in evidence.suite.replaced_of(contract)
    ]
    mistakes += [
        f"{name} is left out of every run" for name in evidence.suite.left_out_of(contract)
    ]
    done = {case.name for case in passing}
    left_out = {case.name for case in cases if case.is_left_out} - done
    if passing:
        mistakes += [
            f"{name} is skipped, and not by the contract itself" for name in sorted(left_out)
        ]
    if not passing and not mistakes:
        mistakes = [f"all tests of {contract} are skipped"]
    return judged(mistakes, f"{len(passing)} tests of {contract} pass")


def keeps_plugin_contract(evidence: Evidence) -> Finding:
    """Check the contract of every plugin."""
    return keeps(evidence, "PluginContract")


def keeps_migrations_contract(evidence: Evidence) -> Finding:
    """Check the contract of migrations, on both databases."""
    if not evidence.started.tables:
        return not_applicable("it has no tables")
    found = keeps(evidence, "MigrationsContract")
    passing = {
        database
        for case in evidence.suite.of_contract("MigrationsContract")
        if case.outcome == "passed"
        for database in case.databases
    }
    if missing := [one for one in DATABASES if one not in passing]:
        return failed(*found.details, f"no test of it has passed on {' or '.join(missing)}")
    return found


def keeps_resource_contract(evidence: Evidence) -> Finding:
    """Check that each resource has a class that inherits the contract."""
    resources = evidence.started.resources
    if not resources:
        return not_applicable("it has no resources")
    found = keeps(evidence, "ResourceContract")
    kept = {case.resource for case in evidence.suite.of_contract("ResourceContract")}
    if missing := [name for name in resources if name not in kept]:
        texts = (f"no class inherits ResourceContract for the resource {name}" for name in missing)
        return failed(*found.details, *texts)
    return found


def keeps_if_it_has(hook: str, contract: str) -> Callable[[Evidence], Finding]:
    """Return a check that the contract is kept by a plugin that implements the hook."""

    def check(evidence: Evidence) -> Finding:
        if hook not in evidence.started.hooks:
            return not_applicable(f"it does not implement {hook}")
        return keeps(evidence, contract)

    return check


def runs_on_both_databases(evidence: Evidence) -> Finding:
    """Check that tests other than those of migrations pass on each database."""
    if not evidence.started.tables:
        return not_applicable("it has no tables")
    cases = [case for case in evidence.suite.cases if "MigrationsContract" not in case.contracts]
    counts = {
        database: sum(database in case.databases for case in cases if case.outcome == "passed")
        for database in DATABASES
    }
    if missing := [database for database, number in counts.items() if not number]:
        return failed(f"no test passes on {' or '.join(missing)}: use the fixture database_url")
    texts = (f"{number} tests on {database}" for database, number in counts.items())
    return passed(" and ".join(texts))


def has_types(evidence: Evidence) -> Finding:
    """Check that it ships `py.typed`, and that mypy finds nothing."""
    if not is_marked(evidence):
        return failed(f"there is no file {evidence.subject.package}/py.typed")
    errors = [one for one in evidence.type_errors if not is_strict_only(one)]
    return judged(errors[:SHOWN], "mypy finds nothing")


def is_marked(evidence: Evidence) -> bool:
    """Return whether mypy takes its types for meant."""
    return (evidence.subject.folder / "py.typed").is_file()


def is_covered(evidence: Evidence) -> Finding:
    """Check how much of it the tests execute."""
    suite = evidence.suite
    if not suite.cases:
        return failed("there are no results of tests")
    if suite.coverage is None and evidence.is_one_run:
        return failed("they execute nothing of it")
    if suite.coverage is None:
        return unknown("the results have no data of coverage; name those by --results, too")
    percent = suite.coverage.percent
    if percent < LEAST_COVERAGE:
        return failed(f"{percent:.1f} %; least of all: {', '.join(suite.coverage.poorest)}")
    return passed(f"{percent:.1f} %")


def _names(cases: Collection[Case], outcome: str) -> list[str]:
    return [*dict.fromkeys(case.name for case in cases if case.outcome == outcome)]


RULES = (
    GradeRule(
        "plugin-contract",
        Tier.SILVER,
        "A test class inherits `PluginContract`, and its tests pass.",
        "It installs from its wheel, starts in either order, leaves no global state and nothing "
        "behind. A test of a contract that is skipped by a mark or by a fixture of the plugin's, "
        "and passes in no environment, fails this rule and those of the other contracts.",
        keeps_plugin_contract,
    ),
    GradeRule(
        "migrations-contract",
        Tier.SILVER,
        "If it has tables, a test class inherits `MigrationsContract`, and its tests pass on both "
        "databases.",
        "The contract runs on SQLite and PostgreSQL by itself.",
        keeps_migrations_contract,
    ),
    GradeRule(
        "resource-contract",
        Tier.SILVER,
        "Each resource has a test class that inherits `ResourceContract`, and its tests pass.",
        "The class returns the resource from the fixture `resource`.",
        keeps_resource_contract,
    ),
    GradeRule(
        "cache-strategy-contract",
        Tier.SILVER,
        "If it brings a cache strategy, a test class inherits `CacheStrategyContract`, and its "
        "tests pass.",
        "A plugin that implements `pegboard_cache_strategy` brings one.",
        keeps_if_it_has("pegboard_cache_strategy", "CacheStrategyContract"),
    ),
    GradeRule(
        "client-identity-contract",
        Tier.SILVER,
        "If it identifies clients, a test class inherits `ClientIdentityContract`, and its tests "
        "pass.",
        "A plugin that implements `pegboard_client_identity` does.",
        keeps_if_it_has("pegboard_client_identity", "ClientIdentityContract"),
    ),
    GradeRule(
        "stage-contract",
        Tier.SILVER,
        "If it brings stages, a test class inherits `StageContract`, and its tests pass.",
        "A plugin that implements `pegboard_stages` brings some.",
        keeps_if_it_has("pegboard_stages", "StageContract"),
    ),
    GradeRule(
        "both-databases",
        Tier.SILVER,
        "If it has tables, its own tests pass on SQLite and on PostgreSQL.",
        "A test runs on both with the fixture `database_url`; tests of `MigrationsContract` do not "
        "count here.",
        runs_on_both_databases,
    ),
    GradeRule(
        "typed",
        Tier.SILVER,
        "It ships `py.typed`, and mypy finds no error in it.",
        "mypy runs without the plugin's own configuration; what hides code from it counts as an "
        "error: a comment `# mypy: ...`, a `# type: ignore` for a whole module, `no_type_check`, a "
        "function that is under `not TYPE_CHECKING`, a `.pyi` beside its module. Errors that it "
        "tells only with `--strict` do not count, nor do libraries without types.",
        has_types,
    ),
    GradeRule(
        "coverage",
        Tier.SILVER,
        f"Its tests execute at least {LEAST_COVERAGE:.0f} % of it.",
        "Lines and branches together, in all results that there are. A module without data counts, "
        "and so does what a comment `pragma: no cover` would leave out; revisions do not, each of "
        "which `MigrationsContract` runs.",
        is_covered,
    ),
)
