"""Distributions that are installed, and hidden for a time: their metadata, plugins and imports."""

import importlib
import inspect
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, distributions
from types import FunctionType, ModuleType
from typing import Any

from packaging.utils import canonicalize_name

from pegboard.plugins import ENTRY_POINT_GROUP


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Hide distributions for a block: nothing finds their metadata, and no import finds them.

    Each name is that of a distribution, or of an import package of one. Modules that have imported
    something of them are imported anew, within the block and after it.
    """
    found = [one for one in distributions() if _is_named(one, names)]
    packages = {package for one in found for package in _packages(one)} | {*names}
    _refuse_misspelled(names, found)
    hiding = {canonicalize_name(one.metadata["Name"]) for one in found}
    finders, modules = [*sys.meta_path], {**sys.modules}
    gone = _dependents(modules, packages)
    for name in gone:
        del sys.modules[name]
    importers: set[str] = set()
    sys.meta_path[:] = [_Finder(finder, packages, hiding, importers) for finder in finders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path[:] = finders
        # What was first imported within the block does without what was hidden, too.
        tops = {top(name) for name in gone} | packages | importers | _plugin_packages()
        for name in [one for one in sys.modules if top(one) in tops]:
            if name in gone or name not in modules:
                del sys.modules[name]
        sys.modules.update({name: modules[name] for name in gone})
        importlib.invalidate_caches()


def top(module: str) -> str:
    """Return the import package that a module belongs to."""
    return module.partition(".")[0]


class _Finder:
    """Finds what another finder of `sys.meta_path` finds, but for what is hidden.

    The packages that have tried to import it are added to `importers`.
    """

    def __init__(
        self, finder: Any, packages: Collection[str], names: Collection[str], importers: set[str]
    ) -> None:
        self._finder = finder
        self._packages = packages
        self._names = names
        self._importers = importers

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if top(name) in self._packages:
            self._importers.add(_importing())
            return None
        spec: ModuleSpec | None = self._finder.find_spec(name, path, target)
        return spec

    def find_distributions(self, *arguments: Any, **options: Any) -> Iterable[Distribution]:
        find = getattr(self._finder, "find_distributions", lambda *_, **__: ())
        for one in find(*arguments, **options):
            if _name(one) not in self._names:
                yield one

    def invalidate_caches(self) -> None:
        getattr(self._finder, "invalidate_caches", lambda: None)()


def _name(distribution: Distribution) -> str:
    try:
        return canonicalize_name(distribution.metadata["Name"] or "")
    except Exception:  # noqa: BLE001 - what a broken file leads to differs between releases of Python
        return ""


def _importing() -> str:
    """Return the package whose code makes the import that is under way."""
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != __name__ and top(name) != "importlib":
            return top(name)
        frame = frame.f_back
    return ""


def _plugin_packages() -> set[str]:
    """Return the import packages of installed plugins."""
    found = [one for one in distributions() if _name(one)]
    entries = [
        entry for one in found for entry in one.entry_points if entry.group == ENTRY_POINT_GROUP
    ]
    return {top(entry.module) for entry in entries}


def _is_named(distribution: Distribution, names: Collection[str]) -> bool:
    name = _name(distribution)
    if not name:
        return False
    wanted = {canonicalize_name(one) for one in names}
    return name in wanted or bool(_packages(distribution) & {*names})


def _packages(distribution: Distribution) -> set[str]:
    """Return the import packages of a distribution, as far as its metadata tells."""
    found = {
        top(entry.module) for entry in distribution.entry_points if entry.group == ENTRY_POINT_GROUP
    }
    found |= {*(distribution.read_text("top_level.txt") or "").split()}
    # An editable installation has no files of its own but metadata.
    for file in distribution.files or ():
        if file.suffix == ".py" and ".." not in file.parts:
            found.add(file.parts[0] if len(file.parts) > 1 else file.stem)
    return found


def _refuse_misspelled(names: Iterable[str], found: Iterable[Distribution]) -> None:
    """Raise `LookupError` for a name that nothing has, when an installed plugin's is like it.

    A name that nothing is like may be absent already, in another environment of the test.
    """
    known = {name for one in found for name in (_name(one), *_packages(one))}
    plugins: set[str] = set()
    for one in filter(_name, distributions()):
        if any(entry.group == ENTRY_POINT_GROUP for entry in one.entry_points):
            plugins |= {_name(one), *_packages(one)}
    for name in names:
        near = get_close_matches(name, plugins, n=1, cutoff=0.85)
        if canonicalize_name(name) not in known and name not in known and near:
            message = (
                f"without({name!r}): nothing of this name is installed; did you mean {near[0]}?"
            )
            raise LookupError(message)


def _dependents(modules: dict[str, ModuleType], packages: Collection[str]) -> list[str]:
    """Return the modules of packages, and of the packages that hold something of them.

    Tests stay, as they keep what they have imported themselves, and so does the core.
    """
    gone = {*packages}
    while True:
        more = {
            top(name)
            for name, module in modules.items()
            if top(name) not in {*gone, "pegboard"}
            and _is_package(module)
            and any(_origin(value) in gone for value in [*vars(module).values()])
        }
        if not more:
            return [name for name in modules if top(name) in gone]
        gone |= more


def _is_package(module: ModuleType) -> bool:
    """Return whether a module can be imported anew, and is none of tests."""
    spec = getattr(module, "__spec__", None)
    file = (getattr(module, "__file__", None) or "").replace("\\", "/").rpartition("/")[2]
    is_test = file == "conftest.py" or file.startswith("test_")
    return spec is not None and spec.name == module.__name__ and not is_test


def _origin(value: object) -> str:
    """Return the package that a value is, or is defined in."""
    if type(value) is ModuleType:
        return top(value.__name__)
    is_definition = isinstance(value, type | FunctionType)
    name = getattr(value if is_definition else type(value), "__module__", None)
    return top(name) if isinstance(name, str) else ""
