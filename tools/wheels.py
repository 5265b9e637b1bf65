"""Build the wheel of each distribution, or install some of them into this environment.

`wheels.py build FOLDER` writes those that are released there. `wheels.py install NAME...
[-- OPTION...]` installs the named distributions as their users get them, with the requirements that
the tests have besides; the options are those of `uv pip install`. The environments of one run of
tox share the built wheels.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bytecode
import projects

SHARED = projects.ROOT / ".tox" / "wheels"
"""The folder of the wheels that environments install, in a folder named after what they hold."""


def build(target: Path, folders: Iterable[Path]) -> None:
    """Write the wheels of distributions into a folder."""
    for folder in folders:
        command = ["uv", "build", "--quiet", "--wheel", "--no-create-gitignore"]
        pins = ["--build-constraint", str(projects.ROOT / "constraints.txt")]
        subprocess.run([*command, *pins, "--out-dir", target, folder], check=True)


def built() -> dict[str, Path]:
    """Return the wheel of each distribution by its folder's name, built if something has changed.

    Environments that are made at the same time wait for the one that builds.
    """
    with _alone():
        target = SHARED / _fingerprint()
        if not target.exists():
            for old in SHARED.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            unfinished = SHARED / "unfinished"
            build(unfinished, _everything())
            unfinished.rename(target)
    return {
        folder.name: next(target.glob(f"{_distribution(folder.name)}-*.whl"))
        for folder in _everything()
    }


def install(names: Sequence[str], options: Sequence[str]) -> int:
    """Install the distributions into the environment of this interpreter; returns the status."""
    wheels = built()
    wanted = [
        f"{_distribution(name)}{'[testing]' if name == 'core' else ''} @ {wheels[name].as_uri()}"
        for name in names
    ]
    command = ["uv", "pip", "install", "--quiet", "--python", sys.executable]
    status = subprocess.run([*command, *options, *wanted], check=False).returncode
    bytecode.take()
    return status


def _everything() -> list[Path]:
    return [*projects.folders(), *projects.kit(), *projects.examples()]


def _distribution(folder: str) -> str:
    names = {"core": "pegboard", "tox_pegboard": "tox_pegboard"}
    return names.get(folder, f"pegboard_{folder}")


@contextmanager
def _alone() -> Iterator[None]:
    SHARED.mkdir(parents=True, exist_ok=True)
    with (SHARED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    """Return what tells the contents of the wheels from other contents."""
    digest = hashlib.sha256((projects.ROOT / "constraints.txt").read_bytes())
    for folder in _everything():
        for path in sorted([*folder.glob("*.*"), *folder.glob("src/**/*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(projects.ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def main(arguments: list[str]) -> int:
    """Run one of the commands; returns the exit status."""
    verb, *rest = arguments
    if verb == "build":
        build(Path(rest[0]), [*projects.folders(), *projects.kit()])
        return 0
    end = rest.index("--") if "--" in rest else len(rest)
    return install(rest[:end], rest[end + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
