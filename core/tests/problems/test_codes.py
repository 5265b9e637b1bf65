"""The codes of the core: each is that of a real problem, which has the message that it shows."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from pegboard import StartupError, create_app
from pegboard.problems import Code
from pegboard.testing.distributions import PluginFolder

PRODUCTION = {
    "PEGBOARD_ENV": "production",
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuv",
    "DATABASE_URL": "sqlite://",
}


@dataclass(frozen=True)
class Mistake:
    """An environment and plugins that make a start fail."""

    environment: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    """The code of each plugin, by its name."""
    requires: Mapping[str, str] = field(default_factory=dict)
    """What a plugin requires beside pegboard."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The name of a plugin, if it differs from its key, which is that of the distribution."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """What the entry point of a plugin names, if it is not the module."""


def shop(code: str, **environment: str) -> Mistake:
    """A mistake in the code of the plugin shop."""
    return Mistake(environment, {"shop": code})


def both(code: str) -> Mistake:
    """A mistake that two plugins make together; each has its name in place of NAME."""
    return Mistake(plugins={name: code.replace("NAME", name) for name in ("shop", "stock")})


def hook(name: str, *lines: str, arguments: str = "") -> str:
    """The code of an implementation of a hook."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"@pegboard.hookimpl\ndef {name}({arguments}):\n{body}"


MAILER = """
from typing import Protocol

class Mailer(Protocol):
    def send(self, to): ...

"""


def provider(interface: str, line: str) -> str:
    """The code that provides the service of an interface."""
    return (
        f"@pegboard.hookimpl.provides({interface})\n"
        f"def make_{interface.lower()}(app):\n    {line}\n"
    )


def blueprint(name: str, rule: str) -> str:
    """The code of a plugin with one route."""
    return (
        f"blueprint = pegboard.Blueprint({name!r}, __name__)\n"
        f"blueprint.add_url_rule({rule!r}, 'view', lambda **_: '')\n"
        + hook("pegboard_blueprints", "return [blueprint]")
    )


def stage(order: str, name: str = "'teapot'") -> str:
    """The code of a plugin with one stage."""
    return (
        f"class Teapot:\n    name = {name}\n    order = {order}\n    def bind(self, route): ...\n"
        + hook("pegboard_stages", "return [Teapot()]", arguments="app")
    )


MODELS = (
    """
import sqlalchemy
from pathlib import Path
from sqlalchemy.orm import DeclarativeBase, relationship

class Base(pegboard.Model, DeclarativeBase):
    pass

class Product(Base):
    __tablename__ = "products"

"""
    + hook("pegboard_models", "return Base")
    + hook("pegboard_migrations", "return Path(__file__).parent")
)


def cached(*lines: str, models: str = MODELS) -> Mistake:
    """A mistake in the views of the plugin shop."""
    head = models + blueprint("shop", "/products") + "def one(id): ...\n"
    return shop("\n".join((head, *lines)), PEGBOARD_CACHE="memory")


ROUTE = "blueprint.add_url_rule('/products/<int:id>', 'one', {})"
CACHED = "pegboard.cached(Product, ttl=300)(one)"

MISTAKES = {
    Code.CONFIGURATION_UNKNOWN: Mistake({"PEGBOARD_ENV": "prod"}),
    Code.SETTING_INVALID: Mistake({"PORT": "abc"}),
    Code.SETTING_MISSING: shop(
        "class Mine(pegboard.Settings):\n"
        "    endpoint: str = pegboard.setting(doc='Where to send orders.')\n"
        + hook("pegboard_settings", "return Mine")
    ),
    Code.SETTING_FILE_UNREADABLE: Mistake({"SECRET_KEY_FILE": "/run/secrets/key"}),
    Code.SETTING_UNKNOWN: shop("", PEGBOARD_SHOP_PAGESIZE="20"),
    Code.SETTINGS_CLASS_INVALID: shop(
        "class Mine(pegboard.Settings):\n    size: 'Missing' = pegboard.setting(1, doc='A size.')\n"
        + hook("pegboard_settings", "return Mine")
    ),
    Code.PRODUCTION_SECRET_KEY: Mistake({**PRODUCTION, "SECRET_KEY": ""}),
    Code.PRODUCTION_DATABASE_URL: Mistake(PRODUCTION),
    Code.PRODUCTION_DEBUG: Mistake({**PRODUCTION, "PEGBOARD_DEBUG": "1"}),
    Code.PRODUCTION_TESTING: Mistake({**PRODUCTION, "PEGBOARD_TESTING": "1"}),
    Code.PRODUCTION_CORS_WILDCARD: Mistake({**PRODUCTION, "CORS_ORIGINS": "*"}),
    Code.PLUGIN_NOT_INSTALLED: Mistake({"PEGBOARD_PLUGINS": "shop"}),
    Code.PLUGIN_NAME_INVALID: Mistake(
        {"PEGBOARD_PLUGINS": "Shop-2"}, {"shop": ""}, names={"shop": "Shop-2"}
    ),
    Code.PLUGIN_IMPORT_FAILED: shop("import stripe"),
    Code.PLUGIN_METADATA_INVALID: Mistake(plugins={"shop": ""}, targets={"shop": "not a module"}),
    Code.PLUGIN_OBJECT_INVALID: Mistake(
        plugins={"shop": "class Shop:\n    @pegboard.hookimpl\n    def pegboard_setup(self): ..."},
        targets={"shop": "example_shop.plugin:Shop"},
    ),
    Code.PLUGIN_REGISTERED_TWICE: Mistake(
        plugins={
            "shop": "",
            "stock": "import example_shop.plugin\nsys = __import__('sys')\n"
            "sys.modules[__name__] = example_shop.plugin",
        }
    ),
    Code.PLUGIN_CORE_INCOMPATIBLE: Mistake(plugins={"shop": ""}, requires={"shop": "pegboard>=99"}),
    Code.PLUGIN_REQUIREMENT_MISSING: Mistake(plugins={"shop": ""}, requires={"shop": "stripe>=9"}),
    Code.PLUGIN_REQUIREMENT_INACTIVE: Mistake(
        {"PEGBOARD_PLUGINS_DISABLED": "stock"},
        {"shop": "", "stock": ""},
        {"shop": "example-stock"},
    ),
    Code.PLUGIN_REQUIREMENT_CYCLE: Mistake(
        plugins={"shop": "", "stock": ""},
        requires={"shop": "example-stock", "stock": "example-shop"},
    ),
    Code.HOOK_UNKNOWN: shop(hook("pegboard_blueprint", "return []")),
    Code.HOOK_NOT_MARKED: shop("def pegboard_setup(app): ..."),
    Code.HOOK_ARGUMENTS_INVALID: shop(hook("pegboard_setup", "...", arguments="application")),
    Code.HOOK_IMPLEMENTED_TWICE: shop(
        hook("pegboard_blueprints", "return []")
        + hook("more", "return []").replace("hookimpl", "hookimpl(specname='pegboard_blueprints')")
    ),
    Code.HOOK_ORDER_CYCLE: Mistake(
        plugins={
            name: hook("pegboard_setup", "...").replace("hookimpl", f"hookimpl(before='{other}')")
            for name, other in (("shop", "stock"), ("stock", "shop"))
        }
    ),
    Code.HOOK_SPECIFICATIONS_INVALID: shop(
        hook("pegboard_hookspecs", "import example_shop", "return example_shop")
    ),
    Code.HOOK_FAILED: shop(
        hook("pegboard_setup", "raise RuntimeError('no licence')", arguments="app")
    ),
    Code.HOOK_RESULT_INVALID: shop(hook("pegboard_blueprints", "return 'blueprint'")),
    Code.SERVICE_MISSING: shop(MAILER + hook("pegboard_requires", "return [Mailer]")),
    Code.SERVICE_INVALID: shop(MAILER + provider("Mailer", "return object()")),
    Code.SERVICE_CYCLE: shop(
        MAILER
        + "class Clock: ...\n"
        + provider("Mailer", "pegboard.get_registry(app).service(Clock)")
        + provider("Clock", "pegboard.get_registry(app).service(Mailer)")
    ),
    Code.MIGRATIONS_MISSING: shop(
        MODELS.partition("@pegboard.hookimpl\ndef pegboard_migrations")[0]
    ),
    Code.MODEL_REFERENCE_UNRESOLVED: shop(
        MODELS.replace(
            '"products"\n',
            '"products"\n    item_id = sqlalchemy.Column(sqlalchemy.ForeignKey("items.id"))\n',
        )
    ),
    Code.MODEL_NAME_TOO_LONG: shop(
        MODELS.replace(
            '"products"\n',
            f'"products"\n    {"long_" * 13} = sqlalchemy.Column(sqlalchemy.Integer)\n',
        )
    ),
    Code.MODEL_REQUIREMENT_MISSING: Mistake(
        plugins={
            "stock": MODELS.replace("products", "stocks"),
            "shop": MODELS.replace(
                '"products"\n',
                '"products"\n    stock_id = sqlalchemy.Column(sqlalchemy.ForeignKey(Stock.id))\n',
            ).replace("class ", "from example_stock.plugin import Product as Stock\nclass ", 1),
        }
    ),
    Code.MODEL_OTHER_DATABASE: Mistake(
        plugins={
            "stock": MODELS.replace("products", "stocks"),
            "shop": MODELS.replace(
                '"products"\n',
                '"products"\n    stock_id = sqlalchemy.Column(sqlalchemy.ForeignKey(Stock.id))\n',
            )
            .replace("    pass", "    metadata = sqlalchemy.MetaData(info={'bind_key': 'archive'})")
            .replace("class ", "from example_stock.plugin import Product as Stock\nclass ", 1),
        },
        requires={"shop": "example-stock"},
    ),
    Code.BLUEPRINT_INVALID: shop(blueprint("shop", "/<nope:key>")),
    Code.STAGE_INVALID: shop(stage("100", name="''")),
    Code.CACHED_DUPLICATE_NAME: cached(
        "def other(id): ...",
        ROUTE.format("pegboard.cached(Product, ttl=300, name='one')(one)"),
        "blueprint.add_url_rule('/products/<int:id>/other', 'other', "
        "pegboard.cached(Product, ttl=300, name='one')(other))",
    ),
    Code.CACHED_KEY_MISMATCH: cached(
        "def one(slug, id): ...", ROUTE.replace("/<int:id>", "/<slug>/<int:id>").format(CACHED)
    ),
    Code.CACHED_WITHOUT_GET: cached(ROUTE.format(f"{CACHED}, methods=['POST']")),
    Code.CACHED_OTHER_DATABASE: cached(
        ROUTE.format(CACHED),
        models=MODELS.replace(
            "    pass", "    metadata = sqlalchemy.MetaData(info={'bind_key': 'archive'})"
        ),
    ),
    Code.CACHED_ABOVE_ROUTE: cached(ROUTE.format("one"), f"one = {CACHED}"),
    Code.CACHED_BELOW_RESPONSE: cached(ROUTE.format(f"blueprint.response(200)({CACHED})")),
    Code.DECORATED_ABOVE_ROUTE: cached(ROUTE.format("one"), "one = blueprint.response(200)(one)"),
    Code.ANNOTATION_HIDDEN: cached(
        "def checked(view):\n    def run(id):\n        return view(id)\n    return run",
        ROUTE.format("checked(pegboard.rate_limit('1/minute')(one))"),
    ),
    Code.VIEW_INVALID: cached("def bare(): ...", ROUTE.format("bare")),
    Code.CACHE_NOT_SHARED: Mistake(
        {"PEGBOARD_CACHE": "memory", "WORKERS": "2", "DATABASE_URL": "postgresql://host/name"}
    ),
    Code.COLLISION_SETTING: Mistake(
        plugins={
            "log": "class Mine(pegboard.Settings):\n"
            "    level: str = pegboard.setting('', doc='A level.')\n"
            + hook("pegboard_settings", "return Mine")
        }
    ),
    Code.COLLISION_BLUEPRINT: both(blueprint("shop", "/NAME")),
    Code.COLLISION_ROUTE: shop(blueprint("shop", "/health")),
    Code.COLLISION_SCHEMA: shop(
        """
from marshmallow import Schema
blueprint = pegboard.Blueprint("shop", __name__)

class ThingSchema(Schema):
    pass

class Other:
    class ThingSchema(Schema):
        pass

@blueprint.get("/one")
@blueprint.response(200, ThingSchema)
def one(): ...

@blueprint.get("/two")
@blueprint.response(200, Other.ThingSchema)
def two(): ...

"""
        + hook("pegboard_blueprints", "return [blueprint]")
    ),
    Code.COLLISION_OPERATION: both(
        "blueprint = pegboard.Blueprint('NAME', __name__)\n"
        "things = blueprint.doc(operationId='list_things')(lambda: [])\n"
        "blueprint.add_url_rule('/NAME', 'things', things)\n"
        + hook("pegboard_blueprints", "return [blueprint]")
    ),
    Code.COLLISION_COMMAND: shop(
        "import click\n" + hook("pegboard_commands", "return [click.Command('serve')]")
    ),
    Code.COLLISION_HEALTH_CHECK: shop(
        hook(
            "pegboard_health_checks", "return [pegboard.HealthCheck('vault', print) for _ in '12']"
        )
    ),
    Code.COLLISION_TABLE: both(MODELS),
    Code.COLLISION_MIGRATIONS: both(
        hook("pegboard_migrations", "import pathlib", "return pathlib.Path('/usr/share')")
    ),
    Code.COLLISION_HOOK: Mistake(
        plugins=dict.fromkeys(
            ("shop", "shop_sale"),
            "import sys\n@pegboard.hookspec\ndef pegboard_shop_sale_priced(): ...\n"
            + hook("pegboard_hookspecs", "return sys.modules[__name__]"),
        )
    ),
    Code.COLLISION_PROVIDER: both(hook("pegboard_cache_strategy", "return None", arguments="app")),
    Code.COLLISION_SERVICE: both(
        "from argparse import Action\n" + provider("Action", "return Action([], 'name')")
    ),
    Code.COLLISION_STAGE: both(stage("700", name="'NAME'")),
    Code.COLLISION_PLUGIN_NAME: Mistake(
        {"PEGBOARD_PLUGINS": "shop"}, {"shop": "", "other": ""}, names={"other": "shop"}
    ),
    Code.DATABASE_URL_INVALID: Mistake({"DATABASE_URL": "nonsense"}),
    Code.REDIS_URL_INVALID: Mistake({"REDIS_URL": "http://host"}),
    Code.REDIS_LIBRARY_MISSING: Mistake({"REDIS_URL": "redis://host"}),
}
"""How to come by each problem that `create_app` finds."""

OF_COMMANDS = {
    Code.ADDRESS_UNAVAILABLE,
    Code.DATABASE_BEHIND,
    Code.DATABASE_DIFFERS,
    Code.DATABASE_INCOMPLETE,
    Code.DATABASE_UNAVAILABLE,
    Code.ENTRY_POINTS_UNREADABLE,
    Code.FOREIGN_TABLE,
    Code.MIGRATION_AHEAD,
    Code.MIGRATION_DIVERGED,
    Code.MIGRATION_HEADS,
    Code.MIGRATION_INVALID,
    Code.SECRET_KEYS_DIFFER,
    Code.SETTINGS_CONTRADICT,
    Code.TLS_UNUSABLE,
}
"""Those that only commands or services find; they have tests with these."""


PLACE = re.compile(r"at \w+/[\w/]+\.py:\d+")

WITHOUT_PLACE = {
    *(code for code in Code if code.name.startswith(("PRODUCTION_", "REDIS_"))),
    Code.CACHE_NOT_SHARED,
    Code.COLLISION_PLUGIN_NAME,
    Code.CONFIGURATION_UNKNOWN,
    Code.DATABASE_URL_INVALID,
    Code.PLUGIN_CORE_INCOMPATIBLE,
    Code.PLUGIN_METADATA_INVALID,
    Code.PLUGIN_NAME_INVALID,
    Code.PLUGIN_NOT_INSTALLED,
    Code.PLUGIN_REGISTERED_TWICE,
    Code.PLUGIN_REQUIREMENT_CYCLE,
    Code.PLUGIN_REQUIREMENT_INACTIVE,
    Code.PLUGIN_REQUIREMENT_MISSING,
    Code.SETTING_FILE_UNREADABLE,
    Code.SETTING_INVALID,
    Code.SETTING_MISSING,
    Code.SETTING_UNKNOWN,
}
"""What is no mistake in a line of code, but in metadata or a configuration."""


def test_every_code_is_tried() -> None:
    """Here, or with the command or the service that reports it."""
    assert set(Code) == MISTAKES.keys() | OF_COMMANDS
    assert not MISTAKES.keys() & OF_COMMANDS


@pytest.mark.parametrize("code", MISTAKES, ids=str)
def test_a_code_is_that_of_a_problem_and_shows_its_message(
    plugin_folder: PluginFolder, monkeypatch: pytest.MonkeyPatch, code: Code
) -> None:
    """The example is the message of a start that fails, up to an ellipsis."""
    mistake = MISTAKES[code]
    for name, source in mistake.plugins.items():
        required = [mistake.requires[name]] if name in mistake.requires else []
        plugin_folder.add(
            mistake.names.get(name, name),
            source,
            requires=["pegboard", *required],
            distribution=f"example-{name}",
            target=mistake.targets.get(name),
        )
    environment = {
        "DATABASE_URL": "sqlite://",
        "PEGBOARD_SESSIONS": "cookie",
        "PEGBOARD_PLUGINS": ",".join(mistake.plugins),
        **mistake.environment,
    }
    for name in ("PEGBOARD_ENV", "SECRET_KEY", "REDIS_URL", "FLASK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if code is Code.PRODUCTION_DATABASE_URL:
        monkeypatch.delenv("DATABASE_URL")
    if code is Code.REDIS_LIBRARY_MISSING:
        monkeypatch.delattr("pegboard.redis.factory", raising=False)
        monkeypatch.setitem(sys.modules, "pegboard.redis.factory", None)
    with pytest.raises(StartupError) as caught:
        create_app()
    (problem,) = caught.value.problems
    assert code == problem.code
    assert (code in WITHOUT_PLACE) is not bool(PLACE.search(problem.summary)), problem.summary
    message, ellipsis, _ = code.example.partition("…")
    assert message == (problem.summary[: len(message)] if ellipsis else problem.summary)


def test_the_name_of_a_plugin_may_be_reserved(
    plugin_folder: PluginFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history of the deployment has the name `site`, so no plugin can."""
    plugin_folder.add("site")
    for name in ("PEGBOARD_ENV", "SECRET_KEY", "REDIS_URL", "FLASK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setenv("PEGBOARD_PLUGINS", "site")
    monkeypatch.setenv("PEGBOARD_SESSIONS", "cookie")
    with pytest.raises(StartupError) as caught:
        create_app()
    (problem,) = caught.value.problems
    assert Code.COLLISION_PLUGIN_NAME == problem.code
    assert "plugin name site belongs to the core already" == problem.summary
