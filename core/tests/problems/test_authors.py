"""What the author of a plugin does wrong, and the whole message of each mistake.

A message names the plugin, the place, what to do, and the code, under which the page of problems
has a section (`docs/reference/problems.md`, which is written from the codes).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pegboard import StartupError, create_app
from pegboard.problems import Code, Problem
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI

PAGE = Path(__file__).parents[3] / "docs/reference/problems.md"
ALONE: dict[str, Any] = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}


@dataclass(frozen=True)
class Mistake:
    """Plugins of which one is wrong, and what a start says of it."""

    code: Code
    summary: str
    """What is wrong, and where."""
    hint: str
    """What to do; up to an ellipsis."""
    shop: str = ""
    """The code of the plugin that is named."""
    others: Mapping[str, str] = field(default_factory=dict)
    """The code of other plugins."""
    requires: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What a plugin requires beside pegboard."""
    target: str | None = None
    """What the entry point of shop names, if it is not the module."""
    version: str = "1.0"
    owner: str = "shop (example-shop 1.0)"


def hook(signature: str, line: str = "...", mark: str = "pegboard.hookimpl") -> str:
    """The code of an implementation of a hook."""
    return f"@{mark}\ndef {signature}:\n    {line}\n"


OPTIONAL = "pegboard.hookimpl(optionalhook=True)"


def declaring(name: str) -> str:
    """The code of a plugin that declares a hook without arguments."""
    return hook(f"{name}()", mark="pegboard.hookspec") + hook(
        "pegboard_hookspecs()", "import sys; return sys.modules[__name__]"
    )


def blueprint(name: str, rule: str) -> str:
    """The code of a plugin with one route."""
    return (
        f"blueprint = pegboard.Blueprint({name!r}, __name__)\n"
        f"blueprint.add_url_rule({rule!r}, 'view', lambda **_: '')\n"
    ) + hook("pegboard_blueprints()", "return [blueprint]")


MODELS = """
from sqlalchemy.orm import DeclarativeBase

class Base(pegboard.Model, DeclarativeBase): ...

class Product(Base):
    __tablename__ = "products"

""" + hook("pegboard_models()", "return Base")
SETTINGS = """
class ShopSettings(pegboard.Settings):
    page_size = pegboard.setting(20, doc="Products on a page.")

""" + hook("pegboard_settings()", "return ShopSettings")
OBJECT = "class Shop:\n    @pegboard.hookimpl\n    def pegboard_setup(self): ...\n"
STRATEGY = hook("pegboard_cache_strategy(app)")
SERVICE = "class Mailer: ...\n" + hook("pegboard_requires()", "return [Mailer]")

MISTAKES = {
    "a missing marker": Mistake(
        Code.HOOK_NOT_MARKED,
        (
            "pegboard_setup has the name of a hook, but is not marked as an "
            "implementation, at example_shop/plugin.py:2"
        ),
        ("Put @pegboard.hookimpl above it."),
        "def pegboard_setup(app): ...\n" + hook("pegboard_commands()", "return []"),
    ),
    "a misspelled hook": Mistake(
        Code.HOOK_UNKNOWN,
        ("it implements pegboard_blueprint, which is no hook, at example_shop/plugin.py:2"),
        ("Did you mean pegboard_blueprints? The hooks: …"),
        hook("pegboard_blueprint()", "return []"),
    ),
    "a misspelled hook of the core that is optional": Mistake(
        Code.HOOK_UNKNOWN,
        "it implements pegboard_setupp, which is no hook, at example_shop/plugin.py:2",
        "Did you mean pegboard_setup?",
        hook("pegboard_setupp(app)", mark=OPTIONAL),
    ),
    "a misspelled hook of an active plugin that is optional": Mistake(
        Code.HOOK_UNKNOWN,
        "it implements pegboard_stock_countd, which is no hook, at example_shop/plugin.py:2",
        "Did you mean pegboard_stock_counted?",
        hook("pegboard_stock_countd()", mark=OPTIONAL),
        {"stock": declaring("pegboard_stock_counted")},
    ),
    "a hook of a misspelled plugin that is optional": Mistake(
        Code.HOOK_UNKNOWN,
        "it implements pegboard_stok_counted, which is no hook, at example_shop/plugin.py:2",
        "Did you mean pegboard_stock_counted?",
        hook("pegboard_stok_counted()", mark=OPTIONAL),
        {"stock": declaring("pegboard_stock_counted")},
    ),
    "a declaration without the plugin's name": Mistake(
        Code.HOOK_SPECIFICATIONS_INVALID,
        "its hook price has not the prefix pegboard_shop_, at example_shop/plugin.py:2",
        "Begin its name with pegboard_shop_, which no hook of another plugin has.",
        declaring("price"),
    ),
    "a declaration with the name of another plugin": Mistake(
        Code.HOOK_SPECIFICATIONS_INVALID,
        "its hook pegboard_stock_counted has not the prefix pegboard_shop_, at "
        "example_shop/plugin.py:2",
        "Begin its name with pegboard_shop_, which no hook of another plugin has.",
        declaring("pegboard_stock_counted"),
        {"stock": declaring("pegboard_stock_counted")},
    ),
    "wrong arguments": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        (
            "pegboard_setup takes application, which the hook does not give, at "
            "example_shop/plugin.py:2"
        ),
        ("Its arguments are app; take these or fewer, without *, ** and defaults."),
        hook("pegboard_setup(application)"),
    ),
    "an argument with a default, which pluggy never gives": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        "pegboard_setup takes app with a default, which the hook does not give, at "
        "example_shop/plugin.py:2",
        "Its arguments are app; take these or fewer, without *, ** and defaults.",
        hook("pegboard_setup(app=None)"),
    ),
    "any arguments": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        "pegboard_setup takes *args, **more, which the hook does not give, at "
        "example_shop/plugin.py:2",
        "Its arguments are app; take these or fewer, without *, ** and defaults.",
        hook("pegboard_setup(*args, **more)"),
    ),
    "an argument by keyword": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        "pegboard_setup takes app by keyword alone, which the hook does not give, at "
        "example_shop/plugin.py:2",
        "Its arguments are app; take these or fewer, without *, ** and defaults.",
        hook("pegboard_setup(*, app)"),
    ),
    "an argument where the hook has none": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        "pegboard_commands takes app with a default, which the hook does not give, at "
        "example_shop/plugin.py:2",
        "The hook has no arguments; take none.",
        hook("pegboard_commands(app=None)", "return []"),
    ),
    "a declaration with an argument that nobody can take": Mistake(
        Code.HOOK_SPECIFICATIONS_INVALID,
        "its hook pegboard_shop_sold has amount with a default, which no implementation can take, "
        "at example_shop/plugin.py:2",
        "Declare its arguments without *, ** and defaults.",
        declaring("pegboard_shop_sold").replace("()", "(product, amount=1)", 1),
    ),
    "a misspelled hook without the marker": Mistake(
        Code.HOOK_NOT_MARKED,
        "pegboard_blueprnts has nearly the name of a hook, and is not marked as an "
        "implementation, at example_shop/plugin.py:2",
        "Did you mean pegboard_blueprints? Put @pegboard.hookimpl above it. If it is meant for no "
        "hook, give it a name that does not begin with pegboard_.",
        "def pegboard_blueprnts(): ...\n" + hook("pegboard_commands()", "return []"),
    ),
    "a misspelled hook without the marker, and no other": Mistake(
        Code.HOOK_NOT_MARKED,
        "pegboard_blueprnts has nearly the name of a hook, and is not marked as an "
        "implementation, at example_shop/plugin.py:2",
        "Did you mean pegboard_blueprints? Put …",
        "def pegboard_blueprnts(): ...\n",
    ),
    "a misspelled method without the marker": Mistake(
        Code.HOOK_NOT_MARKED,
        "pegboard_model has nearly the name of a hook, and is not marked as an "
        "implementation, at example_shop/plugin.py:5",
        "Did you mean pegboard_models? Put …",
        OBJECT + "    def pegboard_model(self): ...\nplugin = Shop()\n",
        target="example_shop.plugin:plugin",
    ),
    "a method that is a property": Mistake(
        Code.HOOK_NOT_MARKED,
        "pegboard_commands has the name of a hook, but is a property, which no hook calls, at "
        "example_shop/plugin.py:5",
        "Write a method, without @property, and put @pegboard.hookimpl above it.",
        OBJECT + "    @property\n    @pegboard.hookimpl\n    def pegboard_commands(self): ...\n"
        "plugin = Shop()\n",
        target="example_shop.plugin:plugin",
    ),
    "an import that raises what is no Exception": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        "it cannot be imported: Stop: now, at example_shop/plugin.py:3",
        "Fix example_shop/plugin.py:3, or disable the plugin (PEGBOARD_PLUGINS_DISABLED).",
        "class Stop(BaseException): ...\nraise Stop('now')\n",
    ),
    "a hook that raises what is no Exception": Mistake(
        Code.HOOK_FAILED,
        "pegboard_setup failed: GeneratorExit: now, at example_shop/plugin.py:4",
        "Fix the plugin's implementation of pegboard_setup.",
        hook("pegboard_setup()", "raise GeneratorExit('now')"),
    ),
    "a wrong result": Mistake(
        Code.HOOK_RESULT_INVALID,
        ("pegboard_blueprints returned 'blueprint', at example_shop/plugin.py:2"),
        ("Return a list of objects of flask.Blueprint or pegboard.Blueprint."),
        hook("pegboard_blueprints()", "return 'blueprint'"),
    ),
    "an import error": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        (
            "it cannot be imported: ModuleNotFoundError: No module named 'stripe', "
            "at example_shop/plugin.py:3"
        ),
        ("Fix example_shop/plugin.py:3, or disable the plugin (PEGBOARD_PLUGINS_DISABLED)."),
        "\nimport stripe\n",
    ),
    "a route of another, spelled otherwise": Mistake(
        Code.COLLISION_ROUTE,
        (
            "its route GET /things/<name> and the route GET /things/<int:thing_id> "
            "of plugin lager (example-lager 1.0) both match /things/1, at example_shop/plugin.py:3 "
            "and example_lager/plugin.py:3"
        ),
        ("Change the path in one of the two, shop or lager, or disable one of the two plugins."),
        blueprint("shop", "/things/<name>"),
        {"lager": blueprint("lager", "/things/<int:thing_id>")},
    ),
    "a table without migrations": Mistake(
        Code.MIGRATIONS_MISSING,
        (
            "it has models of products, but no migrations to create them, at "
            "example_shop/plugin.py:10"
        ),
        (
            "Return a folder of its package from pegboard_migrations, and write the revision with "
            'pegboard db migrate shop -m "Create the tables".'
        ),
        MODELS,
    ),
    "a setting without a type": Mistake(
        Code.SETTINGS_CLASS_INVALID,
        ("its setting page_size of ShopSettings has no type, at example_shop/plugin.py:3"),
        (
            "Write it with its type, as in page_size: int = pegboard.setting(...); "
            "or ClassVar[int] for what is no setting."
        ),
        SETTINGS,
    ),
    "a default that is not allowed": Mistake(
        Code.SETTING_INVALID,
        "setting SHOP_PAGE_SIZE (default): 'many' is not allowed, at example_shop/plugin.py:4",
        "Not a valid integer. SHOP_PAGE_SIZE: Rows. Set PEGBOARD_SHOP_PAGE_SIZE, or correct the "
        "default where it is declared.",
        "class ShopSettings(pegboard.Settings):\n"
        "    sizes: int = pegboard.setting(1, doc='Sizes.')\n"
        "    page_size: int = pegboard.setting('many', doc='Rows.')\n"
        + hook("pegboard_settings()", "return ShopSettings"),
    ),
    "a setting of a type that no text can be": Mistake(
        Code.SETTINGS_CLASS_INVALID,
        "its setting clerk of ShopSettings is of the type threading.Thread | None, which no "
        "setting can be of, at example_shop/plugin.py:5",
        "Write it as str, int, float or bool, as tuple[T, ...] or …",
        "import threading\nclass ShopSettings(pegboard.Settings):\n"
        "    size: int = pegboard.setting(1, doc='Products.')\n"
        "    clerk: threading.Thread | None = pegboard.setting(None, doc='Who clerks.')\n"
        + hook("pegboard_settings()", "return ShopSettings"),
    ),
    "a setting of a type that is not there": Mistake(
        Code.SETTINGS_CLASS_INVALID,
        "its settings cannot be read: NameError: name 'Missing' is not defined, at "
        "example_shop/plugin.py:4",
        "Fix the annotations of its Settings class.",
        "class ShopSettings(pegboard.Settings):\n"
        "    size: int = pegboard.setting(1, doc='Products.')\n"
        "    clerk: 'Missing' = pegboard.setting(None, doc='Who clerks.')\n"
        + hook("pegboard_settings()", "return ShopSettings"),
    ),
    "a command that is taken": Mistake(
        Code.COLLISION_COMMAND,
        "command db belongs to the core already, at example_shop/plugin.py:3",
        "Rename it in shop.",
        "import click\n@click.command('db')\ndef run(): ...\n"
        + hook("pegboard_commands()", "return [run]"),
    ),
    "a command of a set-up that is taken": Mistake(
        Code.COLLISION_COMMAND,
        "command db belongs to the core already, at example_shop/plugin.py:2",
        "Rename it in shop.",
        "def run(): ...\n" + hook("pegboard_setup(app)", "app.cli.command('db')(run)"),
    ),
    "a command of a set-up that another plugin has": Mistake(
        Code.COLLISION_COMMAND,
        "command stock belongs to plugin stock (example-stock 1.0) too, at "
        "example_shop/plugin.py:2 and example_stock/plugin.py:3",
        "Rename it in one of the two, shop or stock, or disable one of the two plugins.",
        "def run(): ...\n" + hook("pegboard_setup(app)", "app.cli.command('stock')(run)"),
        others={
            "stock": "import click\n@click.group('stock')\ndef group(): ...\n"
            + hook("pegboard_commands()", "return [group]")
        },
    ),
    "a blueprint's group of commands that is taken": Mistake(
        Code.COLLISION_COMMAND,
        "it has two: command shop, at example_shop/plugin.py:6 and example_shop/plugin.py:4",
        "Rename one of the two.",
        "import click, flask\nshop = flask.Blueprint('orders', __name__, cli_group='shop')\n"
        "@shop.cli.command('list')\ndef run(): ...\n"
        "@click.group('shop')\ndef group(): ...\n"
        + hook("pegboard_blueprints()", "return [shop]")
        + hook("pegboard_commands()", "return [group]"),
    ),
    "two blueprints with commands of one group": Mistake(
        Code.COLLISION_COMMAND,
        "it has two: command stock, at example_shop/plugin.py:7 and example_shop/plugin.py:4",
        "Rename one of the two.",
        "import flask\none = flask.Blueprint('one', __name__, cli_group='stock')\n"
        "@one.cli.command('list')\ndef run(): ...\n"
        "two = flask.Blueprint('two', __name__, cli_group='stock')\n"
        "@two.cli.command('show')\ndef show(): ...\n"
        + hook("pegboard_blueprints()", "return [one, two]"),
    ),
    "a class in place of a stage": Mistake(
        Code.STAGE_INVALID,
        "its stage Count is a class, at example_shop/plugin.py:2",
        "Return Count(), an object.",
        "class Count: ...\n" + hook("pegboard_stages(app)", "return [Count]"),
    ),
    "a stage whose bind takes no route": Mistake(
        Code.STAGE_INVALID,
        "its stage count cannot be bound to routes, at example_shop/plugin.py:2",
        "Give it a plain method `bind(route)`, which returns a handler or None.",
        "class Count:\n    name, order = 'count', 50\n    def bind(self): ...\n"
        + hook("pegboard_stages(app)", "return [Count()]"),
    ),
    "a view class of a route that is taken": Mistake(
        Code.COLLISION_ROUTE,
        "its route GET /health and the route GET /health of the core both match /health, at "
        "example_shop/plugin.py:3",
        "Change the path in shop.",
        "from flask.views import MethodView\nclass Well(MethodView):\n    def get(self): ...\n"
        + hook("pegboard_setup(app)", "app.add_url_rule('/health', view_func=Well.as_view('w'))"),
    ),
    "a view of a library at a route that is taken": Mistake(
        Code.COLLISION_ROUTE,
        "its route GET /health and the route GET /health of the core both match /health, at "
        "example_shop/plugin.py:3",
        "Change the path in shop.",
        "import json\n"
        + hook("pegboard_setup(app)", "app.add_url_rule('/health', 'well', json.dumps)"),
    ),
    "a mark on a class": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        "it cannot be imported: TypeError: hookimpl is given <class 'example_shop.plugin.Shop'>, "
        "which is no function and no declaration of a hook: write @pegboard.hookimpl, or "
        "@pegboard.hookimpl(pegboard.hookspec.pegboard_setup), at example_shop/plugin.py:2",
        "Fix example_shop/plugin.py:2…",
        "@pegboard.hookimpl\nclass Shop: ...\n",
    ),
    "a declaration that is no function": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        "it cannot be imported: TypeError: hookspec is given 'priced', which is no function: write "
        "@pegboard.hookspec, at example_shop/plugin.py:2",
        "Fix example_shop/plugin.py:2…",
        hook("priced()", mark="pegboard.hookspec('priced')"),
    ),
    "a method marked with a name": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        "it cannot be imported: TypeError: hookimpl.method is given 'pegboard_setup', which is no "
        "declaration of a hook: write @pegboard.hookimpl.method(pegboard.hookspec.pegboard_setup)"
        ", at example_shop/plugin.py:2",
        "Fix example_shop/plugin.py:2…",
        hook("set_up(self)", mark="pegboard.hookimpl.method('pegboard_setup')"),
    ),
    "a cyclic requirement": Mistake(
        Code.PLUGIN_REQUIREMENT_CYCLE,
        ("plugins require each other in a circle: shop → stock → shop"),
        ("Drop one of these requirements from a distribution's metadata."),
        others={"stock": ""},
        requires={"shop": ["example-stock"], "stock": ["example-shop"]},
    ),
    "a blueprint that is taken": Mistake(
        Code.COLLISION_BLUEPRINT,
        ("blueprint docs belongs to the core already, at example_shop/plugin.py:4"),
        ("Rename it in shop."),
        blueprint("docs", "/products"),
    ),
    "a second strategy": Mistake(
        Code.COLLISION_PROVIDER,
        (
            "single-provider strategy pegboard_cache_strategy belongs to plugin "
            "lager (example-lager 1.0) too, at example_shop/plugin.py:2 and "
            "example_lager/plugin.py:2"
        ),
        ("Disable one of the two plugins."),
        STRATEGY,
        {"lager": STRATEGY},
    ),
    "a class in place of an instance": Mistake(
        Code.PLUGIN_OBJECT_INVALID,
        (
            "example_shop.plugin:Shop is a class, whose hooks need an object, at "
            "example_shop/plugin.py:2"
        ),
        (
            "Write plugin = Shop() in example_shop.plugin, and "
            "example_shop.plugin:plugin in the entry point."
        ),
        OBJECT,
        target="example_shop.plugin:Shop",
    ),
    "an entry point to no module": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        ("it cannot be imported: ModuleNotFoundError: No module named 'example_shop.plugins'"),
        (
            "Name in the entry point shop a module that there is, in place of "
            "example_shop.plugins, or disable the plugin "
            "(PEGBOARD_PLUGINS_DISABLED)."
        ),
        target="example_shop.plugins",
    ),
    "an entry point to no attribute": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        (
            "it cannot be imported: AttributeError: module 'example_shop.plugin' "
            "has no attribute 'shop'"
        ),
        ("Fix example_shop.plugin:shop, or disable the plugin (PEGBOARD_PLUGINS_DISABLED)."),
        target="example_shop.plugin:shop",
    ),
    "an entry point to no hooks": Mistake(
        Code.PLUGIN_OBJECT_INVALID,
        ("the module example_shop has no hooks, at example_shop/__init__.py:1"),
        (
            "Mark its hooks with @pegboard.hookimpl, or name in the entry point the "
            "module or the object that has them."
        ),
        target="example_shop",
    ),
    "an invalid version": Mistake(
        Code.PLUGIN_METADATA_INVALID,
        ("its metadata in {path}/example_shop-one.dist-info is broken: 'one' is no version"),
        "Install example-shop one anew, or remove what is left of it; if its wheel is so, its "
        "author corrects pyproject.toml.",
        version="one",
        owner="shop (example-shop one)",
    ),
    "a service that nobody provides": Mistake(
        Code.SERVICE_MISSING,
        (
            "it requires the service example_shop.plugin.Mailer, which no active plugin "
            "provides, at example_shop/plugin.py:3"
        ),
        (
            "Install and activate a plugin that provides it, or disable shop too. "
            "Services that there are: none."
        ),
        SERVICE,
    ),
    "a service without an interface": Mistake(
        Code.SERVICE_INVALID,
        "an implementation of pegboard_provides has no interface, at example_shop/plugin.py:2",
        "Put @pegboard.hookimpl.provides(Interface) above it.",
        hook("pegboard_provides(app)"),
    ),
    "a mark with a text": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        (
            "it cannot be imported: TypeError: hookimpl is given 'pegboard_setup', which is no "
            "function and no declaration of a hook: write @pegboard.hookimpl, or "
            "@pegboard.hookimpl(pegboard.hookspec.pegboard_setup), at example_shop/plugin.py:2"
        ),
        "Fix example_shop/plugin.py:2…",
        hook("pegboard_setup()", mark="pegboard.hookimpl('pegboard_setup')"),
    ),
    "a number in before": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        (
            "it cannot be imported: TypeError: hookimpl is given before=3: write the name of a "
            "plugin, or a list of names, at example_shop/plugin.py:2"
        ),
        "Fix example_shop/plugin.py:2…",
        hook("pegboard_setup()", mark="pegboard.hookimpl(before=3)"),
    ),
    "one plugin in before and in after": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        (
            "it cannot be imported: TypeError: hookimpl is given 'stock' in before= and in after=: "
            "write each plugin in one of the two, at example_shop/plugin.py:2"
        ),
        "Fix example_shop/plugin.py:2…",
        hook("pegboard_setup(app)", mark="pegboard.hookimpl(before='stock', after=['x', 'stock'])"),
    ),
    "a text in tryfirst": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        "it cannot be imported: TypeError: hookimpl is given tryfirst='yes': write True or False, "
        "at example_shop/plugin.py:2",
        "Fix example_shop/plugin.py:2…",
        hook("pegboard_setup()", mark="pegboard.hookimpl(tryfirst='yes')"),
    ),
    "an option that no mark has": Mistake(
        Code.PLUGIN_IMPORT_FAILED,
        "it cannot be imported: TypeError: hookimpl is given befor='stock', and has no option of "
        "this name: write one of after, before, hookwrapper, optionalhook, specname, tryfirst, "
        "trylast, wrapper, at example_shop/plugin.py:2",
        "Fix example_shop/plugin.py:2…",
        hook("pegboard_setup()", mark="pegboard.hookimpl(befor='stock')"),
    ),
    "a wrapper without a yield": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        "pegboard_setup is marked wrongly: Declared as wrapper=True or hookwrapper=True but "
        "function is not a generator function, at example_shop/plugin.py:2",
        "Correct the options of the mark above it, or write the function as they demand.",
        hook("pegboard_setup()", mark="pegboard.hookimpl(wrapper=True)"),
    ),
    "a wrapper of a historic hook": Mistake(
        Code.HOOK_ARGUMENTS_INVALID,
        "pegboard_shop_sold is marked wrongly: historic incompatible with "
        "yield/wrapper/hookwrapper, at example_shop/plugin.py:8",
        "Correct the options of the mark above it, or write the function as they demand.",
        hook("pegboard_shop_sold()", mark="pegboard.hookspec(historic=True)")
        + hook("pegboard_hookspecs()", "import sys; return sys.modules[__name__]")
        + hook(
            "sold()", "yield", mark="pegboard.hookimpl(wrapper=True, specname='pegboard_shop_sold')"
        ),
    ),
    "a mark that marks nothing": Mistake(
        Code.HOOK_NOT_MARKED,
        "pegboard_setup is what marks an implementation of pegboard_setup, and marks no function, "
        "at example_shop/plugin.py:5",
        "Put it above the function: @pegboard.hookimpl(...), with the declaration of …",
        hook("pegboard_blueprints()", "return []")
        + "pegboard_setup = pegboard.hookimpl(pegboard.hookspec.pegboard_setup)\n",
    ),
    "an entry point to a list": Mistake(
        Code.PLUGIN_OBJECT_INVALID,
        "example_shop.plugin:hooks is a list, which has no hooks, at example_shop/plugin.py:3",
        "A plugin is a module or an object whose functions are marked with @pegboard.hookimpl.",
        "\nhooks = []\n",
        target="example_shop.plugin:hooks",
    ),
    "a relationship to no model": Mistake(
        Code.MODEL_REFERENCE_UNRESOLVED,
        "its models cannot be mapped: When initializing mapper Mapper[Product(products)], "
        "expression 'Shelf' failed to locate a name ('Shelf'). If this is a class name, consider "
        "adding this relationship() to the <class 'example_shop.plugin.Product'> class after both "
        "dependent classes have been defined, at example_shop/plugin.py:8",
        "Correct the relationship: name a class of this plugin, or pass another's model.",
        MODELS.replace("\n\n@", '\n    shelf = relationship("Shelf")\n\n@').replace(
            "DeclarativeBase\n", "DeclarativeBase, relationship\nfrom pathlib import Path\n", 1
        )
        + hook("pegboard_migrations()", "return Path(__file__).parent"),
    ),
    "before itself": Mistake(
        Code.HOOK_ORDER_CYCLE,
        "implementations of pegboard_setup are each to be called before the next: shop → shop, at "
        "example_shop/plugin.py:2",
        "Remove a plugin from before= or after= of pegboard_setup in one of the plugins.",
        hook("pegboard_setup()", mark="pegboard.hookimpl(before='shop')"),
    ),
    "a cycle in before and after": Mistake(
        Code.HOOK_ORDER_CYCLE,
        (
            "implementations of pegboard_setup are each to be called before the "
            "next: shop → stock → shop, at example_shop/plugin.py:2 and example_stock/plugin.py:2"
        ),
        ("Remove a plugin from before= or after= of pegboard_setup in one of the plugins."),
        hook("pegboard_setup()", mark="pegboard.hookimpl(before='stock')"),
        {"stock": hook("pegboard_setup()", mark="pegboard.hookimpl(before='shop')")},
    ),
}


OF_MIGRATIONS = {
    Code.DATABASE_DIFFERS,
    Code.DATABASE_INCOMPLETE,
    Code.FOREIGN_TABLE,
    Code.MIGRATION_HEADS,
    Code.MIGRATION_INVALID,
}
"""What no start finds, as it reads no revisions, but each command that does."""


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_stops_the_start_and_is_explained(plugin_folder: PluginFolder, name: str) -> None:
    """By the plugin, the place, the hint and the code; nothing else is said."""
    mistake = MISTAKES[name]
    plugins = {"shop": mistake.shop, **mistake.others}
    for plugin, code in plugins.items():
        plugin_folder.add(
            plugin,
            code,
            requires=["pegboard", *mistake.requires.get(plugin, ())],
            target=mistake.target if plugin == "shop" else None,
            version=mistake.version if plugin == "shop" else "1.0",
        )
    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, "PLUGINS": ",".join(plugins)})
    summary = mistake.summary.replace("{path}", str(plugin_folder.path))
    hint, ellipsis, _ = mistake.hint.partition("…")
    expected = f"{mistake.owner}: {summary} [{mistake.code}]\n    {hint}"
    (problem,) = caught.value.problems
    told = str(problem)
    assert expected == (told[: len(expected)] if ellipsis else told)


def section(code: Code) -> str:
    """What the page of problems has for a code."""
    return PAGE.read_text(encoding="utf-8").partition(f"### {code}\n")[2].partition("\n### ")[0]


@pytest.mark.parametrize("code", sorted({one.code for one in MISTAKES.values()} | OF_MIGRATIONS))
def test_each_code_has_a_section_on_the_page_of_problems(code: Code) -> None:
    """With what it means, an example of the message, and the hint."""
    assert code.meaning in section(code)
    assert f"{code.example} [{code}]" in section(code)
    assert code.hint in section(code)


EXTRA = 'op.create_table("extra", sa.Column("id", sa.Integer, primary_key=True))'
COLUMN = "color: Mapped[str | None]"


@pytest.fixture
def run(
    plugin_folder: PluginFolder, make_app: MakeApp, cli: RunCLI, database_url: str
) -> Callable[[str], str]:
    """Run a command with the plugins of the folder; return what it prints."""

    def run(line: str) -> str:
        plugins = [one.removeprefix("example_") for one in plugin_folder.packages]
        app = make_app(plugins=plugins, upgrade=False, DATABASE_URL=database_url, **ALONE)
        return cli(*line.split(), app=app).output

    return run


@pytest.mark.slow
def test_a_table_of_a_migration_without_a_model(
    plugin_folder: PluginFolder, run: Callable[[str], str]
) -> None:
    """An upgrade warns of it, and a check fails."""
    plugin_folder.add_table("stock")
    plugin_folder.add_table("shop", upgrade=EXTRA)
    message = (
        f"shop: remove table extra [{Code.DATABASE_DIFFERS}]\n"
        "    No revision does this, which would make the database what the models say: write one "
        "with pegboard db migrate shop, or change the models.\n"
    )
    assert run("db upgrade").endswith(f"Warning: {message}")
    assert message == run("db check")


def test_a_column_of_a_model_without_a_migration(
    plugin_folder: PluginFolder, run: Callable[[str], str]
) -> None:
    """An upgrade fails, as requests would."""
    plugin_folder.add_table("stock")
    plugin_folder.add_table("shop", columns=COLUMN)
    assert run("db upgrade").endswith(
        "shop: its models need what the database lacks: column shop.color "
        f"[{Code.DATABASE_INCOMPLETE}]\n    If no revision creates it, write one with pegboard db "
        "migrate shop, and apply it with pegboard db upgrade shop. If it was dropped by hand, "
        "restore it.\n"
    )


def test_a_migration_that_touches_a_table_of_another_plugin(
    plugin_folder: PluginFolder, run: Callable[[str], str]
) -> None:
    """The revision with its file, the table and its owner are named; nothing of it stays."""
    plugin_folder.add_table("shop")
    plugin_folder.add_table("stock", upgrade='op.execute("DELETE FROM shop")')
    output = run("db upgrade")
    assert "Error: stock: revision stock_0001 failed and was rolled back" in output
    assert "example_stock/migrations/stock_0001.py" in output
    assert "committed:" not in output
    assert (
        "stock: it touches table shop, which belongs to shop, at "
        f"example_stock/migrations/stock_0001.py:12 [{Code.FOREIGN_TABLE}]\n"
        "    A revision of stock touches only tables of stock. If this one is meant to do more, "
        "repeat the command with --allow-foreign."
    ) in output


VALUES_FOR_ROWS = (
    "A column that is NOT NULL needs a value for the rows that are there: give it a server_default "
    "in the revision, or add it without NOT NULL, fill it by op.execute, and then make it NOT NULL."
)


def test_a_required_column_of_a_table_with_rows(
    plugin_folder: PluginFolder, run: Callable[[str], str]
) -> None:
    """The file is named with what to do when it is written, and again where that was not done."""
    plugin_folder.add_table(
        "shop",
        columns="color: Mapped[str]",
        upgrade='op.execute("INSERT INTO shop DEFAULT VALUES")',
    )
    run("db upgrade")
    correct = rf"^shop: correct \S+/shop_0002\S*\.py: shop\.color\. {re.escape(VALUES_FOR_ROWS)}$"
    assert re.search(correct, run("db migrate shop"), re.MULTILINE)
    assert f"\n  hint: {VALUES_FOR_ROWS}\n" in run("db upgrade")


@pytest.mark.parametrize("command", ["db upgrade", "db check", "db migrate shop", "plugins check"])
def test_two_heads(plugin_folder: PluginFolder, run: Callable[[str], str], command: str) -> None:
    """Whatever is done with the newest revision."""
    plugin_folder.add_table("stock")
    folder = plugin_folder.add_table("shop") / "migrations"
    second = (folder / "shop_0001.py").read_text().replace("shop_0001", "shop_0002")
    (folder / "shop_0002.py").write_text(second)
    assert (
        f"{named(command)}: shop_0001 and shop_0002 are both the newest revision, at "
        "example_shop/migrations/shop_0001.py:5 and example_shop/migrations/shop_0002.py:5 "
        f"[{Code.MIGRATION_HEADS}]\n    Merge them with pegboard db merge shop.\n"
    ) in run(command)


def named(command: str) -> str:
    """How a command names the plugin at fault: the distribution is known to the registry."""
    return "shop (example-shop 1.0)" if command == "plugins check" else "shop"


FIRST = "example_shop/migrations/shop_0001.py"
CORRECT = "Correct the down_revision, or bring the missing file back."
BROKEN_REVISIONS = {
    "no Python": (
        "def upgrade(:\n",
        f"a revision cannot be read: SyntaxError: invalid syntax, at {FIRST}:1",
        "Fix the file.",
    ),
    "an error": (
        "import os\n\nos.nothing()\n",
        (
            "a revision cannot be read: AttributeError: module 'os' has no attribute 'nothing', at "
            f"{FIRST}:3"
        ),
        "Fix the file.",
    ),
    "no id": (
        "down_revision = None\n",
        (
            "a revision cannot be read: ValueError: it has no revision = '...', the id of the "
            f"revision, at {FIRST}:1"
        ),
        "Fix the file.",
    ),
    "no predecessor": (
        "revision = 'shop_0001'\ndownrevision = None\n",
        (
            "a revision cannot be read: ValueError: it has no down_revision = '...', the revision "
            f"that it follows, or None, at {FIRST}:1"
        ),
        "Fix the file.",
    ),
    "an id that is taken": (
        "revision = 'shop_0002'\ndown_revision = None\n",
        (
            f"the revision shop_0002 is there 2 times, at {FIRST}:1 and "
            "example_shop/migrations/shop_0002.py:2"
        ),
        "Give each another id, and correct the down_revision of those that follow.",
    ),
    "a predecessor that is not there": (
        "revision = 'shop_0001'\ndown_revision = 'shop_0000'\n",
        f"the revision shop_0001 follows shop_0000, which no file has, at {FIRST}:2",
        CORRECT,
    ),
    "a revision of another plugin": (
        "revision = 'shop_0001'\ndown_revision = None\ndepends_on = 'brand_0001'\n",
        (
            "the revision shop_0001 depends on brand_0001, which is no revision of this history, "
            f"at {FIRST}:3"
        ),
        (
            "Remove depends_on: that one plugin's revisions come after another's follows from what "
            "its distribution requires."
        ),
    ),
    "itself as predecessor": (
        "revision = 'shop_0001'\ndown_revision = 'shop_0001'\n",
        f"revisions follow each other in a circle: shop_0001 → shop_0001, at {FIRST}:2",
        "Correct a down_revision: that of the first revision is None.",
    ),
    "a circle": (
        "revision = 'shop_0001'\ndown_revision = 'shop_0002'\n",
        (
            "revisions follow each other in a circle: shop_0001 → shop_0002 → shop_0001, at "
            f"{FIRST}:2 and example_shop/migrations/shop_0002.py:3"
        ),
        "Correct a down_revision: that of the first revision is None.",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", BROKEN_REVISIONS)
def test_a_revision_that_cannot_be_used(
    plugin_folder: PluginFolder, run: Callable[[str], str], mistake: str
) -> None:
    """It is found by a check, and stops an upgrade before anything of any plugin is applied."""
    plugin_folder.add_table("brand")  # its revisions would be applied first
    folder = plugin_folder.add_table("shop") / "migrations"
    source, summary, hint = BROKEN_REVISIONS[mistake]
    (folder / "shop_0001.py").write_text(source)
    (folder / "shop_0002.py").write_text("\nrevision = 'shop_0002'\ndown_revision = 'shop_0001'\n")
    expected = f"shop: {summary} [{Code.MIGRATION_INVALID}]\n    {hint}\n"
    assert f"Error: {expected}" == run("db upgrade")
    assert expected.replace("shop:", "shop (example-shop 1.0):", 1) in run("plugins check")
    assert summary in run("plugins doctor")
    assert "brand" in run("plugins list")


def test_a_mistake_reads_the_same_at_each_run() -> None:
    """The address of an object is left out, and no other number."""
    first, second = (Problem("X", f"no {object()!r} at 0x3F", "") for _ in range(2))
    assert first == second
    assert "no <object object> at 0x3F" == first.summary


@pytest.mark.parametrize("step", ["upgrade", "downgrade"])
def test_a_revision_without_a_step(
    plugin_folder: PluginFolder, run: Callable[[str], str], step: str
) -> None:
    """It is found before anything is applied; Alembic would when it takes the step."""
    plugin_folder.add_table("brand")  # its revisions would be applied first
    folder = plugin_folder.add_table("shop") / "migrations"
    [path] = folder.glob("*.py")
    path.write_text(path.read_text().replace(f"def {step}()", "def other()"))
    expected = (
        f"the revision shop_0001 has no {step}(), at {FIRST}:1 [{Code.MIGRATION_INVALID}]\n"
        f"    Write def {step}(): with pass where there is nothing to do.\n"
    )
    assert expected in run("plugins check")
    assert f"Error: shop: {expected}" == run("db upgrade")


def test_models_without_a_revision(plugin_folder: PluginFolder, run: Callable[[str], str]) -> None:
    """The folder is there and empty; the plugin can start, so that one can be written."""
    plugin_folder.add_table("stock")
    plugin_folder.add_table("shop", revision=False)
    assert (
        "- shop (example-shop 1.0): it has models of shop, but no revision to create them in "
        f"example_shop/migrations [{Code.MIGRATIONS_MISSING}]\n"
        "    Write one with pegboard db migrate shop.\n1 problem; the service starts.\n"
    ) == run("plugins check")


@pytest.mark.slow
def test_a_table_of_a_migration_of_a_plugin_without_models(
    plugin_folder: PluginFolder, run: Callable[[str], str]
) -> None:
    """It is as unknown to the models as if the plugin had others."""
    plugin_folder.add_table("stock")
    folder = plugin_folder.add_table("shop")
    source = (folder / "plugin.py").read_text()
    before, hooks = source.split("@pegboard.hookimpl\ndef pegboard_models", 1)
    rest = hooks.partition("@pegboard.hookimpl")[2]
    (folder / "plugin.py").write_text(
        before.partition("class Base")[0] + f"@pegboard.hookimpl{rest}"
    )
    run("db upgrade")
    assert (
        f"shop: remove table shop [{Code.DATABASE_DIFFERS}]\n"
        "    No revision does this, which would make the database what the models say: write one "
        "with pegboard db migrate shop, or change the models.\n"
    ) == run("db check")
