"""The public API does not change without an entry under "Plugin API" in the CHANGELOG."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "docs/write_surface.py"))
Surface, unnamed, mentions = SCRIPT["Surface"], SCRIPT["unnamed"], SCRIPT["mentions"]

RELEASED = {
    "pegboard.cached": "def cached(ttl: int)",
    "pegboard.Blueprint": "class Blueprint",
    "pegboard.Blueprint.get": "get(path: str)",
    "hook.pegboard_setup": "def pegboard_setup(app)",
    "setting.PEGBOARD_CACHE": "str = auto",
    "code.PB_HOOK_UNKNOWN": "",
    "command.pegboard new": "",
    "command.pegboard new --ci": "--ci [github|gitlab]",
    "tool.pegboard.matrix": "",
    "tool.pegboard.matrix.strength": "int = 2",
}
OLD_ENTRY = "`cached` caches, `Blueprint.get` routes, `pegboard_setup`, `PEGBOARD_CACHE`."


def changelog(*entries: str, version: str = "2.0.0 - unreleased", older: str = "") -> str:
    """A changelog whose newest version has these entries."""
    lines = "".join(f"- {one}\n" for one in entries)
    return f"# Changelog\n\n## {version}\n\n### Plugin API\n\n{lines}\n### Fixed\n\n- `x`.\n{older}"


def released_with(names: dict[str, str], *entries: str) -> Any:
    """What the script keeps of a version with these names and entries."""
    named = mentions(changelog(*entries))
    return Surface(names, frozenset(one.hash for one in named))


CHANGES = {
    "a signature": (
        {"pegboard.cached": "def cached(ttl: float)"},
        "`pegboard.cached` takes floats.",
    ),
    "a name": ({"pegboard.clock": "def clock()"}, "`clock()` is the time."),
    "a member": ({"pegboard.Blueprint.get": "get(rule: str)"}, "`Blueprint.get` takes a rule."),
    "a member more": ({"pegboard.Blueprint.put": "put()"}, "`pegboard.Blueprint.put(path)`."),
    "a hook": ({"hook.pegboard_setup": "def pegboard_setup(app, it)"}, "`pegboard_setup` gets it."),
    "a default": ({"setting.PEGBOARD_CACHE": "str = memory"}, "`PEGBOARD_CACHE=memory`."),
    "a code": ({"code.PB_NEW": ""}, "`PB_NEW` tells of it."),
    "an option": (
        {"command.pegboard new --ci": "--ci [github|gitlab|none]"},
        "`pegboard new notes --ci=none`.",
    ),
    "an option more": (
        {"command.pegboard new --into": "--into PATH"},
        "`pegboard new --into PATH`.",
    ),
    "a command": (
        {"command.pegboard old": "", "command.pegboard old --json": "--json"},
        "`pegboard old`.",
    ),
    "a key": ({"tool.pegboard.matrix.strength": "int = 3"}, "`matrix.strength` is 3."),
    "a class with members": (
        {"pegboard.Tool": "class Tool", "pegboard.Tool.use": "use()"},
        "`pegboard.Tool` is new.",
    ),
}


def test_every_change_of_the_public_api_is_in_the_changelog() -> None:
    """Name each in an entry of the section "Plugin API", between backticks.

    When a version is released, `python docs/write_surface.py` takes its API as the new beginning.
    """
    assert [] == SCRIPT["missing"]()


def test_the_surface_has_each_kind_of_name() -> None:
    """Python, members, fixtures, hooks, settings, codes, commands and keys of pyproject.toml."""
    assert {
        "pegboard.cached",
        "pegboard.resources.Steps.lock",
        "pegboard.testing.fixtures.make_app",
        "pegboard.testing.fixtures.MakeApp.__call__",
        "hook.pegboard_setup",
        "hook.pegboard_items_before_write",
        "setting.PEGBOARD_RATELIMIT_DEFAULT",
        "code.PB_HOOK_UNKNOWN",
        "command.pegboard new --resource",
        "command.pegboard plugins matrix --strength",
        "tool.pegboard.matrix.needs",
        "tool.pegboard.grade.exempt",
    } <= set(SCRIPT["names"]())


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_found_until_a_new_entry_names_it(kind: str) -> None:
    """An entry that was there before does not count, whatever it names, and however it is worded.

    Nor does one of a version that has been released, in which nothing is to be added.
    """
    changed, entry = CHANGES[kind]
    released = released_with(RELEASED, OLD_ENTRY)
    current = {**RELEASED, **changed}

    def found(text: str) -> list[str]:
        lines = unnamed(released, current, mentions(text))
        return [re.split(" (?:is|has) ", line)[0] for line in lines]

    assert [next(iter(changed))] == found(changelog(OLD_ENTRY))
    assert [next(iter(changed))] == found(changelog(f"Now clearer: {OLD_ENTRY}"))
    assert [] == found(changelog(OLD_ENTRY, entry))
    assert [] == found(changelog(f"{OLD_ENTRY} {entry}"))
    done = changelog(OLD_ENTRY, entry, version="2.0.0 - 2026-12-01")
    assert [next(iter(changed))] == found(done)
    older = done.removeprefix("# Changelog\n")
    assert [next(iter(changed))] == found(changelog(version="2.1.0 - unreleased", older=older))
    assert [] == found(changelog(entry, version="2.1.0 - unreleased", older=older))
    assert [] == unnamed(released, RELEASED, mentions(changelog(OLD_ENTRY)))


@pytest.mark.parametrize("name", RELEASED)
def test_what_goes_is_found(name: str) -> None:
    """A name, a member, a hook, a setting, a code."""
    released = Surface(RELEASED, frozenset())
    current = {
        key: value
        for key, value in RELEASED.items()
        if key != name and not key.startswith((f"{name}.", f"{name} "))
    }
    (line,) = unnamed(released, current, [])
    assert line.startswith(f"{name} has gone")


def test_a_name_without_backticks_is_not_named() -> None:
    """It may be a word of the language."""
    released = Surface(RELEASED, frozenset())
    told = mentions(changelog("What was cached."))
    assert unnamed(released, {**RELEASED, "pegboard.cached": "def cached()"}, told)


@pytest.mark.parametrize(
    "name, entry",
    [
        ("pegboard.cached", "It is `not cached here`."),
        ("pegboard.cached", "`Nonsense.cached` and `cached.more` are other names."),
        ("pegboard.Blueprint.get", "`Nonsense.get` is quick."),
        (
            "pegboard.Blueprint.get",
            "`get(path)` alone, `Blueprint.get.more`, `Blueprint` and `get`.",
        ),
        ("command.pegboard new --ci", "`pegboard new` alone, `--ci`, `pegboard ci --ci=none`."),
        ("tool.pegboard.matrix.strength", "`strength` alone, and `grade.strength`."),
        ("setting.PEGBOARD_CACHE", "`PEGBOARD_CACHE_SIZE=1` and `cache PEGBOARD_CACHE=auto`."),
    ],
)
def test_an_entry_about_something_else_names_nothing(name: str, entry: str) -> None:
    """Neither a phrase with the word in it, nor a member of a class that has none of the name."""
    released = Surface(RELEASED, frozenset())
    (line,) = unnamed(released, {**RELEASED, name: "changed"}, mentions(changelog(entry)))
    assert line.startswith(f"{name} has changed")


def test_a_member_may_be_named_by_a_class_that_inherits_it() -> None:
    """Also by way of others; of a class that does not, it is another member."""
    names = {**RELEASED, "pegboard.A": "class A(Blueprint[M])", "pegboard.B": "class B(A) B(x)"}
    released = Surface(names, frozenset())
    current = {**names, "pegboard.Blueprint.get": "get(rule)"}
    assert [] == unnamed(released, current, mentions(changelog("`B.get(rule)`.")))
    told = mentions(changelog("`B.get(rule)` of the `B`."))
    assert unnamed(released, {**current, "pegboard.B": "class B"}, told)
