"""Which names mean something already, and to whom: each is a clause, without what to do."""

import keyword
import re
from collections.abc import Iterator
from functools import cache

from pegboard.plugins import CORE_BLUEPRINTS, CORE_COMMANDS
from pegboard.scaffold.versions import shipped_template

FIRST_PARTY_TABLES = ("cache_state", "ratelimit_rules")
"""Tables of the plugins that are published with the core, and are not called as the plugin."""

FIRST_PARTY_NOUNS = ("health", "item", "items", "readiness")
"""What the operations of the core and of these plugins are called by, as in `get_health`."""

FACTORS = (
    "all",
    "core",
    "lowest",
    "matrix",
    "newest",
    "noredis",
    "postgresql",
    "redis",
    "released",
    "sqlite",
    "valkey",
)
"""What names and labels of the environments that tox-pegboard makes say otherwise."""

INTERPRETERS = ("py", "pypy", "cpython", "jython", "graalpy", "rustpython", "ironpython")
"""What tox reads as a Python, also with a version behind it."""

_ENVIRONMENT = re.compile(r"^\[testenv:(\w+)\]", re.MULTILINE)
_TABLE_PREFIXES = {
    "alembic_version": "Alembic, for the tables in which it keeps versions",
    "pg_": "PostgreSQL, for its own tables",
    "sqlite_": "SQLite, for its own tables",
}
_BOUND = re.compile(
    r"^ *(?:from \S+ import (?P<imported>.+)|class (?P<defined>\w+)[(:]|(?P<assigned>[A-Z]\w*) = )",
    re.MULTILINE,
)
"""What a module imports, defines and assigns."""


def of_word(name: str) -> Iterator[str]:
    """Yield why neither a plugin nor a table can have a name."""
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        yield f"{name} is a keyword of Python"
    for prefix, whose in _TABLE_PREFIXES.items():
        if name.startswith(prefix):
            yield f"names that begin with {prefix} are kept by {whose}"


def of_part(name: str) -> Iterator[str]:
    """Yield why neither a plugin nor what it serves can have a name: another part has it."""
    if name in {"pegboard", *CORE_BLUEPRINTS, *CORE_COMMANDS}:
        yield f"{name} is a command or a part of the core"
    if name in FIRST_PARTY_TABLES:
        yield f"{name} is a table of a plugin of Pegboard itself"


def of_environment(name: str) -> Iterator[str]:
    """Yield why environments of tox, as `py313-notes-items`, cannot be called by a name."""
    if re.fullmatch(rf"(?:{'|'.join(INTERPRETERS)})[0-9]*t?d?", name):
        yield f"{name} is a Python in the names of tox environments"
    elif name in FACTORS:
        yield f"{name} means something else in the names of tox environments"
    elif name in _written_environments():
        yield f"{name} is an environment of tox in what is written"


@cache
def written_names() -> frozenset[str]:
    """Return what the written modules import or define beside the class of the model."""
    found = set[str]()
    for path in shipped_template.newest.rglob("*.py.jinja"):
        for match in _BOUND.finditer(path.read_text(encoding="utf-8")):
            found.update(re.findall(r"\w+", match[match.lastgroup or 0]))
    return frozenset(found)


@cache
def _written_environments() -> frozenset[str]:
    """Return the environments of tox that are written beside those of the matrix."""
    path = shipped_template.newest / "project/tox.ini.jinja"
    return frozenset(_ENVIRONMENT.findall(path.read_text(encoding="utf-8")))
