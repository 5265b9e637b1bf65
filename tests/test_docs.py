"""The documentation says what the code has: hooks, public names, settings, and its own pages."""

import ast
import builtins
import importlib
import inspect
import itertools
import operator
import re
import runpy
import shlex
import textwrap
import tomllib
from collections.abc import Collection, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import pytest

from pegboard import create_app, get_registry
from pegboard.cli import main
from pegboard.cli.db import db
from pegboard.plugins import PUBLIC_MODULES

ROOT = Path(__file__).parent.parent
HOOKS = ROOT / "docs/reference/hooks.md"
API = ROOT / "docs/reference/api.md"
WITHOUT_REDIS = {"ENV": "testing", "CACHE": "memory", "SESSIONS": "cookie"}
"""A configuration with which cache_redis is active without a Redis."""

SIGNATURES = runpy.run_path(str(ROOT / "docs/signatures.py"))
WRITE_API = runpy.run_path(str(ROOT / "docs/write_api.py"))
PUBLIC = [
    (module, name) for module in WRITE_API["modules"]() for name in SIGNATURES["names_of"](module)
]
"""Every public name of the core and of its plugins with its module."""

UNEXPORTED = WRITE_API["unexported"]()
"""The classes that public signatures name and that cannot be imported, by the module."""

OWN_COMMANDS = ("serve", "dev", "new", "plugins", "config", "cache")
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "core/*.md", "plugins/*/*.md", "examples/*/*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
)


def hook_functions() -> dict[str, Any]:
    """The specification of every hook: of the core, and of each first-party plugin."""
    callers = vars(get_registry(create_app(WITHOUT_REDIS)).hook)
    # An optional implementation may be of a hook that nothing installed declares.
    declared = {name: one.spec for name, one in callers.items() if name[0] != "_" and one.spec}
    return {name: spec.function for name, spec in declared.items()}


def sections(path: Path) -> dict[str, str]:
    """The parts of a document by the names in their headings of the third level."""
    parts = re.split(r"^### (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        name: re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def shown_signature(section: str) -> str:
    """The signature at the beginning of a section, formatted as `normalized` does it."""
    found = code_blocks(section, "python")
    return normalized(found[0]) if found else "no signature is shown"


def real_signature(function: Any) -> str:
    """The signature in the source, formatted as `normalized` does it."""
    return normalized(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))


def normalized(source: str) -> str:
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


def test_the_reference_of_python_has_every_public_module() -> None:
    """What the contracts let plugins import, and what has an `__all__` in the testing kit.

    Of the plugins that is what their import packages export, and their kits for tests.
    """
    core = ROOT / "core/src/pegboard"
    packages = {f"pegboard.{path.stem}" for path in core.glob("[!_]*") if path.name != "py.typed"}
    (contract,) = (one for one in import_contracts() if one["id"] == "public")
    kit = {
        ".".join(path.relative_to(core.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in core.glob("testing/**/*.py")
        if re.search("^__all__", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    exporting = {
        ".".join(path.relative_to(path.parents[up]).parts[:-1])
        for up, pattern in ((1, "plugins/*/src/*"), (2, "plugins/*/src/*/testing"))
        for path in ROOT.glob(f"{pattern}/__init__.py")
        if re.search("^__all__", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"pegboard_items", "pegboard_ratelimit.testing"} <= exporting
    expected = {"pegboard"} | packages - set(contract["forbidden_modules"]) | kit | exporting
    assert sorted(expected) == sorted(WRITE_API["modules"]())


def test_every_class_that_a_public_signature_names_has_an_entry() -> None:
    """Exported or not: in the signatures of functions and members, and in the types of attributes.

    Names of base classes do not count, nor does code that is an example. An alias of a type has
    its definition below the signature instead.
    """
    text = API.read_text(encoding="utf-8")
    entries = set(re.findall(r"^(?:#{3,4} (?=\w+$)|(?=\w+ = ))(\w+)", text, re.MULTILINE))
    core, _, plugins = text.partition("\n## pegboard_items\n")
    classes = classes_in("core/src/pegboard")
    named = named_in_signatures(core)
    assert {"Registry", "Plugin", "Pipeline", "PreparedLookup"} <= named & classes
    named_by_plugins = named_in_signatures(plugins)
    assert {"Counter", "Verdict", "Command"} <= named_by_plugins
    named_by_plugins &= classes | classes_in("plugins/*/src")
    assert [] == sorted((named & classes | named_by_plugins) - entries)


def classes_in(folder: str) -> set[str]:
    """The classes of modules that are not private by their names."""
    return {
        node.name
        for path in ROOT.glob(f"{folder}/**/*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name[0] != "_"
    }


def named_in_signatures(text: str) -> set[str]:
    """The names of types in the signatures of a part of the reference."""
    heads = re.findall(r"^#{3,4} \w+\n\n```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    signatures = [re.sub(r"^class .*", "", head) for head in heads]
    signatures += re.findall(r"^- `(.*)`", text, re.MULTILINE)
    return set(re.findall(r"(?<![\w.'\"])[A-Z]\w+(?!\w*[.(])", "\n".join(signatures)))


DOCUMENTED = [*PUBLIC, *((m, one.name) for m, found in UNEXPORTED.items() for one in found)]
"""Every name that has an entry in the reference, with the module under which it stands."""


@pytest.mark.parametrize("module,name", DOCUMENTED)
def test_the_docstring_of_every_public_name_is_complete(module: str, name: str) -> None:
    """It and its members have one, with types, the unit of each time and size, and all errors."""
    assert [] == list(omissions(WRITE_API["find_entry"](module, name)))


def omissions(definition: Any, context: str = "", owner: str = "") -> Iterator[str]:
    """What the documentation of a name does not say.

    `context` is said by the class that it belongs to, whose name is `owner`.
    """
    node, doc = definition.node, f"{context}\n{definition.doc}"
    yield from missing_docstring(definition, owner)
    if isinstance(node, ast.ClassDef):
        for member in definition.members:
            if member.is_documented or member.name == "__init__":
                yield from omissions(member, definition.doc, definition.name)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for name, annotation in types_of(node).items():
            yield from unclear(f"{definition.name}({name})", annotation, doc)
        for error in sorted(public_errors(node)):
            if not re.search(rf"\b[Rr]aises?\b[^.]*`{error}`", doc):
                yield f"{definition.name} does not say that it raises {error}"
    elif isinstance(node, ast.AnnAssign):
        yield from unclear(definition.name, node.annotation, doc)


def missing_docstring(definition: Any, owner: str) -> Iterator[str]:
    """Whether a name needs a docstring and has none that says anything.

    What a configuration sets is explained by the reference of settings.
    """
    is_configured = owner.endswith("Config") and definition.name.isupper()
    if definition.name != "__init__" and not is_configured:
        if not definition.doc:
            yield f"{definition.name} has no docstring"
        elif says_nothing(definition.doc, f"{owner} {definition.name}"):
            yield f"{definition.name} has a docstring that only repeats its name"


SMALL_WORDS = set(
    re.findall(r"\w+", "a all an and are as at by for from has have if in is it its of on or the")
)


def says_nothing(doc: str, name: str) -> bool:
    """Whether a docstring has less than three words, or none that is not in the name.

    Small words do not count for the second, nor do endings: "Get the items." says nothing about
    `get_item`.
    """
    words = re.findall(r"\w+", doc.lower())
    known = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    new = (word for word in words if not any(map(word.startswith, known)))
    return len(words) < 3 or set(new) <= SMALL_WORDS


def test_a_docstring_that_repeats_the_name_is_noticed() -> None:
    """Whatever it adds in endings and small words."""
    assert says_nothing("Get.", "Cache get")
    assert says_nothing("Gets all the items.", "get_item")
    assert says_nothing("Close the channel.", "Channel close")
    assert not says_nothing("Close every idle connection.", "Channel close")


def types_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr | None]:
    """The annotations of a function's arguments, and of what it returns."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    arguments += [one for one in (given.vararg, given.kwarg) if one]
    types = {one.arg: one.annotation for one in arguments if one.arg not in ("self", "cls")}
    return {**types, "return": function.returns}


UNITS = {r"(timeout|ttl|patience|delay|lifetime|seconds)$": "second", r"(bytes|size)$": "byte"}


def unclear(name: str, annotation: ast.expr | None, doc: str) -> Iterator[str]:
    """What is not said about an argument, an attribute or what is returned."""
    if annotation is None:
        yield f"{name} has no type"
        return
    kind = ast.unparse(annotation)
    units = {unit for ending, unit in UNITS.items() if re.search(ending, name.rstrip(")"))}
    if kind == "float":
        units.add("second")
    for unit in units:
        if kind in ("int", "float") and unit not in doc:
            yield f"{name} has no unit"


def public_errors(function: ast.AST) -> set[str]:
    """The exceptions that a function raises itself, of Python or of the public API."""
    raised = {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for node in ast.walk(function)
        if isinstance(node, ast.Raise) and node.exc
    }
    known = {name for _, name in PUBLIC} | set(dir(builtins))
    return {name for name in raised if name in known and name[0].isupper()}


def plugin_code() -> Iterator[tuple[str, str]]:
    """Where the code of a plugin is, and the code: of this repository's, and of the documents'."""
    for path in (*ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("examples/*/src/**/*.py")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in DOCUMENTS:
        if path != API:
            code = "\n".join(code_blocks(path.read_text(encoding="utf-8"), "python"))
            yield str(path.relative_to(ROOT)), code


@pytest.mark.parametrize(
    "place,code", [pytest.param(place, code, id=place) for place, code in plugin_code()]
)
def test_plugins_use_only_public_names(place: str, code: str) -> None:
    """Those of this repository and those of the documents, of modules and of `pegboard` itself.

    Of the core, and of plugins that are not their own.
    """
    modules = WRITE_API["modules"]()
    packages = {name for name in SIGNATURES["SOURCES"] if f"/src/{name}/" not in place}
    assert [] == [
        name
        for name in names_used(code, packages)
        if name not in PUBLIC and ".".join(name) not in modules
    ]


def names_used(code: str, packages: Collection[str]) -> Iterator[tuple[str, str]]:
    """The names of some packages that some code uses, with their modules."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in packages:
                yield from ((module, imported.name) for imported in node.names)
            case ast.Import():
                for imported in node.names:
                    package, _, module = imported.name.partition(".")
                    if module and package in packages:
                        yield imported.name, "import the names instead"
            case ast.Attribute(value=ast.Name(id="pegboard")):
                yield "pegboard", node.attr


def commands(group: click.Group, path: str) -> Iterator[str]:
    """The full names of a group's commands, and of its groups' commands."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


def test_every_command_is_documented() -> None:
    """Of the core and of first-party plugins; those of Flask and its extensions are their own."""
    released = {folder.name for folder in ROOT.glob("plugins/*")}
    installed = {one.name for one in entry_points(group="pegboard.plugins")}
    app = create_app(WITHOUT_REDIS, plugins=sorted(released & installed))
    groups = [click.Group(commands={name: main.commands[name] for name in OWN_COMMANDS}), app.cli]
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    found = {name for group in groups for name in commands(group, "pegboard")}
    extensions = {name for name in found if name.startswith(("pegboard db", "pegboard openapi"))}
    expected = (found - extensions) | set(commands(db, "pegboard db"))
    assert [] == sorted(name for name in expected if f"`{name}" not in text)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_shows_exists(path: Path) -> None:
    """In its shell blocks, with the options that it is given, and the values of these."""
    text = path.read_text(encoding="utf-8")
    shell = "".join(code_blocks(text, "sh") + code_blocks(text, "console"))
    known = click.Group(
        commands={**create_app(WITHOUT_REDIS).cli.commands, **main.commands, "db": db}
    )
    for line in re.findall(r"(?:^|[;&] )(?:\$ )?pegboard ([a-z].*)", shell, re.MULTILINE):
        if path.is_relative_to(ROOT / "examples" / line.split()[0]):
            continue  # a command of an example, which is not installed here
        group: click.Command = known
        words = command_words(line)
        while isinstance(group, click.Group) and words:
            assert words[0] in group.commands, line
            group = group.commands[words.pop(0)]
        with click.Context(group) as context:
            given, _, _ = group.make_parser(context).parse_args(words)
            for one in group.params:
                if isinstance(one.type, click.Choice | click.IntRange) and one.name in given:
                    one.type_cast_value(context, given[one.name])


def command_words(line: str) -> list[str]:
    """The words of a command, up to where the shell ends or redirects it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    return [*itertools.takewhile(lambda word: not set(word) <= set("|&;<>()"), lexer)]


def test_the_names_that_the_changelog_tells_to_use_exist() -> None:
    """Those in the second column of its table of changed names, which begin with a module."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (.*) \|$", text, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(pegboard\.\w+)\.([\w.]+)`", row)]
    assert names
    for module, name in names:
        assert (module, name.partition(".")[0]) in PUBLIC
        assert operator.attrgetter(name)(importlib.import_module(module))


def import_contracts() -> list[dict[str, Any]]:
    """The contracts that the linter of imports keeps."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts: list[dict[str, Any]] = tools["importlinter"]["contracts"]
    return contracts


def test_the_picture_of_the_core_is_what_the_linter_knows() -> None:
    """The same layers from top to bottom; within a layer the order is free."""
    text = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    shown = code_blocks(text, "text")[0].strip().split("\n\n")
    layers = [set(re.findall(r"^(\w+)  ", layer, re.MULTILINE)) for layer in shown]
    assert [set(layer.split(" | ")) for layer in import_contracts()[0]["layers"]] == layers


def test_the_files_that_the_architecture_names_exist() -> None:
    """What was moved or renamed is named by its new path."""
    text = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    files = re.findall(r"`([\w/]+\.py)`", text)
    roots = [ROOT / "core/src/pegboard", *ROOT.glob("plugins/*/src")]
    assert files
    assert [] == [file for file in files if not any((root / file).exists() for root in roots)]


@pytest.mark.parametrize("page", ["api", "grade", "kit", "problems", "settings"])
def test_a_page_that_is_written_from_the_source_is_current(page: str) -> None:
    """Its script in `docs` writes it anew."""
    assert runpy.run_path(str(ROOT / f"docs/write_{page}.py"))["PAGE"].is_current()


def test_every_problem_has_a_declared_code_and_every_code_a_problem() -> None:
    """Each code that is declared is used, and begins with the name of its owner."""
    owners = runpy.run_path(str(ROOT / "docs/write_problems.py"))["OWNERS"]
    for owner, codes in owners.items():
        prefix = "PB_" if owner == "core" else f"{owner.upper()}_"
        folder = ROOT / ("core/src" if owner == "core" else f"plugins/{owner}/src")
        source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("**/*.py"))
        assert [] == [code for code in codes if not code.startswith(prefix)]
        assert [] == [code for code in codes if f"Code.{code.name}" not in source]


def test_the_guide_names_the_type_of_each_fixture() -> None:
    """As the reference does, by which it is imported."""
    reference = API.read_text(encoding="utf-8").partition(
        "<!-- api: pegboard.testing.fixtures -->"
    )[2]
    types = re.findall(r"^\| `(\w+)` \| `(.+?)` \| ", reference, re.MULTILINE)
    guide = sections(ROOT / "docs/how-to/fixtures.md")
    shown = {name: guide[name].split("\n")[1] for name, _ in types}
    assert {name: f"Type: `{kind}`.".replace("\\|", "|") for name, kind in types} == shown


def test_the_code_of_the_resources_guide_is_that_of_plugins() -> None:
    """Each block is in a file of `examples/reviews` or of a test, or in one of the tutorial."""
    tutorial = (ROOT / "docs/tutorial/first-plugin.md").read_text(encoding="utf-8")
    real = [
        *(path.read_text(encoding="utf-8") for path in ROOT.glob("examples/reviews/**/*.py")),
        *(
            (ROOT / f"core/tests/resources/{name}.py").read_text(encoding="utf-8")
            for name in ("test_header_permission", "test_referred")
        ),
        *(f"\n{code}" for code in code_blocks(tutorial, "python")),
    ]
    shown = code_blocks((ROOT / "docs/how-to/resources.md").read_text(encoding="utf-8"), "python")
    assert shown
    assert [] == [block for block in shown if not any(is_part(block, code) for code in real)]


def is_part(block: str, code: str) -> bool:
    """Whether some code has the lines of a block, which may be indented there."""
    return any(f"\n{textwrap.indent(block, ' ' * depth)}" in code for depth in (0, 4, 8))


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
    found: set[str] = set()
    for heading in headings:
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        numbered = (f"{slug}-{number}" for number in itertools.count(1))
        found.add(slug if slug not in found else next(one for one in numbered if one not in found))
    return found


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


def test_the_grade_knows_the_public_modules() -> None:
    """Those that a plugin may import when it serves: all but the testing kit's."""
    core = {one for one in WRITE_API["modules"]() if one.partition(".")[0] == "pegboard"}
    serving = {one for one in core if not one.startswith("pegboard.testing")}
    assert serving == set(PUBLIC_MODULES)
