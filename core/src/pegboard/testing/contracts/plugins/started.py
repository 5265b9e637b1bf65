"""What a plugin does in apps: alone, beside others, in two at once."""

import gc
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from pegboard.plugins import Candidate, get_registry, in_order, installed_plugins
from pegboard.problems import Problem, StartupError
from pegboard.testing.contracts.named import BuildApp, Named, fail, needs_of, package_of
from pegboard.testing.contracts.plugins.cached_functions import app_dependent_caches
from pegboard.testing.contracts.plugins.state import changed, module_state
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.probe import requests

_IN_ORDER = "pegboard.plugins.assembly.in_order"

Order = Callable[[Iterable[Candidate]], tuple[list[Candidate], list[Problem]]]


class Started(Named):
    """Starting, and keeping apps apart."""

    def test_it_starts_alone(self, build: BuildApp, plugin_name: str) -> None:
        """With the plugins that it requires and no other."""
        _check(build(upgrade=True), f"{plugin_name} alone")

    def test_it_starts_beside_every_installed_plugin(
        self,
        request: pytest.FixtureRequest,
        make_app: MakeApp,
        plugin_name: str,
        plugin_config: Mapping[str, object],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Whichever of the two comes first; another that does not start itself is left out."""
        needs = needs_of(plugin_name)
        mine = [*needs, plugin_name]
        tried = 0
        for other in sorted({one.name for one in installed_plugins()} - {*mine}):
            theirs = [*needs_of(other), other]
            config: dict[str, Any] = {**plugin_config}
            if not _starts(make_app, [one for one in theirs if one != plugin_name], config):
                # It may be one that needs Redis.
                config.setdefault("REDIS_URL", request.getfixturevalue("redis_url"))
                if not _starts(make_app, theirs, config):
                    continue
            tried += 1
            both = list(dict.fromkeys([*mine, *theirs]))
            for first, second in ((plugin_name, other), (other, plugin_name)):
                monkeypatch.setattr(_IN_ORDER, _early(first))
                where = f"{first} before {second}"
                try:
                    app = make_app(plugins=both, **config)
                except StartupError as error:
                    fail(f"{where}: the app does not start: {error}\nCorrect {plugin_name}.")
                _check(app, where)
            monkeypatch.undo()
        if not tried:
            known = f" but {', '.join(needs)}, which {plugin_name} requires" if needs else ""
            pytest.skip(f"no other plugin that starts is installed here{known}")

    def test_it_works_in_two_apps_at_once(
        self, build: BuildApp, plugin_name: str, tmp_path: Path
    ) -> None:
        """Each with a database of its own, and one is not changed by the other."""
        urls = [f"sqlite:///{tmp_path / name}.db" for name in ("first", "second")]
        first = build(upgrade=True, DATABASE_URL=urls[0])
        alone = requests(first)
        second = build(upgrade=True, DATABASE_URL=urls[1])
        for place, app in (("second", second), ("first", first)):
            found = requests(app)
            if differs := [path for path in alone if alone[path] != found.get(path)]:
                answers = ", ".join(f"{path} {found.get(path)}" for path in differs)
                fail(
                    f"where two apps have {plugin_name}, the {place} answers otherwise than one "
                    f"alone: {answers}. Keep what belongs to an app in app.extensions"
                )

    def test_it_keeps_nothing_of_an_app(self, build: BuildApp, plugin_name: str) -> None:
        """A further app changes no module of the plugin."""
        package = package_of(plugin_name)
        found: list[str] = []
        build()  # imports it
        with app_dependent_caches(package, found):
            requests(build(upgrade=True))  # what is made once for all apps is there then
        if found:
            fail(
                f"{plugin_name} keeps what the first app has for all apps: {', '.join(found)} is "
                "cached, and asks for the current app or its settings. Keep it in "
                f"app.extensions[{plugin_name!r}]"
            )
        before = module_state(package)
        requests(build(upgrade=True))
        if names := changed(before, module_state(package)):
            fail(
                f"{plugin_name} keeps what belongs to an app in its modules: building one changes "
                f"{', '.join(names)}. Keep it in app.extensions[{plugin_name!r}]"
            )

    def test_an_app_that_is_not_used_is_forgotten(
        self, plugin_name: str, plugin_config: Mapping[str, object], tmp_path: Path
    ) -> None:
        """Nothing of the plugin refers to it any more."""
        config = {
            "ENV": "testing",
            "MIGRATIONS_DIRECTORY": str(tmp_path / "alembic"),
            **plugin_config,
        }
        gone = _build_and_forget(config, [*needs_of(plugin_name), plugin_name])
        gc.collect()
        if gone() is not None:
            fail(
                f"{plugin_name} keeps an app that is not used any more, so that it is never freed. "
                "Refer to it by flask.current_app, or by a weak reference"
            )


def _build_and_forget(config: Mapping[str, object], plugins: Sequence[str]) -> "weakref.ref[Flask]":
    from pegboard import create_app  # noqa: PLC0415 - loading the contracts must not load it

    app = create_app(config, plugins=plugins)
    app.test_client().get("/health")
    return weakref.ref(app)


def _starts(make_app: MakeApp, plugins: Sequence[str], config: Mapping[str, Any]) -> bool:
    try:
        make_app(plugins=plugins, upgrade=False, **config)
    except StartupError:
        return False
    return True


def _early(name: str) -> Order:
    """Return a function that orders plugins so that one comes as early as it may."""

    def early(candidates: Iterable[Candidate]) -> tuple[list[Candidate], list[Problem]]:
        ordered, problems = in_order(candidates)
        needs = {*needs_of(name), name}
        return sorted(ordered, key=lambda one: one.name not in needs), problems

    return early


def _check(app: Flask, where: str) -> None:
    """Fail the test unless the app is ready, and has its document."""
    client = app.test_client()
    for path in ("/health/ready", "/openapi.json"):
        answer = client.get(path)
        if answer.status_code != HTTPStatus.OK:
            active = ", ".join(plugin.name for plugin in get_registry(app).plugins)
            fail(
                f"{where}: an app with {active} answers {path} by {answer.status_code}: "
                f"{answer.get_data(as_text=True):.500}. Correct what is named"
            )
