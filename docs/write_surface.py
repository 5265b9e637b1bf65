"""Write docs/surface.json: the public API as the last release has it.

What has changed since then must be named in the section "Plugin API" of the CHANGELOG's unreleased
version, by an entry that is new since then: names, members and signatures of Python, hooks,
settings, codes of problems, options of commands and keys of pyproject.toml. What a released version
says, and another wording of an entry, name nothing. A test compares; this script prints what is not
named, and writes the file only when nothing is: do that when a version has been released.
"""

import hashlib
import json
import re
import runpy
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from signatures import ROOT, find, head, names_of

FILE = ROOT / "docs/surface.json"
CHANGELOG = ROOT / "CHANGELOG.md"
HOOKS = ROOT / "docs/reference/hooks.md"

API = runpy.run_path(str(ROOT / "docs/write_api.py"))
SETTINGS = runpy.run_path(str(ROOT / "docs/write_settings.py"))
KIT = runpy.run_path(str(ROOT / "docs/write_kit.py"))
PROBLEMS = runpy.run_path(str(ROOT / "docs/write_problems.py"))


@dataclass(frozen=True)
class Surface:
    """The public API, and what the CHANGELOG named when it was that."""

    names: Mapping[str, str]
    """What each name is, as its signature; the name of a member has that of its class before it.

    So has an option that of its command, and a key that of its table.
    """
    mentions: frozenset[str]
    """What was named, each as the hash of `Mention`."""


@dataclass(frozen=True)
class Mention:
    """Code between backticks in the section "Plugin API" of a version."""

    version: str
    code: str
    count: int
    """How often the section has the same code before it."""

    @property
    def hash(self) -> str:
        """What the file keeps of it."""
        text = f"{self.version} {self.count} {self.code}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def names() -> dict[str, str]:
    """Return the public API as it is in the source."""
    return dict([*_python(), *_hooks(), *_settings(), *_codes(), *_commands(), *_keys()])


def _python() -> Iterator[tuple[str, str]]:
    unexported = API["unexported"]()
    for module in API["modules"]():
        found = [find(module, name) for name in names_of(module)]
        for definition in [*found, *unexported[module]]:
            name = f"{module}.{definition.name}"
            yield name, _plain(head(definition))
            if hasattr(definition.node, "bases"):
                for member in definition.members:
                    if member.is_documented:
                        shown = API["item"](member, {}).partition("\n")[0].rstrip("\\")
                        yield f"{name}.{member.name}", _plain(shown)


def _hooks() -> Iterator[tuple[str, str]]:
    """Yield the hooks as their reference shows them, which another test compares with the code."""
    text = HOOKS.read_text(encoding="utf-8")
    for name, signature in re.findall(
        r"^### (\w+)\n\n```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    ):
        yield f"hook.{name}", _plain(signature)


def _settings() -> Iterator[tuple[str, str]]:
    for owner in SETTINGS["OWNERS"]:
        for one in SETTINGS["declared"](owner):
            yield f"setting.{one.variable}", f"{one.annotation} = {SETTINGS['default'](one)}"


def _codes() -> Iterator[tuple[str, str]]:
    for codes in PROBLEMS["OWNERS"].values():
        for code in codes:
            yield f"code.{code}", ""


def _commands() -> Iterator[tuple[str, str]]:
    for name, command in KIT["commands"]():
        yield f"command.{name}", ""
        for one in KIT["parameters"](command):
            yield f"command.{name} {one.name}", one.form


def _keys() -> Iterator[tuple[str, str]]:
    for table in KIT["TABLES"]:
        yield f"tool.pegboard.{table}", ""
        for key in KIT["keys"](table):
            yield f"tool.pegboard.{table}.{key.name}", key.form


def _plain(code: str) -> str:
    return " ".join(code.split())


def mentions(changelog: str) -> list[Mention]:
    """Return what the section "Plugin API" of the unreleased version names; nothing without one."""
    newest = changelog.partition("\n## ")[2].partition("\n## ")[0]
    heading = newest.partition("\n")[0].lower()
    if "unreleased" not in heading:
        return []
    version = heading.partition(" - ")[0]
    section = newest.partition("\n### Plugin API\n")[2].partition("\n### ")[0]
    counts = Counter[str]()
    found = []
    for code in map(_plain, re.findall(r"`([^`]+)`", section)):
        found.append(Mention(version, code, counts[code]))
        counts[code] += 1
    return found


def read() -> Surface:
    """Return what the file has."""
    stored: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return Surface(stored["names"], frozenset(stored["entries"]))


def unnamed(released: Surface, current: Mapping[str, str], told: list[Mention]) -> list[str]:
    """Return a line for each change since a release that no new entry names.

    A name counts if the section has it between backticks once more than it had then: alone, after
    its module, or as it is called or set, as in `cached(ttl)` or `PEGBOARD_CACHE=memory`. A member
    has its class before it, or a class that inherits it; an option its command, as in
    `pegboard new --ci gitlab`. With a class that is new, or that has gone, its members are told.
    """
    spans = [one.code for one in told if one.hash not in released.mentions]
    heirs = _heirs({**released.names, **current})
    lines = []
    for name in sorted({*released.names, *current}):
        before, after = released.names.get(name), current.get(name)
        owner, _, last = name.rpartition(" " if name.startswith("command.") else ".")
        is_member = owner in released.names or owner in current
        if before == after or (is_member and (owner in released.names) != (owner in current)):
            continue
        if name.startswith("command."):
            is_named = any(_runs(span, name.removeprefix("command.")) for span in spans)
        elif is_member:
            is_named = any(
                _names(span, f"{one}.{last}", 2) for one in heirs[owner] for span in spans
            )
        else:
            is_named = any(_names(span, name, 1) for span in spans)
        if not is_named:
            what = "is new" if before is None else "has gone" if after is None else "has changed"
            lines.append(f"{name} {what}: {before or ''} -> {after or ''}")
    return lines


def _names(span: str, name: str, parts: int) -> bool:
    """Return whether code between backticks names something, by at least its last parts."""
    found = re.fullmatch(r"@?([\w.]+)(?:\s*=.*|[(\[].*)?", span, re.DOTALL)
    return (
        found is not None
        and f".{name}".endswith(f".{found[1]}")
        and found[1].count(".") >= parts - 1
    )


def _runs(span: str, name: str) -> bool:
    """Return whether code between backticks has a command, and its option if that is named."""
    words = span.replace("=", " ").split()
    *command, last = name.split()
    return words[: len(command)] == command and last in words[len(command) :]


def _heirs(names: Mapping[str, str]) -> dict[str, set[str]]:
    """Return for each name the classes that have its members: itself, and those that inherit it."""
    heirs = {name: {name} for name in names}
    bases = {
        name: set(re.findall(r"\w+", found[1]))
        for name, head in names.items()
        if (found := re.match(r"class \w+\(([^)]*)\)", head))
    }
    for name in names:
        waiting = [name]
        while waiting:
            last = waiting.pop().rpartition(".")[2]
            new = {one for one, above in bases.items() if last in above} - heirs[name]
            heirs[name] |= new
            waiting += new
    return heirs


def missing() -> list[str]:
    """Return what has changed since the last release and is not in the CHANGELOG."""
    return unnamed(read(), names(), mentions(CHANGELOG.read_text(encoding="utf-8")))


def main() -> None:
    """Print what is not named, else write the file."""
    if FILE.exists() and (lines := missing()):
        print(*lines, sep="\n")
        sys.exit(
            'Name these in an entry of "Plugin API" of the unreleased version in CHANGELOG.md.'
        )
    named = mentions(CHANGELOG.read_text(encoding="utf-8"))
    surface = {
        "entries": sorted(one.hash for one in named),
        "names": dict(sorted(names().items())),
    }
    FILE.write_text(f"{json.dumps(surface, indent=0, ensure_ascii=False)}\n", encoding="utf-8")
    print(f"{FILE.name} written")


if __name__ == "__main__":
    main()
