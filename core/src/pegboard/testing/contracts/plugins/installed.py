"""What a plugin does when it is installed from its wheel, and in a process of its own."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pegboard.testing.contracts.named import Named, candidate_of, fail, needs_of, package_of
from pegboard.testing.contracts.plugins.source import Source, Wheel, build_once, run_probe

_REPORTS = pytest.StashKey[dict[type, dict[str, Any]]]()


class Installed(Named):
    """Its wheel, its import, and what it leaves in a process."""

    @pytest.fixture
    def source(self, request: pytest.FixtureRequest, plugin_name: str) -> Source | None:
        """The folder of the plugin's distribution; None if it is not above the tests."""
        return Source.find(Path(request.path), plugin_name)

    @pytest.fixture
    def wheel(
        self,
        source: Source | None,
        plugin_name: str,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Wheel | None:
        """The wheel of that folder, built once for all processes of the test session."""
        if source is None:
            return None
        base = tmp_path_factory.getbasetemp()
        is_worker = "PYTEST_XDIST_WORKER" in os.environ
        return build_once(source, plugin_name, base.parent if is_worker else base)

    @pytest.fixture
    def plugin_environment(self) -> Mapping[str, str]:
        """Variables that the plugin needs in a process of its own, beside settings: none.

        It gets those with which the tests began, and none that a fixture has set since.
        """
        return {}

    @pytest.fixture
    def report(
        self,
        request: pytest.FixtureRequest,
        wheel: Wheel | None,
        plugin_name: str,
        plugin_config: Mapping[str, object],
        plugin_environment: Mapping[str, str],
    ) -> dict[str, Any]:
        """What the plugin has done in one process of its own, as the probe saw it."""
        candidate_of(plugin_name)
        reports = request.config.stash.setdefault(_REPORTS, {})
        plugins = [*needs_of(plugin_name), plugin_name]
        if request.cls not in reports:
            task = {"plugin": plugin_name, "plugins": plugins, "config": {**plugin_config}}
            reports[request.cls] = run_probe(
                task, wheel.folder if wheel else None, plugin_environment
            )
        return reports[request.cls]

    def test_it_installs_from_its_wheel(
        self,
        source: Source | None,
        wheel: Wheel | None,
        report: dict[str, Any],
        plugin_name: str,
    ) -> None:
        """The wheel has all that the plugin needs, and an app starts with it."""
        if source is None or wheel is None:
            pytest.skip("no folder above the tests has the pyproject.toml of the plugin")
        package = package_of(plugin_name)
        if mistakes := [*wheel.mistakes(plugin_name, package, source)]:
            fail(f"the wheel {wheel.path.name} cannot be used: {'; '.join(mistakes)}")
        if report["error"]:
            fail(f"{plugin_name} does not start from its wheel: {report['error']}")
        if not Path(report["origin"]).is_relative_to(wheel.folder):
            fail(
                f"the module of {plugin_name} comes from {report['origin']}, not from the wheel: "
                "name in its entry point a module of the package that the wheel has"
            )

    def test_its_import_asks_no_server(self, report: dict[str, Any], plugin_name: str) -> None:
        """No connection, query, look-up of a name, process, thread or change of a file."""
        if report["at_import"]:
            fail(
                f"the import of {plugin_name} uses the network, a database, processes, threads or "
                f"files: {'; '.join(report['at_import'])}. Do it when it is first needed, or in "
                "pegboard_setup(app)"
            )

    def test_it_leaves_the_process_as_it_is(self, report: dict[str, Any], plugin_name: str) -> None:
        """Neither its import nor an app changes what all code of the process shares."""
        if report["changed"]:
            fail(
                f"{plugin_name} changes what all apps of a process share: "
                f"{'; '.join(report['changed'])}. Keep it in app.extensions[{plugin_name!r}], and "
                "use the hooks in place of replacing functions of others. A thread of an app "
                "refers to it by a weak reference, and ends when it is gone"
            )
        if report["error"]:
            fail(f"{plugin_name} does not start in a process of its own: {report['error']}")

    def test_it_works_after_a_fork(self, report: dict[str, Any], plugin_name: str) -> None:
        """A process that was forked after the app was built answers as its parent."""
        if report["error"]:
            fail(f"{plugin_name} does not start in a process of its own: {report['error']}")
        before, after = report["before_fork"], report["after_fork"]
        if not after:
            what = "answers no request"
        elif differs := [path for path in before if before[path] != after.get(path)]:
            what = f"answers otherwise: {', '.join(differs)}"
        else:
            return
        fail(
            f"in a process that was forked after the app was built, {plugin_name} {what}. Threads, "
            "locks and connections of the parent do not work there: make them when they are first "
            "used, and forget them by pegboard.after_fork(object, function)"
        )
