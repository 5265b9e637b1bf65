"""The environment of each service that is compared, in a folder that git ignores."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
FOLDER = ROOT / ".bench"
PROJECTS = [ROOT / "core", *sorted((ROOT / "plugins").glob("*/")), HERE / "peers" / "views"]


def path_of(name: str) -> Path:
    """Return the folder of an environment."""
    return FOLDER / name


def program(name: str, command: str) -> str:
    """Return the path of a command in the environment of a Python service."""
    return str(path_of(name) / "bin" / command)


def has_node() -> bool:
    """Return whether Node.js and npm are installed."""
    return bool(shutil.which("node") and shutil.which("npm"))


def prepare(name: str) -> None:
    """Make an environment, unless it is there and its requirements are as they were."""
    folder, files = path_of(name), _requirements(name)
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    stamp = hashlib.sha256(f"{sys.version} {text}".encode()).hexdigest()
    stamped = folder / "stamp"
    if stamped.exists() and stamped.read_text(encoding="utf-8") == stamp:
        return
    print(f"installing {name} into {folder.relative_to(ROOT)} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    if name == "fastify":
        _install_node_modules(folder)
    else:
        _install_packages(name, folder)
    stamped.write_text(stamp, encoding="utf-8")


def _requirements(name: str) -> list[Path]:
    """Return the files that say what an environment has."""
    if name == "pegboard":
        return [ROOT / "constraints.txt", *(project / "pyproject.toml" for project in PROJECTS)]
    return [HERE / "peers" / name / ("package.json" if name == "fastify" else "requirements.txt")]


def _install_node_modules(folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copy(HERE / "peers" / "fastify" / "package.json", folder)
    options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--loglevel=error")
    subprocess.run(["npm", "install", *options], cwd=folder, check=True, stdout=sys.stderr)


def _install_packages(name: str, folder: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
    install += ["--python", str(folder / "bin" / "python")]
    if name == "pegboard":
        install += ["--constraint", str(ROOT / "constraints.txt")]
        for project in PROJECTS:
            install += [
                "--editable",
                f"{project}[redis]" if project.name == "core" else str(project),
            ]
    else:
        install += ["--requirement", str(_requirements(name)[0])]
    subprocess.run(install, check=True)
