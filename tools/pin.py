"""Write constraints.txt: the versions that a fresh environment with everything in it gets."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import projects

HEADER = """\
# The versions that development, tests and the image use; `make constraints` renews them.
"""


def main() -> None:
    """Install everything into an empty environment and write down what came."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder, "bin", "python")), "-m", "pip", "--disable-pip-version-check"]
        wanted = [*projects.requirements(), *projects.tools()]
        subprocess.run([*pip, "install", "--quiet", *wanted], check=True)
        frozen = subprocess.run(
            [*pip, "freeze"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    lines = sorted((line for line in frozen.splitlines() if "==" in line), key=str.lower)
    (projects.ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n")
    print(f"constraints.txt: {len(lines)} versions, found with Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
