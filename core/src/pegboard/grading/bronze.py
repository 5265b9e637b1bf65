"""The lowest tier: the plugin starts, is documented, and has tests of its own."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pegboard.grading.documented import undocumented_settings
from pegboard.grading.evidence import PAGES, Evidence
from pegboard.grading.rule import (
    Exemption,
    Finding,
    GradeRule,
    Tier,
    failed,
    judged,
    judged_events,
    libraries_do,
    not_applicable,
    passed,
)
from pegboard.grading.started import Started
from pegboard.plugins import installed_plugins

FIELDS = ("Summary", "Requires-Python")
"""What the metadata must have, beside an author, a licence and a description."""

_INSTALLS = re.compile(
    r"\b(?:pip[0-9.]*|pipx|uv|poetry|pdm|rye|hatch|pixi|conda|mamba)\s+(?:(?:pip|tool|-\S+)\s+)*"
    r"(?:install|add)\s(?P<what>.*)"
)
_DISTRIBUTION = re.compile(r"""(?:^|(?<=[\s'"]))[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?""", re.ASCII)


def starts(evidence: Evidence) -> Finding:
    """Check that an app starts with it and what it requires."""
    if problems := evidence.start.problems:
        return failed(*problems)
    needs = ", ".join(evidence.subject.needs)
    return passed(f"it starts beside {needs}" if needs else "it starts alone")


def starts_quietly(evidence: Evidence) -> Finding:
    """Check that nothing is logged as a warning."""
    return judged_events(
        evidence.started.warnings, evidence.subject.package, "no warning is logged"
    )


def has_metadata(evidence: Evidence) -> Finding:
    """Check the metadata of the distribution."""
    subject = evidence.subject
    missing = [name for name in FIELDS if not subject.field(name)]
    alternatives = {
        "Author or Maintainer": ("Author", "Author-email", "Maintainer", "Maintainer-email"),
        "License-Expression or License": ("License-Expression", "License"),
    }
    for title, fields in alternatives.items():
        if not any(subject.field(name) for name in fields):
            missing.append(title)
    if not subject.description.strip():
        missing.append("Description, from the readme")
    return judged(
        [f"the metadata has no {one}" for one in missing], "all that a package index shows"
    )


def requires_a_range_of_cores(evidence: Evidence) -> Finding:
    """Check that there is a lower and an upper bound."""
    own = next(one for one in installed_plugins() if one.name == evidence.subject.name)
    requires = own.distribution.requires if own.distribution else {}
    requirement = requires.get(canonicalize_name("pegboard"))
    if requirement is None:
        return failed("the distribution does not require pegboard; write pegboard>=0.1,<0.2")
    bounds = _bounds(requirement.specifier)
    if bounds != {"lower", "upper"}:
        missing = " and no ".join(sorted({"lower", "upper"} - bounds))
        return failed(f"{requirement} has no {missing} bound; write one like pegboard>=0.1,<0.2")
    return passed(str(requirement))


def tells_how_to_install(evidence: Evidence) -> Finding:
    """Check that the readme has the command."""
    name = canonicalize_name(evidence.subject.distribution)
    for line in evidence.subject.description.splitlines():
        if (command := _INSTALLS.search(line)) and name in _distributions(command["what"]):
            return passed("the readme says how it is installed")
    return failed(f"the readme lacks a line like `pip install {name}`")


def _distributions(arguments: str) -> set[str]:
    """Return the names of distributions among the arguments of a command."""
    return {canonicalize_name(one) for one in _DISTRIBUTION.findall(arguments)}


def documents_settings(evidence: Evidence) -> Finding:
    """Check that each setting is named in its documentation, with a text for operators."""
    settings = evidence.started.settings
    if not settings:
        return not_applicable("it has no settings")
    mistakes = undocumented_settings(settings, evidence.subject.name, evidence.texts, PAGES)
    return judged([*mistakes], f"{len(settings)} settings are documented")


def documents_commands(evidence: Evidence) -> Finding:
    """Check that each command and option has a help text."""
    commands = evidence.started.commands
    if not commands:
        return not_applicable("it has no commands")
    mistakes = [f"`{one.path}` has no help text" for one in commands if not one.help.strip()]
    mistakes += [
        f"`{one.path} {option}` has no help text" for one in commands for option in one.bare_options
    ]
    return judged(mistakes, f"{len(commands)} commands have help texts")


def documents_routes(evidence: Evidence) -> Finding:
    """Check that each route is in the OpenAPI document, and says what it does."""
    started = evidence.started
    if not started.routes:
        return not_applicable("it has no routes")
    mistakes = [*_undescribed(started)]
    mistakes += [
        f"{method} {route.rule} is not in the OpenAPI document: use pegboard.Blueprint"
        for route in started.routes
        for method in started.undocumented(route)
    ]
    return judged(mistakes, f"{len(started.operations)} calls are in the OpenAPI document")


def serve_pages(evidence: Evidence, reason: str) -> list[str]:
    """Return which routes are no pages for people that the reason names."""
    started = evidence.started
    mistakes = [*_undescribed(started)]
    for route in started.routes:
        if not started.undocumented(route):
            continue
        if route.methods != ("GET",):
            mistakes.append(f"{route.rule} is no page: it is for {', '.join(route.methods)}")
        elif f"{route.rule} " not in f"{reason} ".replace(",", " ").replace(". ", " "):
            mistakes.append(f"the reason does not name {route.rule}")
    return mistakes


def has_tests(evidence: Evidence) -> Finding:
    """Check that there are tests, and that all pass."""
    suite = evidence.tests
    if suite.problem:
        return failed(suite.problem)
    if not suite.cases:
        folders = ", ".join(map(str, map(Path, evidence.subject.options.tests)))
        return failed(f"there are no tests in {folders}")
    if not suite.passed:
        return failed("no test passes")
    failing = dict.fromkeys(case.name for case in suite.failed)
    mistakes = [f"{name} fails" for name in failing]
    passing = {case.name for case in suite.passed}
    mistakes += dict.fromkeys(
        f"{case.name} is marked {mark}, and passes nowhere"
        for case in suite.cases
        if case.outcome == "skipped" and case.name not in passing
        for mark in sorted({"skip", "xfail"} & case.marks)
    )
    return judged(mistakes, f"{len(suite.passed)} tests pass")


def _undescribed(started: Started) -> Iterator[str]:
    for name, operation in started.operations.items():
        if not _is_described(operation):
            yield f"{name} is not described: write a docstring on its view"


def _is_described(operation: Mapping[str, Any]) -> bool:
    """Return whether there is more than what the core makes of the name of the view."""
    made = operation.get("operationId", "").replace("_", " ").capitalize() + "."
    return {operation.get("summary"), operation.get("description")} != {made}


def _bounds(specifiers: SpecifierSet) -> set[str]:
    kinds = {
        ">=": {"lower"},
        ">": {"lower"},
        "<": {"upper"},
        "<=": {"upper"},
        "~=": {"lower", "upper"},
        "==": {"lower", "upper"},
    }
    return {bound for one in specifiers for bound in kinds.get(one.operator, set())}


RULES = (
    GradeRule(
        "starts",
        Tier.BRONZE,
        "An app starts with the plugin and what it requires, and nothing else.",
        "The app has the configuration `testing` and the `settings` of the plugin's table.",
        starts,
    ),
    GradeRule(
        "quiet-start",
        Tier.BRONZE,
        "Nothing is logged as a warning or an error when it starts.",
        "A warning is for an operator who has something to do; tell what is normal as `INFO`.",
        starts_quietly,
        libraries_do("log it", lambda evidence: evidence.started.warnings),
    ),
    GradeRule(
        "metadata",
        Tier.BRONZE,
        "Its distribution says what it is, whose, under which licence, and for which Python.",
        "In `[project]` these are `description`, `readme`, `authors`, `license` and "
        "`requires-python`.",
        has_metadata,
    ),
    GradeRule(
        "core-range",
        Tier.BRONZE,
        "Its distribution requires pegboard with a lower and an upper bound.",
        "Before 1.0 a minor release may change the plugin API: `pegboard>=0.1,<0.2`. The registry "
        "then tells an operator that a plugin is too old, before anything of it runs.",
        requires_a_range_of_cores,
    ),
    GradeRule(
        "readme",
        Tier.BRONZE,
        "Its readme says how it is installed.",
        "The readme is what the metadata of the distribution has as its description; a line of it "
        "has a command like `pip install` or `uv add` with the name of the distribution.",
        tells_how_to_install,
    ),
    GradeRule(
        "settings-documented",
        Tier.BRONZE,
        "Each setting has a `doc`, and is named in the documentation.",
        "Read are the readme and the files and folders of `docs` in the plugin's table, of these "
        "what ends in `.md`, `.rst` or `.txt`: its source is no page.",
        documents_settings,
    ),
    GradeRule(
        "commands-documented",
        Tier.BRONZE,
        "Each command and each of its options has a help text.",
        "The docstring of a command is its help text; options take `help`.",
        documents_commands,
    ),
    GradeRule(
        "routes-documented",
        Tier.BRONZE,
        "Each route is in the OpenAPI document, and described there.",
        "The routes of a `pegboard.Blueprint` and of a `Resource` are; the first line of a view's "
        "docstring is the summary.",
        documents_routes,
        Exemption(
            "for pages that people see in a browser: each is only for `GET`, and the reason names "
            "its route, as `/notes/page/<int:id>`.",
            serve_pages,
        ),
    ),
    GradeRule(
        "own-tests",
        Tier.BRONZE,
        "It has tests of its own, and all of them pass.",
        "They are those in the folders of `tests` in the plugin's table. One that is marked `skip` "
        "or `xfail`, and passes in no environment, does not pass.",
        has_tests,
    ),
)
