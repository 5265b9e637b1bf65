"""The table `[tool.pegboard.grade]` of a plugin's pyproject.toml."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pegboard.grading.errors import GradeError

TABLE = "[tool.pegboard.grade]"
SHORTEST_REASON = 3
"""Words: less is no reason."""
MOST_CALLS = 300
"""The largest budget of calls; a request that the core answers by itself has about as many."""

FIXED: Mapping[str, Any] = {"ENV": "testing", "API_DOCS": True, "LOG_LEVEL": "WARNING"}
"""Settings with which every plugin is started to be graded."""

_TYPES: Mapping[str, tuple[type, str]] = {
    "claim": (str, 'the name of a tier, as in "silver"'),
    "done": (list, 'a list of rules, as in ["typed"]'),
    "exempt": (dict, "a table of rules with reasons"),
    "settings": (dict, "a table of settings of the app"),
    "tests": (list, 'a list of folders, as in ["tests"]'),
    "docs": (list, 'a list of files and folders, as in ["README.md", "docs"]'),
    "calls": (int, "a number of calls of Python functions"),
    "timeout": (int, "a number of seconds"),
}


@dataclass(frozen=True)
class Options:
    """What a plugin says of its grade, and what grading it needs to know."""

    claim: str | None = None
    """The tier that the plugin claims to have."""
    done: tuple[str, ...] = ()
    """Rules, also of higher tiers, that the plugin says it passes."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Rules that do not hold for the plugin, each with the reason."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The configuration of the app in which the plugin is started."""
    tests: tuple[str, ...] = ("tests",)
    """The folders of its own tests, seen from its pyproject.toml."""
    docs: tuple[str, ...] = ("README.md", "docs")
    """Files and folders with pages that document it, seen from its pyproject.toml."""
    calls: int = 100
    """The calls of Python functions that the plugin may add to a request for another's route."""
    timeout: int = 1800
    """Seconds after which its tests, and any other check, are ended."""


def read_options(pyproject: Mapping[str, Any], tiers: Collection[str]) -> Options:
    """Return the options of a pyproject.toml.

    Raises `GradeError` for a key, type or tier that there is not. The names of rules are checked by
    `check_rules`.
    """
    table = _table(pyproject)
    for key, value in table.items():
        _check_type(key, value)
    if table.get("calls", 0) > MOST_CALLS:
        message = f"{TABLE}: calls is {table['calls']}, and no budget is larger than {MOST_CALLS}"
        raise GradeError(message)
    for key in table.get("settings", {}):
        if key.removeprefix("PEGBOARD_") in FIXED:
            message = f"{TABLE}: settings has {key}, with which every plugin is started alike"
            raise GradeError(message)
    claim = table.get("claim")
    if claim is not None and claim not in tiers:
        message = f"{TABLE}: claim is {claim!r}{_nearest(claim, tiers)}"
        raise GradeError(message)
    for rule, reason in table.get("exempt", {}).items():
        if not isinstance(reason, str) or len(reason.split()) < SHORTEST_REASON:
            message = f"{TABLE}: the exemption of {rule} needs its reason, as a sentence"
            raise GradeError(message)
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Options(**{**table, **lists})


def _table(pyproject: Mapping[str, Any]) -> Mapping[str, Any]:
    tool = pyproject.get("tool", {}).get("pegboard", {})
    if not isinstance(tool, dict) or not isinstance(tool.get("grade", {}), dict):
        message = f"{TABLE} is no table"
        raise GradeError(message)
    for key in tool:
        if key != "grade" and difflib.get_close_matches(key, ["grade"], cutoff=0.7):
            message = f"[tool.pegboard.{key}] is no table of Pegboard's; did you mean {TABLE}?"
            raise GradeError(message)
    found: Mapping[str, Any] = tool.get("grade", {})
    return found


def _check_type(key: str, value: Any) -> None:
    if key not in _TYPES:
        message = f"{TABLE} has an unknown key {key!r}{_nearest(key, _TYPES)}"
        raise GradeError(message)
    kind, meaning = _TYPES[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        message = f"{TABLE}: {key} is {value!r}; write {meaning}"
        raise GradeError(message)
    if isinstance(value, list) and not all(isinstance(one, str) for one in value):
        message = f"{TABLE}: {key} is {value!r}; write {meaning}"
        raise GradeError(message)
    if isinstance(value, int) and value < 0:
        message = f"{TABLE}: {key} is {value!r}; write {meaning}, 0 or more"
        raise GradeError(message)


def check_rules(options: Options, rules: Mapping[str, bool]) -> None:
    """Raise `GradeError` for a rule that there is not, or that allows no exemption.

    `rules` says of each rule whether a plugin may be exempt from it.
    """
    for name in (*options.done, *options.exempt):
        if name not in rules:
            message = f"{TABLE} names an unknown rule {name!r}{_nearest(name, rules)}"
            raise GradeError(message)
    for name in options.exempt:
        if not rules[name]:
            allowed = ", ".join(one for one, may_be_exempt in rules.items() if may_be_exempt)
            message = (
                f"{TABLE}: no plugin is exempt from {name}, only from {allowed}; a rule about what "
                "a plugin does not have needs no exemption"
            )
            raise GradeError(message)
        if name in options.done:
            message = f"{TABLE}: {name} is both done and exempt"
            raise GradeError(message)


def _nearest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    if found:
        return f"; did you mean {found[0]!r}?"
    return f"; there are {', '.join(known)}"
