"""What is deprecated works, and warns with the plugin that uses it and what takes its place."""

import ast
import json
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

import pegboard
from pegboard import resources
from pegboard.deprecation import (
    Deprecation,
    deprecated,
    logged_later,
    moved_names,
    renamed_argument,
)
from pegboard.plugins import get_registry
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.services import run_pegboard

SOURCES = Path(__file__).parents[1] / "src/pegboard"

OWNER = """
from pegboard.deprecation import deprecated_hook

class Hooks:
    @pegboard.hookspec
    @deprecated_hook("pegboard_owner_new", "2.0")
    def pegboard_owner_old(self): ...

    @pegboard.hookspec
    @deprecated_hook("app", "2.0", argument="service")
    def pegboard_owner_new(self, app, service): ...

@pegboard.hookimpl
def pegboard_hookspecs():
    return Hooks
"""


def messages(seen: pytest.WarningsRecorder) -> list[str]:
    """Return what was warned of."""
    return [str(one.message) for one in seen if one.category is DeprecationWarning]


def test_a_plugin_that_imports_a_moved_name_loads_and_is_named(
    plugin_folder: PluginFolder, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """With its distribution, in a warning at its line and in the log."""
    code = """
    from pegboard import no_time_limit

    @pegboard.hookimpl
    def pegboard_setup(app):
        app.extensions["found"] = no_time_limit
    """
    module = plugin_folder.add("shop", code)
    with pytest.warns(DeprecationWarning, match="deprecated") as seen:
        app = make_app(plugins=["shop"])
    message = (
        "plugin shop (example-shop 1.0) uses pegboard.no_time_limit, which is deprecated and goes "
        "in 0.2: use pegboard.resources.no_time_limit"
    )
    # Python asks a package twice.
    assert {message} == {*messages(seen)}
    assert {(str(module / "plugin.py"), 3)} == {(one.filename, one.lineno) for one in seen}
    assert ("pegboard.deprecation", logging.WARNING, message) in caplog.record_tuples
    assert resources.no_time_limit is app.extensions["found"]


def test_hooks_and_arguments_of_hooks_are_deprecated(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """Who implements one, or takes the argument, is told when the app is built; no one else is."""
    plugin_folder.add("owner", OWNER)
    plugin_folder.add(
        "old",
        """
        @pegboard.hookimpl
        def pegboard_owner_old(): ...

        @pegboard.hookimpl
        def pegboard_owner_new(app, service): ...
        """,
    )
    plugin_folder.add("new", "@pegboard.hookimpl\ndef pegboard_owner_new(app): ...")
    with pytest.warns(DeprecationWarning, match="deprecated") as seen:
        make_app(plugins=["owner", "old", "new"])
    who, when = "plugin old (example-old 1.0) uses", "which is deprecated and goes in 2.0"
    assert {
        f"{who} the hook pegboard_owner_old, {when}: use pegboard_owner_new",
        f"{who} the argument service of the hook pegboard_owner_new, {when}: use app",
    } == set(messages(seen))
    assert {"plugin.py"} == {Path(one.filename).name for one in seen}


def settings(*, formerly: str) -> str:
    """Return the code of a plugin with a setting that had another name."""
    return f"""
    class ShopSettings(pegboard.Settings):
        page_size: int = pegboard.setting(20, doc="Rows of a page.", formerly=("{formerly}", "2.0"))
        token: str = pegboard.setting(
            "", doc="Secret.", secret=True, formerly=("password", "2.0")
        )

    @pegboard.hookimpl
    def pegboard_settings():
        return ShopSettings

    @pegboard.hookimpl
    def pegboard_setup(app):
        app.extensions["found"] = pegboard.get_settings(ShopSettings, app)
    """


def test_a_setting_counts_by_its_former_name(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """Given to `create_app`, the operator is told its new name."""
    plugin_folder.add("shop", settings(formerly="page_length"))
    with pytest.warns(DeprecationWarning, match="deprecated") as seen:
        app = make_app(plugins=["shop"], SHOP_PAGE_LENGTH="7")
    assert 7 == app.extensions["found"].page_size
    message = (
        "the configuration of shop uses SHOP_PAGE_LENGTH (create_app), which is deprecated and "
        "goes in 2.0: use SHOP_PAGE_SIZE"
    )
    assert {message} == set(messages(seen))


def test_a_variable_counts_by_its_former_name(
    plugin_folder: PluginFolder,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also the one that names the file of a secret; the new name wins over the former."""
    plugin_folder.add("shop", settings(formerly="page_length"))
    (tmp_path / "token").write_text("s3cret", encoding="utf-8")
    monkeypatch.setenv("PEGBOARD_ENV", "development")
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("PEGBOARD_SHOP_PAGE_LENGTH", "7")
    monkeypatch.setenv("PEGBOARD_SHOP_PASSWORD_FILE", str(tmp_path / "token"))
    with pytest.warns(DeprecationWarning, match="deprecated") as seen:
        found = pegboard.create_app(plugins=["shop"]).extensions["found"]
    assert (7, "s3cret") == (found.page_size, found.token)
    assert all("s3cret" not in message for message in messages(seen))

    monkeypatch.setenv("PEGBOARD_SHOP_PAGE_SIZE", "9")
    with pytest.warns(DeprecationWarning, match="deprecated") as seen:
        assert 9 == pegboard.create_app(plugins=["shop"]).extensions["found"].page_size
    assert all("PASSWORD" in message for message in messages(seen))


def test_a_setting_by_its_new_name_warns_of_nothing(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """Warnings are errors in these tests."""
    plugin_folder.add("shop", settings(formerly="page_length"))
    assert 7 == make_app(plugins=["shop"], SHOP_PAGE_SIZE=7).extensions["found"].page_size


SETTING = "{name}: int = pegboard.setting(1, doc='A number.', formerly=({former}))"


def declaring(*lines: str) -> str:
    """Return the code of a plugin with these settings."""
    body = "".join(f"    {line}\n" for line in lines)
    return (
        f"class Mine(pegboard.Settings):\n{body}\n"
        "@pegboard.hookimpl\ndef pegboard_settings(): return Mine\n"
    )


@pytest.mark.parametrize(
    "name,former,summary,hint",
    [
        ("rate", "'Rate', '2.0'", "has its own name as the former one", "Write the former name"),
        ("rate", "'per-cent', '2.0'", "was formerly PAY_PER-CENT, which no setting", "Write the"),
        (
            "rate",
            "'tax', 'soon'",
            "has a former name that goes in 'soon', which is no",
            "Write the",
        ),
        (
            "rate",
            "'tax', '0.0.1'",
            "has a former name that goes in 0.0.1, and this is 1.0",
            "Remove",
        ),
        ("rate", "'tax', '1.0'", "has a former name that goes in 1.0, and this is 1.0", "Remove"),
    ],
)
def test_a_former_name_that_is_none_or_goes_too_early_stops_the_start(
    plugin_folder: PluginFolder, make_app: MakeApp, name: str, former: str, summary: str, hint: str
) -> None:
    """The setting is named, with its line."""
    plugin_folder.add("pay", declaring(SETTING.format(name=name, former=former)))
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=["pay"])
    (problem,) = caught.value.problems
    assert (Code.SETTINGS_CLASS_INVALID, "pay") == (problem.code, problem.plugin)
    assert problem.summary.startswith(f"its setting rate of Mine {summary}")
    assert problem.summary.endswith(", at example_pay/plugin.py:3")
    assert problem.hint.startswith(hint)


def test_a_former_name_that_is_given_in_another_form_is_refused(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """Where it is declared."""
    plugin_folder.add("pay", declaring(SETTING.format(name="rate", former="'tax'")))
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=["pay"])
    assert "setting is given formerly='tax': write the former name and the version" in str(
        caught.value
    )
    assert ", at example_pay/plugin.py:3" in str(caught.value)


def test_a_setting_may_have_become_several(plugin_folder: PluginFolder, make_app: MakeApp) -> None:
    """The value by the former name is that of each."""
    one, two = (SETTING.format(name=name, former="'old', '2.0'") for name in ("one", "two"))
    plugin_folder.add("pay", declaring(one, two))
    with pytest.warns(DeprecationWarning, match="PAY_OLD"):
        app = make_app(plugins=["pay"], PAY_OLD="3")
    values = {one.declaration.key: one.value for one in get_registry(app).values}
    assert (3, 3) == (values["PAY_ONE"], values["PAY_TWO"])


def test_a_former_name_is_no_other_setting_of_its_plugin(
    plugin_folder: PluginFolder, make_app: MakeApp
) -> None:
    """A value by that name would set both."""
    first = SETTING.format(name="one", former="'two', '2.0'")
    second = "two: int = pegboard.setting(1, doc='A number.')"
    summary = "it has two: setting PAY_TWO, and former setting PAY_TWO"
    plugin_folder.add("pay", declaring(first, second))
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=["pay"])
    (problem,) = caught.value.problems
    assert (Code.COLLISION_SETTING, "pay") == (problem.code, problem.plugin)
    assert f"{summary}, at example_pay/plugin.py:4 and example_pay/plugin.py:3" == problem.summary
    assert "Correct formerly=, or rename the setting." == problem.hint


def test_a_former_name_is_of_one_plugin(plugin_folder: PluginFolder, make_app: MakeApp) -> None:
    """The same variable would set those of both."""
    plugin_folder.add("pay", declaring(SETTING.format(name="r", former="'tax_rate', '2.0'")))
    plugin_folder.add("pay_tax", declaring(SETTING.format(name="rate", former="'old', '2.0'")))
    with pytest.raises(pegboard.StartupError) as caught:
        make_app(plugins=["pay", "pay_tax"])
    (problem,) = caught.value.problems
    assert (Code.COLLISION_SETTING, "pay_tax") == (problem.code, problem.plugin)
    assert problem.summary == (
        "setting PAY_TAX_RATE has the name of former setting PAY_TAX_RATE of plugin pay "
        "(example-pay 1.0), at example_pay_tax/plugin.py:3 and example_pay/plugin.py:3"
    )
    assert problem.hint.startswith("Rename the setting, or correct formerly=, in one of the two, ")


def test_a_renamed_argument_is_taken_by_both_names() -> None:
    """Not both at once."""

    @renamed_argument("size", "page_size", "2.0")
    def show(*, page_size: int) -> int:
        return page_size

    assert 1 == show(page_size=1)
    old: dict[str, Any] = {"size": 2}
    with pytest.warns(DeprecationWarning, match=r"the argument size of .*show, .* use page_size"):
        assert 2 == show(**old)
    with pytest.raises(TypeError, match="got size, the former name of page_size"):
        show(page_size=1, **old)


def test_a_deprecated_function_is_called() -> None:
    """Each line that calls it is told once, as of any warning."""

    @deprecated("shop.new", "2.0")
    def old(number: int) -> int:
        return number

    with pytest.warns(DeprecationWarning, match="uses .*old, .* goes in 2.0: use shop.new") as seen:
        assert 7 == old(7)
    assert __file__ == seen[0].filename


def test_what_a_module_lacks_is_missing_as_from_any_module() -> None:
    """Also for `hasattr` and `from ... import`."""
    find = moved_names("shop", {"Tool": Deprecation("pegboard.resources.Resource", "2.0")})
    with pytest.raises(AttributeError, match="module 'shop' has no attribute 'Toll'"):
        find("Toll")
    with pytest.warns(DeprecationWarning, match=r"uses shop\.Tool"):
        assert find("Tool") is pegboard.Resource


@pytest.mark.slow
def test_nothing_deprecated_outlives_its_release() -> None:
    """What goes in the version that this is has gone."""
    current = Version(version("pegboard"))
    found = [*gone_in()]
    assert found
    assert [] == [one for one in found if Version(one) <= current]


def gone_in() -> list[str]:
    """Return the versions in which something of the core goes."""
    found = []
    for path in SOURCES.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Deprecation" | "deprecated" | "deprecated_hook"),
                    args=[_, ast.Constant(value=str(gone)), *_],
                ):
                    found.append(gone)
                case ast.Call(
                    func=ast.Name(id="renamed_argument"),
                    args=[_, _, ast.Constant(value=str(gone))],
                ):
                    found.append(gone)
                case ast.keyword(
                    arg="formerly", value=ast.Tuple(elts=[_, ast.Constant(value=str(gone))])
                ):
                    found.append(gone)
    return found


def test_without_use_nothing_warns() -> None:
    """The start of an app costs no look at deprecations."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pegboard.create_app({"ENV": "testing"}, plugins=[])


@pytest.mark.slow
def test_a_start_logs_what_is_deprecated_when_its_log_is_set_up(
    plugin_folder: PluginFolder, sqlite_url: str, tmp_path: Path
) -> None:
    """In the form of all lines, although plugins are imported before."""
    plugin_folder.add("shop", settings(formerly="page_length"))
    done = run_pegboard(
        *("config", "check"),
        directory=tmp_path,
        DATABASE_URL=sqlite_url,
        PYTHONPATH=str(plugin_folder.path),
        PEGBOARD_PLUGINS="shop",
        PEGBOARD_LOG_FORMAT="json",
        PEGBOARD_SHOP_PAGE_LENGTH="7",
    )
    (line,) = [one for one in done.stdout.splitlines() if "SHOP_PAGE_LENGTH" in one]
    assert "WARNING" == json.loads(line)["level"]


def test_nothing_deprecated_is_logged_of_a_start_that_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is what counts."""
    find = moved_names("shop", {"Bench": Deprecation("pegboard.resources.Resource", "2.0")})
    failure = pytest.raises(ZeroDivisionError)
    with pytest.warns(DeprecationWarning, match="Bench"), failure, logged_later():
        assert 1 / (find("Bench") is not pegboard.Resource)
    assert not caplog.messages
