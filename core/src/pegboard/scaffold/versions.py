"""The versions of the template: the newest, and the steps that lead to it from the first.

A wheel has no history of git, which copier needs to tell what the template changes from what an
author has changed. So the newest version is shipped as it is, and each step before it as a patch,
whose first line says what it changes. Undoing the patches one after the other gives the older
versions, each of which becomes a commit with a tag in a repository that lives as long as it is
needed.
"""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from pegboard.scaffold.git import git

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Template:
    """A template with its history."""

    newest: Path
    """The folder of the newest version."""
    steps: Path
    """The folder of the patches: `0002.patch` leads from version 1 to version 2."""

    @cached_property
    def patches(self) -> dict[int, Path]:
        """The patches by the version that they lead to, in their order."""
        return {int(path.stem): path for path in sorted(self.steps.glob("*.patch"))}

    @property
    def version(self) -> int:
        """The newest version; the first is 1."""
        return max(self.patches, default=1)

    def title_of(self, version: int) -> str:
        """Return what the step to a version changes, as the subject of a commit."""
        return self.patches[version].read_text(encoding="utf-8").partition("\n")[0]

    def write_repository(self, folder: Path) -> None:
        """Write a git repository in which each version is a commit, with its number as a tag."""
        with TemporaryDirectory(prefix="pegboard-template-") as scratch:
            versions = self._write_versions(Path(scratch))
            folder.mkdir(parents=True)
            git(folder, "init", "--quiet")
            for version, source in sorted(versions.items()):
                for old in folder.iterdir():
                    if old.name != ".git":
                        shutil.rmtree(old) if old.is_dir() else old.unlink()
                shutil.copytree(source, folder, dirs_exist_ok=True)
                git(folder, "add", "--all", "--force", ".")
                git(folder, "commit", "--quiet", "--no-verify", "--message", str(version))
                git(folder, "tag", str(version))

    def _write_versions(self, scratch: Path) -> dict[int, Path]:
        """Write each version into a folder of its own, the newest first."""
        found = {self.version: scratch / str(self.version)}
        shutil.copytree(self.newest, found[self.version])
        for version, patch in reversed(self.patches.items()):
            older = scratch / str(version - 1)
            shutil.copytree(found[version], older)
            git(older, "apply", "--reverse", "--whitespace=nowarn", str(patch))
            found[version - 1] = older
        return found


shipped_template = Template(_HERE / "template", _HERE / "steps")
"""What this version of Pegboard writes."""
