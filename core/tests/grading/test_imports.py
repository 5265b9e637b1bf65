"""What a plugin imports and uses, and what of it is private."""

from types import SimpleNamespace

import pytest

from pegboard.grading import RULES, TIERS, Outcome
from pegboard.grading.imports import imports_of
from pegboard.grading.rule import Finding
from pegboard.grading.subject import find_subject
from pegboard.grading.types_check import find_silencing
from pegboard.testing.distributions import PluginFolder


def judge(rule_id: str) -> Finding:
    """Judge the imports of notes by one rule."""
    subject = find_subject("notes", TIERS)
    (rule,) = [one for one in RULES if one.id == rule_id]
    evidence = SimpleNamespace(
        subject=subject,
        imports=tuple(imports_of(subject)),
        started=SimpleNamespace(test_modules=()),
    )
    return rule.check(evidence)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source,told",
    [
        ("from pegboard.server import requests", "pegboard.server, which is no public module"),
        ("pegboard.server.requests.handle()", "server.requests.handle of pegboard"),
        ("p = pegboard\np.server", "server of pegboard"),
        ("import pegboard.stages as s\ns.contract", "contract of pegboard.stages"),
        ("def late():\n    return stages.contract\nfrom pegboard import stages", "contract of"),
        ("from pegboard import Model\nModel._columns", "pegboard.Model._columns, which is private"),
        ("import pegboard_items\npegboard_items.models._Base", "models._Base, which is private"),
        ("getattr(pegboard, 'server')", "server of pegboard"),
        ("vars(pegboard)['server']", "server of pegboard"),
        ("import sys\nsys.modules['pegboard.server']", "server of pegboard"),
        ("from sys import modules\nmodules.get('pegboard.server').x", "server.x of pegboard"),
        ("import importlib\nimportlib.import_module('pegboard.server')", "server of pegboard"),
        ("from importlib import import_module as f\nf(name='pegboard.server')", "server of"),
        (
            "N = 'pegboard.' + 'server'\nimport importlib as i\ni.import_module(N)",
            "server of",
        ),
        ("import importlib as i\ni.import_module('.server', 'pegboard')", "server of pegboard"),
        ("import importlib as i\ni.import_module('.server', package='pegboard')", "server of"),
        ("import importlib as i\ni.import_module('.server', __package__)", None),
        ("import pkgutil\npkgutil.resolve_name('pegboard.server:requests')", "server.requests of"),
        ("import pkgutil\npkgutil.resolve_name('pegboard').server", "server of pegboard"),
        ("__import__('pegboard.server').Model", "server of pegboard"),
        ("__import__(f'pegboard.{\"server\"}', fromlist=['x'])", "server of pegboard"),
        ("exec('import pegboard.server')", "server of pegboard"),
        ("pegboard.Model.metadata, pegboard.__version__, pegboard.hookimpl(None)", None),
        ("import pegboard.stages\npegboard.stages.Stage", None),
        ("from pegboard import stages\ndef f(stages): return stages.contract", None),
        ("from pegboard import cache\ndef f():\n    cache = {}\n    return cache.other", None),
        ("from importlib import import_module\nimport_module('.models', 'example_notes')", None),
        ("import logging\nlogging.getLogger('pegboard.server')", None),
        (
            "import pegboard\nEND = dict(group='pegboard.plugins')",
            None,
        ),
    ],
)
def test_what_is_private_is_found_however_it_is_reached(
    source: str, told: str | None, plugin_folder: PluginFolder
) -> None:
    """By imports, attributes and names; with the place."""
    plugin_folder.add("notes", source)
    found = judge("public-imports")
    assert (Outcome.FAILED if told else Outcome.PASSED) == found.outcome, found.details
    if told:
        assert any(
            one.startswith("example_notes/plugin.py:") and told in one for one in found.details
        ), found.details


@pytest.mark.parametrize(
    "file,outcome",
    [
        ("testing/kit.py", Outcome.PASSED),
        ("testing_views.py", Outcome.FAILED),
        ("views/testing.py", Outcome.FAILED),
    ],
)
def test_only_the_subpackage_for_tests_may_import_what_is_for_tests(
    file: str, outcome: Outcome, plugin_folder: PluginFolder
) -> None:
    """And not every module whose name begins alike."""
    path = plugin_folder.add("notes") / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("import pytest\n", encoding="utf-8")
    found = judge("no-test-imports")
    assert outcome == found.outcome, found.details


def test_a_module_may_have_another_encoding(plugin_folder: PluginFolder) -> None:
    """By the comment that Python reads, too."""
    folder = plugin_folder.add("notes")
    text = "# coding: latin-1\n# \u00e9\nfrom pegboard import server\n"
    (folder / "plugin.py").write_bytes(text.encode("latin-1"))
    subject = find_subject("notes", TIERS)
    assert ["example_notes/plugin.py:3"] == [one.place for one in imports_of(subject)]
    assert [] == [*find_silencing(subject)]


@pytest.mark.parametrize(
    "marker,outcome",
    [
        ("", Outcome.PASSED),
        ("; extra == 'cache'", Outcome.PASSED),
        ("; extra == 'cash'", Outcome.FAILED),
        ("; python_version < '3'", Outcome.FAILED),
    ],
)
def test_a_requirement_that_never_holds_declares_nothing(
    marker: str, outcome: Outcome, plugin_folder: PluginFolder
) -> None:
    """One of an extra does, as the plugin may be able to do without."""
    plugin_folder.add("notes", "import redis", requires=["pegboard", f"redis{marker}"])
    (metadata,) = plugin_folder.path.glob("*/METADATA")
    metadata.write_text(f"{metadata.read_text().strip()}\nProvides-Extra: cache\n")
    assert outcome == judge("declared-imports").outcome
