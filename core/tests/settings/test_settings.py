"""Declared settings of plugins: types, validation, unknown names and origins."""

import json
from pathlib import Path

import pytest
from marshmallow import ValidationError
from marshmallow.validate import Range

from pegboard import (
    CoreSettings,
    Settings,
    StartupError,
    create_app,
    get_registry,
    get_settings,
    hookimpl,
    setting,
)
from pegboard.problems import Code


class ShopSettings(Settings):
    """Settings of the example plugin."""

    page_size: int = setting(20, doc="Rows a page holds.", validate=Range(1, 100))
    tags: tuple[str, ...] = setting((), doc="Tags.")
    limits: dict[str, str] = setting({}, doc="Limits by route.")
    sizes: tuple[int, ...] = setting((), doc="Sizes.")
    rates: dict[str, float] = setting({}, doc="Rates by route.")
    rate: float = setting(1.5, doc="A rate.")
    strict: bool = setting(default=False, doc="A switch.")
    token: str | None = setting(None, doc="A token.", secret=True)


class Shop:
    """A plugin with settings."""

    name = "shop"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return ShopSettings


class NeedySettings(Settings):
    """A setting without a default."""

    endpoint: str = setting(doc="Where to send things.")


class Needy:
    """A plugin with a required setting."""

    name = "needy"

    @hookimpl
    def pegboard_settings(self):
        """Declare it."""
        return NeedySettings


@pytest.fixture(autouse=True)
def _own_database(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/own.db")


def problem(*plugins, **config):
    """The one problem that keeps the service from starting."""
    with pytest.raises(StartupError) as caught:
        create_app({"ENV": "testing", **config} if config else None, plugins=plugins)
    (found,) = caught.value.problems
    return found


def test_defaults_hold_when_nothing_is_set():
    """A declared default is in force, typed."""
    app = create_app("testing", plugins=[Shop()])
    settings = get_settings(ShopSettings, app)
    assert (20, (), {}, None) == (
        settings.page_size,
        settings.tags,
        settings.limits,
        settings.token,
    )
    assert 20 == app.config["SHOP_PAGE_SIZE"]


def test_values_are_read_from_the_environment_by_type(monkeypatch):
    """Each type is written in one way in the environment."""
    monkeypatch.setenv("PEGBOARD_SHOP_PAGE_SIZE", "30")
    monkeypatch.setenv("PEGBOARD_SHOP_TAGS", "red, green,")
    monkeypatch.setenv("PEGBOARD_SHOP_LIMITS", "a=1,b=2")
    monkeypatch.setenv("PEGBOARD_SHOP_RATE", "0.25")
    monkeypatch.setenv("PEGBOARD_SHOP_STRICT", "true")
    settings = get_settings(ShopSettings, create_app(plugins=[Shop()]))
    assert 30 == settings.page_size
    assert ("red", "green") == settings.tags
    assert {"a": "1", "b": "2"} == settings.limits
    assert 0.25 == settings.rate
    assert settings.strict is True
    assert settings.token is None


def test_the_callers_code_wins_over_the_environment(monkeypatch):
    """What create_app is given is in force."""
    monkeypatch.setenv("PEGBOARD_SHOP_PAGE_SIZE", "30")
    app = create_app({"SHOP_PAGE_SIZE": 40}, plugins=[Shop()])
    assert 40 == get_settings(ShopSettings, app).page_size


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path: Path):
    """The file's trailing newline is not part of the secret."""
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    monkeypatch.setenv("PEGBOARD_SHOP_TOKEN_FILE", str(file))
    app = create_app(plugins=[Shop()])
    assert "s3cret" == get_settings(ShopSettings, app).token
    monkeypatch.setenv("PEGBOARD_SHOP_TOKEN", "")  # as if it were not set
    app = create_app(plugins=[Shop()])
    assert "s3cret" == get_settings(ShopSettings, app).token


def test_a_secret_file_that_cannot_be_read_is_named(monkeypatch):
    """The variable and the file are in the message."""
    monkeypatch.setenv("PEGBOARD_SHOP_TOKEN_FILE", "/does/not/exist")
    found = problem(Shop())
    assert "PEGBOARD_SHOP_TOKEN_FILE" in found.summary
    assert "/does/not/exist" in found.summary


@pytest.mark.parametrize(
    "variable,value,allowed",
    [
        ("PEGBOARD_SHOP_PAGE_SIZE", "many", "Not a valid integer."),
        ("PEGBOARD_SHOP_PAGE_SIZE", "101", "less than or equal to 100"),
        ("PEGBOARD_SHOP_STRICT", "perhaps", "Not a valid boolean."),
        ("PEGBOARD_SHOP_LIMITS", "a:1", "key=value"),
        ("PEGBOARD_SHOP_LIMITS", "a=1,b=2,a=3", "Entry 3: It has the key of an earlier one"),
    ],
)
def test_a_value_that_is_not_allowed_stops_the_start(monkeypatch, variable, value, allowed):
    """The problem names the setting, where the value came from, and what is allowed."""
    monkeypatch.setenv(variable, value)
    found = problem(Shop())
    assert "shop" == found.plugin
    assert variable in found.summary
    assert value in found.summary
    assert allowed in found.hint


@pytest.mark.parametrize(
    "key, value, named",
    [
        (
            "CORS_ORIGINS",
            "app.example,https://fine.example,null,x/",
            ["'app.ex", "null is", "'x/'"],
        ),
        ("CORS_EXPOSED_HEADERS", "X-A,b c,X:D", ["'b c'", "'X:D'"]),
        ("TRUSTED_PROXIES", "10.0.0.0/8,one,::1,10.0.0.0/99", ["'one'", "10.0.0.0/99"]),
        ("PLUGINS_POLICY", "a=skip,b=ignore,c=drop", ["b=ignore, c=drop"]),
        ("PLUGINS_DISABLED", "'a',b,\"c", ["Entry 1: It has quotes", "Entry 3: It has quotes"]),
        ("PLUGINS_POLICY", "a,b=skip,c", ["Entry 1: It is not", "Entry 3: It is not"]),
        ("SHOP_SIZES", "1,x,2,y", ["Entry 2: Not a valid integer.", "Entry 4: Not a valid int"]),
        ("SHOP_RATES", "a=x,b=1,c=y", ["Entry 1: Not a valid number.", "Entry 3: Not a valid num"]),
    ],
)
def test_all_wrong_entries_of_a_list_are_named_at_once(key, value, named):
    """Not only the first of them, so that one start is enough."""
    found = problem(Shop(), **{key: value})
    assert [] == [part for part in named if part not in found.hint]


class FragileSettings(Settings):
    """Settings whose declarations are mistakes."""

    when: complex = setting(0, doc="Of a type that is not supported.")
    token: str = setting("", doc="A token.", secret=True, validate=lambda value: int(value or 0))
    size: int = setting("abc", doc="With a default of the wrong type.")
    pages: list[str] = setting([], doc="Of a type for which there is another.")
    share: float = setting(0.5, doc="With a check that is wrong.", validate=lambda _: [].pop())
    owner: str


class Fragile:
    """A plugin with such settings."""

    name = "fragile"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return FragileSettings


def test_mistakes_in_a_declaration_are_reported_with_the_plugin(monkeypatch):
    """Types, defaults and validators; a secret is not told even then."""
    monkeypatch.setenv("PEGBOARD_FRAGILE_TOKEN", "hunter2")
    with pytest.raises(StartupError) as caught:
        create_app(plugins=[Fragile()])
    assert ["fragile"] * 6 == [found.plugin for found in caught.value.problems]
    told = str(caught.value)
    assert "hunter2" not in told
    assert "Its check failed with ValueError. FRAGILE_TOKEN: A token." in told
    assert "Its check failed with IndexError: pop from empty list. FRAGILE_SHARE: With" in told
    assert "its setting pages of FragileSettings is of the type list[str]" in told
    assert "missing setting FRAGILE_OWNER [" in told


class LaxSettings(Settings):
    """Defaults that a text could stand for, and docs without a full stop."""

    size: int = setting("20", doc="Rows of a page")
    sizes: tuple[int, ...] = setting(("1", "2"), doc="Sizes")
    names: tuple[str, ...] = setting("a,b", doc="Names")
    is_open: bool = setting("yes", doc="Whether it is open")
    share: float = setting(1, doc="A number is as good as another")
    note: str | None = setting("", doc="A text")


class Lax:
    """A plugin with such settings."""

    name = "lax"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return LaxSettings


def test_a_default_is_of_the_type_of_its_setting():
    """It is not converted, as the text of a variable is: a test that makes an instance has it."""
    with pytest.raises(StartupError) as caught:
        create_app("testing", plugins=[Lax()])
    found = [(one.code, one.summary.split()[1]) for one in caught.value.problems]
    keys = ["LAX_SIZE", "LAX_SIZES", "LAX_NAMES", "LAX_IS_OPEN"]
    assert [(Code.SETTING_INVALID, key) for key in keys] == found
    assert (
        "Not of the type int, as a default has to be. LAX_SIZE: Rows of a page. "
        "Set PEGBOARD_LAX_SIZE, or correct the default where it is declared."
    ) == caught.value.problems[0].hint


def test_the_value_of_a_secret_is_never_printed(monkeypatch):
    """Not even when it is wrong."""
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    monkeypatch.setenv("PEGBOARD_ENV", "production")
    with pytest.raises(StartupError) as caught:
        create_app(plugins=[])
    assert "SECRET_KEY" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_required_setting_says_how_to_set_it():
    """The variable is spelled out."""
    found = problem(Needy())
    assert "needy" == found.plugin
    assert "PEGBOARD_NEEDY_ENDPOINT" in found.hint


@pytest.mark.parametrize("given", ["environment", "create_app"])
def test_an_unknown_setting_under_a_plugins_prefix_stops_the_start(monkeypatch, given):
    """A typing error does not silently leave the default in force."""
    if given == "environment":
        monkeypatch.setenv("PEGBOARD_SHOP_PAGESIZE", "30")
        found = problem(Shop())
    else:
        found = problem(Shop(), SHOP_PAGESIZE=30)
    assert "SHOP_PAGESIZE" in found.summary
    assert "SHOP_PAGE_SIZE" in found.hint


def test_settings_of_an_absent_plugin_do_not_matter(monkeypatch):
    """One environment serves every combination of plugins."""
    monkeypatch.setenv("PEGBOARD_SHOP_PAGESIZE", "30")
    create_app(plugins=[])


def test_settings_that_no_plugin_declares_cannot_be_had():
    """Asking for the settings of a plugin that is not active is an error that says so."""
    app = create_app("testing", plugins=[])
    with pytest.raises(LookupError, match="ShopSettings"):
        get_settings(ShopSettings, app)


class LinkSettings(Settings):
    """Settings that hold URLs."""

    link: str = setting("", doc="A URL.", validate=lambda value: _refuse(value, "ftp:"))
    links: tuple[str, ...] = setting(
        (), doc="URLs.", validate=lambda value: _refuse("".join(value[:1]), "ftp:")
    )
    named: dict[str, str] = setting({}, doc="URLs by name.")
    peer_url: str = setting("", doc="A peer.", secret=True)
    key: str = setting("", doc="A key.", secret=True, validate=lambda value: _refuse(value, "hun"))


def _refuse(value, unwanted):
    if value.startswith(unwanted):
        message = f"{value!r} is not allowed here."
        raise ValidationError(message)


class Links:
    """A plugin with such settings."""

    name = "links"

    @hookimpl
    def pegboard_settings(self):
        """Declare them."""
        return LinkSettings


URL = "ftp://ann:hunter2@hunter2/x?y=@hunter2#z"


@pytest.mark.parametrize(
    "variable, value",
    [
        ("LINK", URL),
        ("LINKS", f"{URL},https://host"),
        ("KEY", "hunter2"),
        ("KEY_FILE", URL),
    ],
)
def test_a_url_with_credentials_is_not_printed_when_it_is_wrong(monkeypatch, variable, value):
    """Neither by the core nor by the check of a plugin that quotes it, secret or not."""
    monkeypatch.setenv(f"PEGBOARD_LINKS_{variable}", value)
    found = problem(Links())
    assert "hunter2" not in f"{found.summary} {found.hint}"
    assert ("ftp://********" in f"{found.summary} {found.hint}") == (value != "hunter2")


def test_a_url_with_credentials_is_shown_by_its_scheme(monkeypatch):
    """What `pegboard config show` prints masks all that follows, of secrets no URLs even that."""
    url = URL.replace("ftp", "https")
    for name, value in {
        "LINK": url,
        "LINKS": url,
        "NAMED": json.dumps({"a": url}),
        "KEY": "k",
        "PEER_URL": url,
    }.items():
        monkeypatch.setenv(f"PEGBOARD_LINKS_{name}", value)
    app = create_app(plugins=[Links()])
    by_key = {value.declaration.key: value.shown for value in get_registry(app).values}
    shown = " ".join(by_key.values())

    assert ("********", "") == (by_key["SECRET_KEY"], by_key["REDIS_URL"])
    assert "sqlite://********" == by_key["DATABASE_URL"]
    assert "hunter2" not in shown
    assert 4 == shown.count("https://********")
    assert "hunter2" not in repr(get_settings(CoreSettings, app))
    assert "'k'" not in repr(get_settings(LinkSettings, app))
