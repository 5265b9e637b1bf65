"""The documentation says what the code has: hooks, public names, settings, and its own pages."""

import ast
import inspect
import re
import runpy
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import pegboard.annotations
import pegboard.cache
import pegboard.clients
import pegboard.redis
import pegboard.stages
from pegboard import create_app, get_registry
from pegboard.cli import main
from pegboard.cli.db import db

ROOT = Path(__file__).parent.parent
HOOKS = ROOT / "docs/reference/hooks.md"
API = ROOT / "docs/reference/api.md"
WITHOUT_REDIS = {"ENV": "testing", "CACHE": "memory", "SESSIONS": "cookie"}
"""What lets cache_redis hang where there is no Redis."""

PUBLIC = {
    name: getattr(module, name)
    for module in (
        pegboard,
        pegboard.annotations,
        pegboard.cache,
        pegboard.clients,
        pegboard.redis,
        pegboard.stages,
    )
    for name in module.__all__
}
"""Every public name of the core but those of the testing kit, and what it stands for."""

OWN_COMMANDS = ("serve", "dev", "plugins", "config", "cache")
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "core/*.md", "plugins/*/*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
)


def hook_functions() -> dict[str, Any]:
    """The specification of every hook: of the core, and of each first-party plugin."""
    callers = vars(get_registry(create_app(WITHOUT_REDIS)).hook)
    return {name: caller.spec.function for name, caller in callers.items() if name[0] != "_"}


def sections(path: Path) -> dict[str, str]:
    """The parts of a document by the names in their headings of the third level."""
    parts = re.split(r"^### (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        name: re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def shown_signature(section: str) -> str:
    """The signature at the beginning of a section, in one spelling."""
    found = code_blocks(section, "python")
    return spelled(found[0]) if found else "no signature is shown"


def real_signature(function: Any) -> str:
    """The signature in the source, in the same spelling."""
    return spelled(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))


def spelled(source: str) -> str:
    """A function without decorators and body."""
    (function, *_) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []
    function.body = [ast.Expr(ast.Constant(...))]
    return ast.unparse(function)


def implements(source: str, hook: str) -> bool:
    """Whether a module marks a function of the hook's name as an implementation."""
    return any(
        node.name == hook and any("hookimpl" in ast.unparse(mark) for mark in node.decorator_list)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    )


def users(hook: str) -> list[str]:
    """The plugins of this repository that implement a hook, else guides with a plugin that does.

    The plugins of guides are complete, and test_readme.py runs them.
    """
    plugins = {
        path.relative_to(ROOT / "plugins").parts[0]
        for path in ROOT.glob("plugins/*/src/**/*.py")
        if implements(path.read_text(encoding="utf-8"), hook)
    }
    guides = {
        f"[{text.splitlines()[0].removeprefix('# ')}](../how-to/{path.name})"
        for path in ROOT.glob("docs/how-to/*.md")
        if '[project.entry-points."pegboard.plugins"]' in (text := path.read_text(encoding="utf-8"))
        and any(implements(code, hook) for code in code_blocks(text, "python"))
    }
    return sorted(plugins) or sorted(guides)


def code_blocks(text: str, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def mentions(hook: str) -> list[Path]:
    """The tests, other than this one, that name a hook."""
    found = [
        *ROOT.glob("core/tests/**/*.py"),
        *ROOT.glob("plugins/*/tests/*.py"),
        *ROOT.glob("tests/*.py"),
    ]
    return [
        path
        for path in found
        if path.name != Path(__file__).name
        and re.search(rf"\b{hook}\b", path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("hook", sorted(hook_functions()))
def test_every_hook_is_documented_used_and_tested(hook: str) -> None:
    """It has a section with its real signature, a plugin that implements it, and a test."""
    section = sections(HOOKS).get(hook, "")
    assert real_signature(hook_functions()[hook]) == shown_signature(section)
    assert "Called: " in section
    assert users(hook)
    assert f"Used by: {', '.join(users(hook))}." in section
    assert mentions(hook)


def test_no_hook_is_documented_that_does_not_exist() -> None:
    """What was removed or renamed is gone from the reference."""
    assert sorted(hook_functions()) == sorted(sections(HOOKS))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_documented(name: str) -> None:
    """In the code and in the reference, a function with its real signature."""
    value = PUBLIC[name]
    assert inspect.getdoc(value)
    section = sections(API)[name]
    if inspect.isfunction(value):
        assert real_signature(value) == shown_signature(section)


def test_no_public_name_is_documented_that_does_not_exist() -> None:
    """What was removed or renamed is gone from the reference."""
    assert sorted(PUBLIC) == sorted(sections(API))


def commands(group: click.Group, path: str) -> Iterator[str]:
    """The full names of a group's commands, and of its groups' commands."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_every_command_is_documented() -> None:
    """Of the core and of first-party plugins; those of Flask and its extensions are their own."""
    app = create_app(WITHOUT_REDIS)
    groups = [click.Group(commands={name: main.commands[name] for name in OWN_COMMANDS}), app.cli]
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    found = {name for group in groups for name in commands(group, "pegboard")}
    extensions = {name for name in found if name.startswith(("pegboard db", "pegboard openapi"))}
    expected = (found - extensions) | set(commands(db, "pegboard db"))
    assert [] == sorted(name for name in expected if f"`{name}" not in text)


def test_the_rooms_of_the_core_are_those_that_the_linter_knows() -> None:
    """In the same order, within a layer as you like."""
    text = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"^(\w+)  ", code_blocks(text, "text")[0], re.MULTILINE)
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = tools["importlinter"]["contracts"][0]["layers"]
    rank = {room: place for place, layer in enumerate(layers) for room in layer.split(" | ")}
    assert sorted(rank) == sorted(listed)
    assert sorted(listed, key=rank.__getitem__) == listed


def test_the_tables_of_settings_are_current() -> None:
    """`python docs/write_settings.py` renews them."""
    assert [] == runpy.run_path(str(ROOT / "docs/write_settings.py"))["stale"]()


def test_the_list_of_problems_is_current() -> None:
    """`python docs/write_problems.py` renews it."""
    assert not runpy.run_path(str(ROOT / "docs/write_problems.py"))["is_stale"]()


def test_every_problem_has_a_declared_code_and_every_code_a_problem() -> None:
    """Each code that is declared is used, and begins with the name of its owner."""
    owners = runpy.run_path(str(ROOT / "docs/write_problems.py"))["OWNERS"]
    for owner, codes in owners.items():
        prefix = "PB_" if owner == "core" else f"{owner.upper()}_"
        folder = ROOT / ("core/src" if owner == "core" else f"plugins/{owner}/src")
        source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("**/*.py"))
        assert [] == [code for code in codes if not code.startswith(prefix)]
        assert [] == [code for code in codes if f"Code.{code.name}" not in source]


def links(path: Path) -> Iterator[tuple[str, str]]:
    """The relative links of a document: file and anchor."""
    text = re.sub(
        r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and Sphinx make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """The file exists, and so does the heading."""
    for file, anchor in links(path):
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_every_page_is_in_the_contents() -> None:
    """docs/index.md leads to each of them."""
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = {
        str(path.relative_to(ROOT / "docs").with_suffix("")) for path in ROOT.glob("docs/*/*.md")
    }
    assert pages == set(re.findall(r"^[\w-]+/[\w-]+$", index, re.MULTILINE))
