"""Every Python block of the documents is run by a test, or compared with code that one runs."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from flask import Flask

import pegboard
from pegboard.testing.fixtures import MakeApp

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "docs/reference/api.md"
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "*/*.md", "plugins/*/*.md", "examples/*/*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if path != GENERATED and path.parent.name[0] != "."
)
BLOCK = re.compile(r"^[ >]*``` *([\w{}]*)[^\n]*\n(.*?)^[ >]*```", re.MULTILINE | re.DOTALL)
HERE = "tests/test_code_blocks.py::test_a_block_that_stands_alone_runs"
README = "tests/test_readme.py::test_the_"
SHOP = "tests/test_extend_guide.py::test_the_plugins_of_the_guide_extend_each_other"

HOOKS = "docs/reference/hooks.md"

ALL = {
    "docs/how-to/contracts.md": f"{README}examples_of_the_contracts_pass",
    "docs/how-to/deprecate.md": f"{README}plugin_of_the_deprecation_guide_passes_its_test",
    "docs/how-to/fixtures.md": f"{README}examples_of_the_fixtures_pass",
    "docs/how-to/resources.md": (
        "tests/test_docs.py::test_the_code_of_the_resources_guide_is_that_of_plugins"
    ),
    "docs/how-to/two-tables.md": (
        "tests/test_two_tables_guide.py::test_the_plugin_of_the_guide_has_two_tables"
    ),
    HOOKS: HERE,  # the signatures are compared by test_docs.py
    "docs/tutorial/first-plugin.md": "tests/author/test_tutorial.py",
}
"""By page the test that takes all of its blocks, so that one more is run, too."""

EACH = {
    "README.md": (f"{README}plugin_of_the_readme_works",),
    "docs/how-to/background.md": (f"{README}plugin_of_the_background_guide_passes_its_test",) * 2,
    "docs/how-to/cache-strategy.md": (
        f"{README}strategy_of_the_guide_serves",
        f"{README}strategy_of_the_guide_keeps_the_contract",
    ),
    "docs/how-to/cache.md": (
        f"{README}plugin_of_the_cache_guide_passes_its_test",
        HERE,
        HERE,
        HERE,
        f"{README}plugin_of_the_cache_guide_passes_its_test",
    ),
    "docs/how-to/configure.md": (HERE,),
    "docs/how-to/database.md": (HERE,),
    "docs/how-to/diagnose.md": (
        "core/tests/cli/test_explain.py::test_a_stage_explains_itself_as_the_guide_shows",
    ),
    "docs/how-to/extend.md": (
        *(SHOP,) * 6,
        "tests/test_extend_guide.py::test_the_foreign_key_of_the_guide_is_that_of_an_example",
    ),
    "docs/how-to/items-hooks.md": (f"{README}plugin_of_the_items_guide_refuses_and_logs",),
    "docs/how-to/listeners.md": (
        f"{README}plugin_of_the_listeners_guide_protects_and_logs",
        HERE,
        f"{README}plugin_of_the_listeners_guide_protects_and_logs",
    ),
    "docs/how-to/management.md": (f"{README}plugin_of_the_management_guide_has_metrics",),
    "docs/how-to/observe.md": (HERE,),
    "docs/how-to/rate-limits.md": (
        HERE,
        f"{README}plugin_of_the_limits_guide_names_and_counts_clients",
    ),
    "docs/how-to/redis.md": (HERE,),
    "docs/how-to/sessions.md": (HERE,),
    "docs/how-to/stages.md": (
        f"{README}plugin_of_the_stages_guide_shuts_the_service",
        *(f"{README}script_of_the_stages_guide_runs",) * 2,
    ),
    "docs/how-to/statements.md": (f"{README}plugin_of_the_statements_guide_answers",),
    "docs/how-to/test.md": (*(f"{README}tests_of_the_test_guide_pass",) * 3, HERE, HERE),
    "docs/how-to/transfer.md": (HERE,),
    "examples/tenants/README.md": (HERE,),
    "plugins/cache_redis/README.md": (HERE,),
}
"""By page the test of each of its blocks, in their order."""

MODELS = """
import pegboard
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
class Base(pegboard.Model, DeclarativeBase): ...
class Order(Base):
    __tablename__ = "orders"
class OrderLine(Base):
    __tablename__ = "order_lines"
class Customer(Base):
    __tablename__ = "customers"
class Item(Base):
    __tablename__ = "items"
class Review(Base):
    __tablename__ = "reviews"
    item_id: Mapped[int] = mapped_column(ForeignKey(Item.id))
blueprint = pegboard.Blueprint("block", __name__)
"""
BEFORE = {
    "docs/how-to/cache.md": MODELS,
    "docs/how-to/rate-limits.md": f"{MODELS}\nfrom flask.views import MethodView",
    "docs/how-to/sessions.md": MODELS,
    "docs/how-to/test.md": "import pytest",
    HOOKS: MODELS,
    "docs/how-to/transfer.md": "from pegboard_items.views import resource as notes",
}
"""What the text of a page leaves to its reader, as it says."""


def python_blocks(path: Path) -> list[str]:
    """The Python blocks of a document, also those in a list."""
    return [code for language, code in blocks(path) if language in {"python", "py"}]


def blocks(path: Path) -> list[tuple[str, str]]:
    """The blocks of a document by their languages, also those in a list."""
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def pages() -> Iterator[tuple[str, list[str]]]:
    """The documents that have Python blocks, with these."""
    for path in DOCUMENTS:
        if found := python_blocks(path):
            yield path.relative_to(ROOT).as_posix(), found


def test_every_block_is_claimed_by_a_test() -> None:
    """Add a test of a new block, and claim the block above; the test of a page may take all."""
    found = dict(pages())
    assert sorted(found) == sorted({**ALL, **EACH}), "pages with blocks, and pages that are claimed"
    unclaimed = [
        f"{page}: block {number + 1}: {code.partition(chr(10))[0]}"
        for page, codes in found.items()
        if page in EACH
        for number, code in enumerate(codes)
        if number >= len(EACH[page])
    ]
    assert [] == unclaimed
    assert {page: len(found[page]) for page in EACH} == {
        page: len(claims) for page, claims in EACH.items()
    }


@pytest.mark.parametrize(
    "page,claim",
    sorted({(page, one) for page, claims in EACH.items() for one in claims} | {*ALL.items()}),
)
def test_a_claim_is_of_a_test_that_reads_the_page(page: str, claim: str) -> None:
    """It is there, and its module names the page."""
    module, _, name = claim.partition("::")
    text = (ROOT / module).read_text(encoding="utf-8")
    assert any(part in text for part in (page, page.rpartition("/")[2]))
    tests = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert not name or name in tests


ALONE = [
    pytest.param(page, number, id=f"{page}-{number + 1}")
    for page, codes in pages()
    for number, code in enumerate(codes)
    if (page == HOOKS and not code.startswith("def ")) or EACH.get(page, ())[number:][:1] == (HERE,)
]


class Imagined(MetaPathFinder, Loader):
    """Imports the modules of plugins that exist in the documents alone."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Find what no other finder has found."""
        is_ours = name.startswith(("pegboard_", "example_tokens", "sentry_sdk"))
        return ModuleSpec(name, self, is_package=True) if is_ours else None

    def exec_module(self, module: ModuleType) -> None:
        """Give it any class, and any function."""

        def find(name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            if not name[0].isupper():
                return told_of(module.__name__, name)
            return type(name, (), {"__init__": lambda *_args, **_options: None})

        vars(module)["__getattr__"] = find


TOLD: dict[str, Any] = {}
"""What the blocks have called their imagined modules with."""


def told_of(module: str, name: str) -> Callable[..., None]:
    """A function that notes its options."""
    return lambda *_args, **options: TOLD.update({f"{module}.{name}": options})


@pytest.fixture
def surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str
) -> Iterator[None]:
    """What the blocks import that is not ours, and what a service of theirs is configured by."""
    known = {*sys.modules}
    monkeypatch.syspath_prepend(ROOT / "examples/tenants/src")
    monkeypatch.setattr("sys.meta_path", [*sys.meta_path, Imagined()])
    monkeypatch.setattr("builtins.input", lambda: "")
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "SECRET_KEY": "a key of more than thirty-two letters",
        "DATABASE_URL": sqlite_url,
        "PEGBOARD_PLUGINS": "items",
    }.items():
        monkeypatch.setenv(name, value)
    TOLD.clear()
    yield
    for name in {*sys.modules} - known:
        spec = sys.modules[name].__spec__
        if spec is not None and isinstance(spec.loader, Imagined):
            del sys.modules[name]


def set_up(names: dict[str, Any], app: Flask) -> None:
    """Call the hook of a block, as at a start."""
    names["pegboard_setup"](app)


AFTER: dict[str, Callable[[dict[str, Any], Flask], object]] = {
    "docs/how-to/database.md": set_up,
    "docs/how-to/observe.md": set_up,
    "docs/how-to/transfer.md": lambda names, _: next(names["samples"]())["text"],
    "docs/how-to/listeners.md": lambda names, app: names["pegboard_listeners"](app),
}
"""What else is run of a page's block."""


@pytest.mark.parametrize("page,number", ALONE)
@pytest.mark.usefixtures("surroundings")
def test_a_block_that_stands_alone_runs(make_app: MakeApp, page: str, number: int) -> None:
    """In a request, and with what its page leaves to the reader; then what it defines is called."""
    app = make_app(upgrade=False)
    names: dict[str, Any] = {
        "__name__": "block",
        "__file__": str(ROOT / page),
        "pegboard": pegboard,
        "user": SimpleNamespace(id=7),
    }
    with app.test_request_context():
        exec(BEFORE.get(page, ""), names)  # noqa: S102 - it is ours
        exec(python_blocks(ROOT / page)[number], names)  # noqa: S102 - it is ours
        AFTER.get(page, lambda _names, _app: None)(names, app)
    assert ("sentry_sdk.init" in TOLD) is (page == "docs/how-to/observe.md")
