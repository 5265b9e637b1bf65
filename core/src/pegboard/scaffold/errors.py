"""Why a plugin cannot be written or updated."""

import shlex
from collections.abc import Sequence

RESTORE = ("restore", "--source=HEAD", "--staged", "--worktree", ".")
CLEAN = ("clean", "-d", "--force", "--quiet", ".")
"""Arguments of git that leave of a folder what is committed, and touch nothing beside it."""


class ScaffoldError(Exception):
    """Nothing was written; the message says why, and what to do."""


class ConflictError(ScaffoldError):
    """A step of the template changes or removes what the author of the plugin has changed."""

    def __init__(self, title: str, changed: Sequence[str], removed: Sequence[str]) -> None:
        self.changed = tuple(changed)
        """The files in which both changes stand, relative to the folder of the plugin."""
        self.removed = tuple(removed)
        """The files that the step removes; they are still there."""
        lines = [f"{title!r} meets changes of yours."]
        if changed:
            lines.append("Both stand in these, between <<<<<<< and >>>>>>>; keep what is right:")
            lines += (f"  {name}" for name in changed)
        if removed:
            lines.append("It removes these, which you have changed; remove them, or keep them:")
            lines += (f"  {name}" for name in removed)
        lines += [
            "Then run",
            f"    git add --all . && git commit --message {shlex.quote(title)}",
            "    pegboard new --update",
            f"or give the step up: git {shlex.join(RESTORE)} && git {shlex.join(CLEAN)}",
        ]
        super().__init__("\n".join(lines))
