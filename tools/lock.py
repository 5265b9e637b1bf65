"""Write deploy/requirements.txt and deploy/sbom.cdx.json: what the image installs.

The first has the versions of constraints.txt with the hashes of their files, so that pip installs
nothing else; the second is a CycloneDX bill of materials of the same, and of our own wheels.
"""

import json
import re
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import projects

CONSTRAINTS = projects.ROOT / "constraints.txt"
LOCK = projects.ROOT / "deploy" / "requirements.txt"
BILL = projects.ROOT / "deploy" / "sbom.cdx.json"
HEADER = """\
# What the image installs besides our own wheels, with hashes; `make lock` renews it.
"""
BUILDING = projects.ROOT / "deploy" / "requirements-build.txt"
"""What builds the wheels in the first stage of the image, with hashes as well."""


def wanted() -> list[str]:
    """Return what the image installs: the requirements of the core and the plugins, and Redis's."""
    found: set[str] = set()
    for folder in projects.folders():
        table = projects.table(folder)
        found.update(table["dependencies"])
        found.update(table.get("optional-dependencies", {}).get("redis", ()))
    return sorted(line for line in found if not line.startswith("pegboard"))


def lock(python: Path, requirements: list[str], target: Path) -> None:
    """Write the versions of requirements, and of what they require, with their hashes."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
        file.write("\n".join(requirements))
        file.flush()
        options = ["--universal", "--python-version=3.11", "--generate-hashes"]
        options += ["--no-header", "--no-annotate", f"--constraint={CONSTRAINTS}"]
        command = [str(python), "-m", "uv", "pip", "compile", *options, file.name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    target.write_text(HEADER + done.stdout, encoding="utf-8")


def hashes() -> dict[str, list[str]]:
    """Return the SHA-256 sums of the files of each distribution that is locked."""
    entries = re.split(r"\n(?=\S)", LOCK.read_text(encoding="utf-8"))
    return {
        re.split(r"[=\s]", entry, maxsplit=1)[0]: re.findall(r"--hash=sha256:(\w+)", entry)
        for entry in entries
        if not entry.startswith("#")
    }


def describe(python: Path, folder: Path) -> None:
    """Install what the image has into an environment, and write its bill of materials."""
    wheels, image = folder / "wheels", folder / "image"
    venv.create(image, with_pip=True)
    pip = [str(image / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for file in (BUILDING, LOCK):
        subprocess.run([*pip, "install", "--require-hashes", "--requirement", file], check=True)
    options = ["--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}"]
    subprocess.run([*pip, "wheel", *options, *projects.folders()], check=True)
    own = [projects.table(one)["name"] for one in projects.folders()]
    # By name, as the bill would have the path of a file that was installed.
    found = ["--no-deps", "--no-index", f"--find-links={wheels}"]
    subprocess.run([*pip, "install", *found, *own], check=True)
    command = [
        str(python),
        "-m",
        "cyclonedx_py",
        "environment",
        "--output-reproducible",
        str(image),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    bill: dict[str, Any] = json.loads(done.stdout)
    bill["components"] = list(_listed(bill["components"]))
    tools = bill["metadata"]["tools"]
    tools["components"] = [_trimmed(one) for one in tools["components"]]
    kept = {component["bom-ref"] for component in bill["components"]}
    bill["dependencies"] = [
        {**one, "dependsOn": [name for name in one.get("dependsOn", ()) if name in kept]}
        for one in bill["dependencies"]
        if one["ref"] in kept
    ]
    BILL.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")


def _listed(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what the image has, without pip and what builds wheels, with the hashes of files."""
    locked = hashes()
    for component in components:
        name = re.sub(r"[-_.]+", "-", component["name"]).lower()
        if name in locked:
            # The hashes of a component are those of one file; a distribution has several.
            found = [{"name": "pegboard:sha256", "value": one} for one in locked[name]]
            component["properties"] = [*component.get("properties", ()), *found]
        if name in locked or name.startswith("pegboard"):
            yield _trimmed(component)


def _trimmed(component: dict[str, Any]) -> dict[str, Any]:
    """Return a component without prose and links, which would be most of the bill."""
    left_out = {"description", "externalReferences"}
    return {key: value for key, value in component.items() if key not in left_out}


def main() -> None:
    """Make both files, with tools of the versions of constraints.txt."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "tools", with_pip=True)
        python = folder / "tools" / "bin" / "python"
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, f"--constraint={CONSTRAINTS}", "uv", "cyclonedx-bom"], check=True)
        lock(python, ["hatchling"], BUILDING)
        lock(python, wanted(), LOCK)
        describe(python, folder)
    print(f"{LOCK.name}: {len(hashes())} distributions; {BILL.name}: written")


if __name__ == "__main__":
    main()
