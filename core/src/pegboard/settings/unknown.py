"""Names that are meant for a setting and set none, with the one that each may be meant for."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flask import Flask

from pegboard.problems import Code, Problem
from pegboard.settings.declare import ENV_PREFIX, Declaration, prefix_of
from pegboard.settings.resolve import Sources
from pegboard.settings.service_links import is_service_link

_TESTING_PREFIX = f"{ENV_PREFIX}TEST_"
"""What begins so is for the testing kit, whose fixtures read it."""


@dataclass(frozen=True)
class Unused:
    """A name that has no effect, as an environment variable that looks like one of a setting."""

    name: str
    """As it is spelled where it is given; a variable with its prefix."""
    reason: str
    """Why it is not used, as a part of a sentence."""
    near: str | None = None
    """The name that it may be a misspelling of."""
    is_warned: bool = False
    """Whether the start warns of it even if it resembles nothing."""

    def __str__(self) -> str:
        question = f" Did you mean {self.near}?" if self.near else ""
        return f"{self.name} is not used: {self.reason}.{question}"


def unknown_settings(
    declared: Iterable[Declaration], prefixes: Mapping[str, str], sources: Sources
) -> tuple[tuple[Problem, ...], tuple[Unused, ...]]:
    """Return a problem for each name that is meant for a setting that there is not.

    That is a name under a plugin's prefix that the plugin does not declare, a variable that is a
    misspelling of one of the core, and a variable's name that is given to `create_app`. Other
    variables with the platform's prefix, longer forms of those of the core included, are unused,
    as they may belong to a plugin that is not active, and names without it that are misspellings
    of a setting that is not given, as they may belong to another program, to Flask or to an
    extension. `prefixes` maps the prefix of each active plugin to the plugin's name.
    """
    names = _Names(tuple(declared), prefixes, sources)
    problems: list[Problem] = []
    unused = [*_near_misses(names.declared, sources)]
    for name in sources.explicit:
        if name not in names.keys:
            problems += names.problems_of_key(name)
    for variable in sources.environment:
        if not variable.upper().startswith(ENV_PREFIX) or variable in names.variables:
            continue
        if is_service_link(variable, sources.environment):
            unused.append(Unused(variable, "it describes a service of the network"))
        elif found := [*names.problems_of_variable(variable)]:
            problems += found
        elif not variable.upper().startswith(_TESTING_PREFIX):
            ours = [one for one in names.variables if one.startswith(ENV_PREFIX)]
            near = _nearest(variable.upper(), ours, MISSPELLING) or names.short_form(variable)
            unused.append(Unused(variable, "no active plugin declares it", near))
    return tuple(problems), tuple(unused)


class _Names:
    """The names of the declared settings, by which others are judged."""

    def __init__(
        self, declared: tuple[Declaration, ...], prefixes: Mapping[str, str], sources: Sources
    ) -> None:
        self.declared = declared
        former = [one.former for one in declared if one.former is not None]
        self.keys = {one.key for one in (*declared, *former)}
        self.variables = {name: one for one in (*declared, *former) for name in one.variables}
        self._prefixes = prefixes
        self._sources = sources
        self._core = {
            name.removeprefix(ENV_PREFIX): name
            for name, one in self.variables.items()
            if one.owner is None
        }

    def problems_of_key(self, name: str) -> Iterator[Problem]:
        """Yield a problem for what `create_app` was given, and no setting has as its key."""
        summary = f"unknown setting {name} (given to create_app)"
        if declaration := self.variables.get(name):
            what = f"{name} is a variable of the environment; " if name != declaration.key else ""
            hint = f"{what}what create_app is given is called {declaration.key}."
            yield Problem(Code.SETTING_UNKNOWN, summary, hint, declaration.owner)
        elif owner := self._owner_of(name):
            allowed = sorted(one for one in self.keys if one.startswith(prefix_of(owner)))
            hint = _hint(_nearest(name.removeprefix(ENV_PREFIX), allowed), allowed)
            yield Problem(Code.SETTING_UNKNOWN, summary, hint, owner)
        elif name.startswith(ENV_PREFIX) and (
            near := _nearest(name.removeprefix(ENV_PREFIX), self._core, MISSPELLING)
        ):
            key = self.variables[self._core[near]].key
            hint = f"Did you mean {key}? pegboard config show prints all settings."
            yield Problem(Code.SETTING_UNKNOWN, summary, hint)

    def problems_of_variable(self, name: str) -> Iterator[Problem]:
        """Yield a problem for a variable of the environment with the platform's prefix."""
        summary = f"unknown setting {name} (environment)"
        upper = name.upper()
        if owner := self._owner_of(upper):
            prefix = prefix_of(owner)
            allowed = sorted(
                one for one in self.variables if one.removeprefix(ENV_PREFIX).startswith(prefix)
            )
            hint = _hint(_nearest(upper, allowed), allowed)
            yield Problem(Code.SETTING_UNKNOWN, summary, hint, owner)
        elif near := _nearest(upper.removeprefix(ENV_PREFIX), self._core, MISSPELLING):
            hint = f"Did you mean {self._core[near]}? pegboard config show prints all settings."
            yield Problem(Code.SETTING_UNKNOWN, summary, hint)

    def short_form(self, name: str) -> str | None:
        """Return the variable of the core that is short for a name, as ENV is for ENVIRONMENT."""
        bare = name.upper().removeprefix(ENV_PREFIX)
        # LOG_LEVEL is not short for LOG_LEVEL_OF_SHOP, which may be of a plugin called `log_level`.
        short = [one for one in self._core if re.fullmatch(rf"{one}[A-Z]+", bare)]
        return self._core[max(short, key=len)] if short else None

    def _owner_of(self, name: str) -> str | None:
        """Return the active plugin under whose prefix a name is; the longest prefix counts.

        ITEMS_AUDIT_X is a setting of items_audit where that is active, else of items.
        """
        bare = name.removeprefix(ENV_PREFIX)
        matching = [prefix for prefix in self._prefixes if bare.startswith(prefix)]
        return self._prefixes[max(matching, key=len)] if matching else None


def _hint(near: str | None, known: Iterable[str]) -> str:
    question = f"Did you mean {near}? " if near else ""
    return f"{question}Its settings: {', '.join(known) or 'none'}."


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """Return the one of some names that a name is most likely a misspelling of."""
    names = sorted(names)
    swapped = (one for one in names if sorted(one) == sorted(name))
    return _nearest(name, names, MISSPELLING) or next(swapped, None)


MISSPELLING = 0.85
"""How alike two names are, of 1, if one is taken for a misspelling of the other."""


def _nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    return next(iter(difflib.get_close_matches(name, [*names], n=1, cutoff=cutoff)), None)


_GENERAL = frozenset({"HOST", "PORT", "WORKERS", "WEB_CONCURRENCY"})
"""Variables without the platform's prefix that other programs have, too, or ones alike."""


class _NotGiven:
    """The settings that no source gives, by the names that may be meant for one of them."""

    def __init__(self, declared: Iterable[Declaration], sources: Sources) -> None:
        given = {*sources.explicit, *sources.options}
        missing = [
            one
            for one in declared
            if sources.environment.keys().isdisjoint(one.variables) and one.key not in given
        ]
        self._keys = {one.key for one in missing} - _GENERAL
        """What `create_app` calls them."""
        # Many programs have a LOG_LEVEL, but not almost one.
        self._without_prefix = {one.key: one.variable for one in missing if "_" in one.key}
        """By a name that only lacks the prefix, the variable that is meant."""
        self._misspellable = {name: one.variable for one in missing for name in _misspellable(one)}
        """By a name of which others may be misspellings, the variable that is meant."""

    def variable_near(self, name: str) -> str | None:
        """Return what a variable without the prefix, in capitals, may be meant for."""
        near = _nearest(name, self._misspellable, MISSPELLING)
        meant = self._without_prefix.get(name) or (self._misspellable[near] if near else None)
        # A variable without the prefix may have other names, and the nearest is the one to correct.
        is_near = near is not None and meant is not None and not meant.startswith(ENV_PREFIX)
        return near if is_near else meant

    def key_near(self, name: str) -> str | None:
        """Return what a name that `create_app` was given may be meant for."""
        return _nearest(name, self._keys, MISSPELLING)


def _misspellable(setting: Declaration) -> set[str]:
    """Return the names of a setting of which a variable without the prefix may be a misspelling."""
    if not setting.variable.startswith(ENV_PREFIX):
        return {*setting.variables, setting.key} - _GENERAL
    return set() if setting.owner is None else {setting.key}


def _near_misses(declared: Iterable[Declaration], sources: Sources) -> Iterator[Unused]:
    """Yield names without the prefix that may be meant for settings that are not given."""
    settings = _NotGiven(declared, sources)
    for variable in sources.environment:
        upper = variable.upper()
        if not upper.startswith(ENV_PREFIX) and (near := settings.variable_near(upper)):
            yield Unused(variable, "no setting has this name", near)
    for name in sources.explicit.keys() - Flask.default_config.keys():
        if name.isupper() and (near := settings.key_near(name)):
            yield Unused(name, "no setting has this name", near)
