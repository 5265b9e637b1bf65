"""Plugin distributions that a test writes; they are discovered as if they were installed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

__all__ = ["PluginFolder"]


_ONE_HOOK = "@pegboard.hookimpl\ndef pegboard_setup(): pass\n"


class PluginFolder:
    """A folder on the import path into which a test puts plugin distributions."""

    def __init__(self, path: Path) -> None:
        """Use an existing folder; the fixture `plugin_folder` puts it on the import path."""
        self.path = path
        """The folder that holds the distributions."""
        self.packages: list[str] = []
        """The import packages of the distributions written so far."""

    def add(  # noqa: PLR0913 - each has a default, and is given by name
        self,
        name: str,
        code: str = "",
        *,
        version: str = "1.0",
        requires: Sequence[str] = ("pegboard",),
        distribution: str | None = None,
        package: str | None = None,
        target: str | None = None,
    ) -> Path:
        """Write a distribution with one plugin.

        `code` is that of its module, by default one hook that does nothing.
        `requires` are requirement strings as in `pyproject.toml`; `target` is what the entry point
        names, by default the module. Returns the import package's folder.
        """
        distribution = distribution or f"example-{name}"
        package = package or distribution.replace("-", "_")
        module = self.path / package
        module.mkdir()
        (module / "__init__.py").touch()
        (module / "plugin.py").write_text(
            "import pegboard\n" + dedent(code or _ONE_HOOK), encoding="utf-8"
        )
        metadata = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (metadata / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(
            f"[pegboard.plugins]\n{name} = {target or f'{package}.plugin'}\n", encoding="utf-8"
        )
        self.packages.append(package)
        return module


@contextmanager
def plugin_folder(path: Path) -> Iterator[PluginFolder]:
    """Put a folder on the import path for the time of a test."""
    folder = PluginFolder(path)
    sys.path.insert(0, str(path))
    try:
        yield folder
    finally:
        sys.path.remove(str(path))
        for name in list(sys.modules):
            if name.partition(".")[0] in folder.packages:
                del sys.modules[name]
