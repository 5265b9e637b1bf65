"""Write down what changes in the template of `pegboard new`, as a step that `--update` applies.

`template_step.py step TITLE` compares the template with the one of the last commit (or of
`--since REVISION`), raises its version, and writes the patch that leads from one to the other.
`template_step.py release` notes that the newest version is released: it may not change any more,
and the next change is a step.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
SCAFFOLD = ROOT / "core/src/pegboard/scaffold"
RELEASED = ROOT / "tools/released_templates.json"
_VERSION = re.compile(r'(?<=^template:\n  type: str\n  default: ")\d+(?=")', re.MULTILINE)


def version_of(template: Path) -> int:
    """Return the version that a template says it has."""
    found = _VERSION.search((template / "copier.yml").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[0])


def fingerprint(template: Path) -> str:
    """Return what tells the files of a template from others."""
    digest = hashlib.sha256()
    for path in sorted(template.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(template).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def write_step(old: Path, new: Path, steps: Path, title: str) -> Path:
    """Raise the version of the template in `new`, and write the patch from `old`; returns it."""
    version = version_of(old) + 1
    questions = new / "copier.yml"
    text = questions.read_text(encoding="utf-8")
    questions.write_text(_VERSION.sub(str(version), text), encoding="utf-8")
    prefixes = ["--src-prefix=a/", "--dst-prefix=b/"]
    command = [
        "git",
        "diff",
        "--no-index",
        "--no-color",
        "--binary",
        *prefixes,
        "--",
        str(old),
        str(new),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    patch = done.stdout
    for folder in (old, new):  # each path as it is inside of the template
        patch = patch.replace(f"{folder.as_posix()}/".lstrip("/"), "")
    steps.mkdir(exist_ok=True)
    path = steps / f"{version:04}.patch"
    path.write_text(f"{title}\n\n{patch}", encoding="utf-8")
    return path


def _step(title: str, since: str) -> int:
    """Write the step from the committed template to the one in the working tree."""
    with TemporaryDirectory() as scratch:
        inside = f"{since}:{(SCAFFOLD / 'template').relative_to(ROOT).as_posix()}"
        archive = subprocess.run(
            ["git", "archive", "--format=tar", inside], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        old = Path(scratch) / "old"
        old.mkdir()
        subprocess.run(["tar", "-x", "-C", old], input=archive.stdout, check=True)
        print(write_step(old, SCAFFOLD / "template", SCAFFOLD / "steps", title).relative_to(ROOT))
    return 0


def _released() -> dict[str, str]:
    """Return the fingerprints of the released versions of the template."""
    return json.loads(RELEASED.read_text(encoding="utf-8")) if RELEASED.exists() else {}


def is_as_released() -> bool:
    """Return whether the newest version, if it is released, is still what was released."""
    template = SCAFFOLD / "template"
    current = fingerprint(template)
    return _released().get(str(version_of(template)), current) == current


def _release() -> int:
    """Note the fingerprint of the newest version."""
    template = SCAFFOLD / "template"
    known = {**_released(), str(version_of(template)): fingerprint(template)}
    RELEASED.write_text(f"{json.dumps(known, indent=2)}\n", encoding="utf-8")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    step = verbs.add_parser("step")
    step.add_argument("title")
    step.add_argument("--since", default="HEAD")
    verbs.add_parser("release")
    given = parser.parse_args(arguments)
    return _step(given.title, given.since) if given.verb == "step" else _release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
