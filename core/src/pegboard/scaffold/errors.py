"""Why a plugin cannot be written or updated."""

from collections.abc import Sequence


class ScaffoldError(Exception):
    """Nothing was written; the message says why, and what to do."""


class ConflictError(ScaffoldError):
    """A step of the template changes lines that its author has changed, too."""

    def __init__(self, title: str, files: Sequence[str]) -> None:
        self.files = tuple(files)
        """The files in which both changes stand, relative to the folder of the plugin."""
        names = "\n".join(f"  {name}" for name in files)
        super().__init__(
            f"{title!r} changes what you have changed, too:\n{names}\n"
            "Each has both between <<<<<<< and >>>>>>>. Keep what is right, then run\n"
            f"    git add --all . && git commit --message {title!r}\n"
            "    pegboard new --update\n"
            "or give the step up: git reset --hard && git clean --force ."
        )
