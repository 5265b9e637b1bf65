"""Write docs/reference/api.md, the reference of the public API, from the source.

The part of a module has every name of its `__all__`, then the classes of the core that their
signatures name but that no public module exports.
"""

import ast
import functools
import itertools
import re
import textwrap
from collections.abc import Mapping

from marked_page import MarkedPage
from signatures import (
    ROOT,
    Definition,
    Function,
    aliases_in,
    arguments_of,
    classes_in,
    find,
    head,
    names_of,
)

UNEXPORTED = """### Types that these name

Their objects are made by the core; no public module exports these classes.
"""


@functools.cache
def unexported() -> dict[str, list[Definition]]:
    """Return by module the classes that its signatures name and that no public module exports.

    A class belongs to the first module that names it, or that has a class that names it.
    """
    exported = {name for module in modules() for name in names_of(module)}
    found: dict[str, list[Definition]] = {}
    for module in modules():
        found[module] = []
        following = [(find(module, name), True) for name in names_of(module)]
        for definition, is_exported in following:
            for one in classes_in(definition, is_exported=is_exported):
                if one.name not in exported:
                    exported.add(one.name)
                    found[module].append(one)
                    following.append((one, False))
    return found


def modules() -> list[str]:
    """Return the public modules: those that the page has a place for."""
    return PAGE.owners()


def item(member: Definition, links: Mapping[str, str]) -> str:
    """Return the Markdown of one member of a class."""
    node, kind = member.node, ""
    if isinstance(node, Function):
        _, *arguments = arguments_of(node)
        shown = f"{node.name}({', '.join(arguments)})"
        if {"property", "cached_property"} & set(member.decorators):
            shown = node.name
            kind = " (read-only)"
        returns = ast.unparse(node.returns).strip("'") if node.returns else "None"
        separator = ": " if kind else " -> "
        shown += "" if returns == "None" else f"{separator}{returns}"
        kind += " (class method)" if "classmethod" in member.decorators else ""
        kind += " (fixture)" if member.is_fixture else ""
    elif isinstance(node, ast.AnnAssign):
        shown = f"{member.name}: {ast.unparse(node.annotation)}".replace("'", "")
    else:
        shown = ast.unparse(node) if isinstance(node.value, ast.Constant) else member.name
    doc = textwrap.indent(markdown(member.doc, links), "  ").strip()
    return f"- `{shown}`{kind}" + (f"\\\n  {doc}\n" if doc else "\n")


def markdown(doc: str, links: Mapping[str, str]) -> str:
    """Return a docstring in Markdown: its examples as code, its public names as links."""
    parts = re.split(r"\n*::\n\n((?: {4}.*\n?|\n)+)", doc)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = f"\n\n```python\n{textwrap.dedent(part).strip()}\n```\n\n"
        else:
            parts[place] = re.sub(
                r"`(\w+)`",
                lambda name: f"[`{name[1]}`](#{links[name[1]]})" if name[1] in links else name[0],
                part.strip(),
            )
    text = "".join(parts).strip()
    return re.sub(r"(?<=\w)\n\n```python", ":\n\n```python", text)


def section(definition: Definition, links: Mapping[str, str], *, is_exported: bool = True) -> str:
    """Return the Markdown of one name, without the constructor of a class that is not exported."""
    links = {name: slug for name, slug in links.items() if name != definition.name}
    shown = head(definition) if is_exported else head(definition).partition("\n")[0]
    code = "\n\n".join(filter(None, [shown, "\n".join(aliases_in(definition))]))
    level = "###" if is_exported else "####"
    text = f"{level} {definition.name}\n\n```python\n{code}\n```\n\n"
    text += f"{markdown(definition.doc, links)}\n"
    if isinstance(definition.node, ast.ClassDef):
        if is_exported and (arguments := about_arguments(definition)):
            text += f"\n{markdown(arguments, links)}\n"
        items = [item(member, links) for member in definition.members if member.is_documented]
        text += f"\n{''.join(items)}" if items else ""
    return text


def about_arguments(definition: Definition) -> str:
    """Return what the constructor's docstring says after its first line."""
    made = [member.doc for member in definition.members if member.name == "__init__"]
    return "".join(made).partition("\n\n")[2]


def row(fixture: Definition) -> str:
    """Return the line of a table that says what a fixture is."""
    assert isinstance(fixture.node, Function)
    assert fixture.node.returns
    returns = ast.unparse(fixture.node.returns).strip("'\"")
    kind = re.sub(r"^Iterator\[(.*)\]$", r"\1", returns).replace("|", "\\|")
    return f"| `{fixture.name}` | `{kind}` | {' '.join(fixture.doc.split())} |\n"


def find_entry(module: str, name: str) -> Definition:
    """Return the definition of a name that has a section, exported by the module or not."""
    return next((one for one in unexported()[module] if one.name == name), None) or find(
        module, name
    )


def exported_before(module: str, definition: Definition) -> str | None:
    """Return the module that has the section of a name that several export, if it is not this."""
    for one in itertools.takewhile(module.__ne__, modules()):
        if definition.name in names_of(one) and find(one, definition.name) == definition:
            return one
    return None


def anchors() -> dict[str, dict[str, str]]:
    """Return the anchors of the headings by module and name, as GitHub and Sphinx make them."""
    found: dict[str, dict[str, str]] = {}
    taken: dict[str, int] = {}
    for module in modules():
        found[module] = {}
        for name in [*names_of(module), *(one.name for one in unexported()[module])]:
            entry = find_entry(module, name)
            if first := exported_before(module, entry):
                found[module][name] = found[first][name]
            elif not entry.is_fixture:
                slug = name.lower()
                count = taken[slug] = taken.get(slug, -1) + 1
                found[module][name] = f"{slug}-{count}" if count else slug
    return found


def text_of(module: str) -> str:
    """Return the Markdown of all public names of a module."""
    by_module = anchors()
    classes = {
        name: slug
        for names in by_module.values()
        for name, slug in names.items()
        if name[0].isupper() and not name.isupper()
    }
    links = {**classes, **by_module["pegboard"], **by_module[module]}
    found = [find(module, name) for name in names_of(module)]
    fixtures = [one for one in found if one.is_fixture]
    table = "| Fixture | Type | What it is |\n| --- | --- | --- |\n" + "".join(map(row, fixtures))
    parts = [table] if fixtures else []
    for one in found:
        if first := exported_before(module, one):
            slug = by_module[first][one.name]
            parts.append(f"`{one.name}` is [`{first}.{one.name}`](#{slug}).\n")
        elif not one.is_fixture:
            parts.append(section(one, links))
    if others := unexported()[module]:
        parts.append(UNEXPORTED)
        parts += [section(one, links, is_exported=False) for one in others]
    return "\n" + "\n".join(parts) + "\n"


PAGE = MarkedPage(ROOT / "docs/reference/api.md", "api", text_of)


if __name__ == "__main__":
    PAGE.main()
