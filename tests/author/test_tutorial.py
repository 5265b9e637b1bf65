"""The tutorial can be followed: its commands print what it shows, and its files work."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from pegboard.cli import main
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.services import run_pegboard

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial/first-plugin.md"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{6})?"


@dataclass
class Reader:
    """Somebody who follows the tutorial, in this environment with the plugin in it."""

    folder: Path
    make_app: MakeApp
    typed: list[str] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """Those of an environment in which the plugin is installed, and no other."""
        path = os.pathsep.join(str(self.folder / name) for name in ("src", "installed"))
        return {"PYTHONPATH": path, "PEGBOARD_PLUGINS": "notes"}

    def run(self, *command: str) -> str:
        """Run a module of this environment to its success; returns what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def install(self) -> None:
        """Install the plugin as `pip install --editable` does: only its metadata is copied."""
        self.build("installed")
        (wheel,) = (self.folder / "installed").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            metadata = [name for name in archive.namelist() if ".dist-info/" in name]
            archive.extractall(self.folder / "installed", metadata)

    def build(self, target: str) -> None:
        """Build the wheel, with what is installed here already."""
        self.run("hatchling", "build", "--target", "wheel", "--directory", target)

    def follow(self, language: str, block: str) -> None:
        """Do what a code block says."""
        match language:
            case "console":
                for command, shown in re.findall(
                    r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE
                ):
                    self.type(command, shown)
            case "diff":
                subprocess.run(
                    ["git", "apply"], cwd=self.folder, input=block, text=True, check=True
                )
            case "python" if "def test_" in block:
                (self.folder / "tests/test_pins.py").write_text(block, "utf-8")
            case "python":
                sources = (self.folder / "src/pegboard_notes").glob("*.py")
                assert any(block in source.read_text("utf-8") for source in sources), block

    def type(self, command: str, shown: str) -> None:
        """Run a command of a console block, and compare what it prints."""
        words = shlex.split(command)
        match words:
            case ["pip", "install", "--editable", *_]:
                self.install()
            case ["pip", "wheel", *_]:
                self.build("dist")
            case ["curl", *_]:
                self.requests.append((command, shown.strip()))
            case ["pegboard", "dev"]:
                self.requests = []
            case ["pytest", *arguments]:
                self.compare(self.run("pytest", "-p", "no:cacheprovider", *arguments), shown)
            case ["pegboard", "config", "check"]:
                self.misspell(shown)
            case ["pegboard", *arguments] if arguments[:2] != ["new", "notes"]:
                done = run_pegboard(*arguments, directory=self.folder, **self.variables)
                assert done.returncode == 0, done.stdout
                self.compare(done.stdout, shown)
            case _:
                return  # it makes the environment
        self.typed.append(" ".join(words[:2]))

    def misspell(self, shown: str) -> None:
        """Make the mistake that the tutorial shows, and mend it."""
        path = self.folder / "src/pegboard_notes/plugin.py"
        right = path.read_text("utf-8")
        path.write_text(right.replace("def pegboard_blueprints(", "def pegboard_blueprint("))
        done = run_pegboard("config", "check", directory=self.folder, **self.variables)
        path.write_text(right, "utf-8")
        assert done.returncode == 1
        self.compare(done.stdout, shown)

    @staticmethod
    def compare(printed: str, shown: str) -> None:
        """Each line that is shown is printed; `…` stands for what differs.

        The columns of a table are as wide as the longest name, which may be another's here.
        """
        lines = [re.sub(r"(?<=\S) {2,}", "  ", line) for line in printed.splitlines()]
        for line in shown.splitlines():
            begin, _, end = re.sub(r"(?<=\S) {2,}", "  ", line).partition("…")
            assert any(found.startswith(begin) and found.endswith(end) for found in lines), (
                f"{line}\n---\n{printed}"
            )

    def send(self, plugin_folder: PluginFolder) -> None:
        """Send the requests, and compare the answers but for times."""
        (plugin_folder.path / "pegboard_notes").symlink_to(self.folder / "src/pegboard_notes")
        for metadata in (self.folder / "installed").glob("*.dist-info"):
            (plugin_folder.path / metadata.name).symlink_to(metadata)
        plugin_folder.packages.append("pegboard_notes")
        client = self.make_app(plugins=["notes"]).test_client()
        for command, shown in self.requests:
            words = shlex.split(command)
            url = next(word for word in words if word.startswith("http"))
            body = words[words.index("-d") + 1] if "-d" in words else None
            method = "POST" if body else "GET"
            answer = client.open(
                "/" + url.split("/", 3)[3],
                method=method,
                data=body,
                content_type="application/json",
            )
            assert re.sub(TIME, "", shown) == re.sub(TIME, "", answer.text)


def test_the_tutorial_can_be_followed(
    tmp_path: Path,
    plugin_folder: PluginFolder,
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From `pegboard new` to the wheel."""
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text("utf-8")
    (command, first) = next(
        iter(re.findall(r"^\$ pegboard (new notes.*)\n(.*)$", text, re.MULTILINE))
    )
    done = CliRunner().invoke(main, shlex.split(command))
    assert (0, first) == (done.exit_code, done.output.splitlines()[0])
    reader = Reader(tmp_path / "pegboard-notes", make_app)
    for path in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
        assert all((reader.folder / name).exists() for name in re.findall("`(.*?)`", path)), path
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")

    before, after = text.split("## A change")
    for language, block in blocks(before):
        reader.follow(language, block)
    reader.send(plugin_folder)
    for language, block in blocks(after.partition("## Keep it up to date")[0]):
        reader.follow(language, block)
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "All"]):
        subprocess.run(["git", *arguments], cwd=reader.folder, check=True)
    for language, block in blocks(after.partition("## Keep it up to date")[2]):
        reader.follow(language, block)

    (wheel,) = (reader.folder / "dist").iterdir()
    assert f"`dist/{wheel.name}`" in text
    with zipfile.ZipFile(wheel) as archive:
        assert "pegboard_notes/migrations/notes_0002_pin_notes.py" in archive.namelist()
    assert 3 == len(reader.requests)
    assert {"pip install", "pip wheel", "pytest -q", "pegboard config", "pegboard db"} <= {
        *reader.typed
    }
    # As Alembic writes them: `pegboard db migrate` formats them only where it finds ruff.
    raw = ("--config", "format.quote-style='single'", "--line-length", "320", "--isolated")
    reader.run("ruff", "format", "--no-cache", *raw, "src/pegboard_notes/migrations")
    for tool in (("ruff", "check", "--no-cache"), ("ruff", "format", "--no-cache", "--check")):
        reader.run(*tool)


def blocks(text: str) -> list[tuple[str, str]]:
    """The code blocks of a document with their languages."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
