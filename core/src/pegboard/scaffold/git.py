"""Running git."""

import os
import shutil
import subprocess
from pathlib import Path

from pegboard.scaffold.errors import ScaffoldError

_ANYBODY = {
    f"GIT_{role}_{what}": text
    for role in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "Pegboard"), ("EMAIL", "pegboard@localhost"))
}
_PLAIN = ["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str, own: bool = False) -> str:
    """Run git in a folder and return what it prints; raises `ScaffoldError` if it fails.

    `own` says that the folder is the author's: what they have configured counts there, and not in
    the repositories that live as long as an update.
    """
    if shutil.which("git") is None:
        message = "git is not installed, and tells your changes from those of the template."
        raise ScaffoldError(message)
    done = subprocess.run(
        ["git", *([] if own else _PLAIN), *arguments],
        cwd=folder,
        env={**os.environ, **({} if own else _ANYBODY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}"
        raise ScaffoldError(message)
    return done.stdout
