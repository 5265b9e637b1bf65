"""The codes of the core's problems; docs/reference/problems.md is written from them."""

from pegboard.problems.problem import ProblemCode


class Code(ProblemCode):
    """Every cause for which the core refuses to start, or to start with a plugin."""

    # Settings

    CONFIGURATION_UNKNOWN = (
        "PB_CONFIGURATION_UNKNOWN",
        "There is no configuration of the name that `PEGBOARD_ENV` or `create_app` gives.",
        "unknown configuration 'prod' (PEGBOARD_ENV)",
        "Use one of development, testing, production.",
    )
    SETTING_INVALID = (
        "PB_SETTING_INVALID",
        (
            "The value of a setting has the wrong type, or is outside the allowed values. The "
            "message says where the value comes from."
        ),
        "setting PORT (environment PORT): 'abc' is not allowed",
        "Set a value that the message allows; `pegboard config show` prints all settings.",
    )
    SETTING_MISSING = (
        "PB_SETTING_MISSING",
        "A plugin has a setting without a default, and it is not set.",
        "missing setting SHOP_ENDPOINT: Where to send orders.",
        "Set PEGBOARD_SHOP_ENDPOINT.",
    )
    SETTING_FILE_UNREADABLE = (
        "PB_SETTING_FILE_UNREADABLE",
        (
            "A secret is to be read from the file that a variable ending in `_FILE` names, and "
            "the file cannot be read as UTF-8."
        ),
        "setting SECRET_KEY: cannot read /run/secrets/key, named by SECRET_KEY_FILE",
        "Name a readable UTF-8 file.",
    )
    SETTING_UNKNOWN = (
        "PB_SETTING_UNKNOWN",
        (
            "A variable or key begins with the prefix of an active plugin, but the plugin "
            "declares no such setting; a variable is a misspelling of one of the core; "
            "`create_app` is given the name of a variable; or a key is one of Flask-SQLAlchemy "
            "that the core overwrites. It would have no effect."
        ),
        "unknown setting PEGBOARD_SHOP_PAGESIZE (environment)",
        "Correct the name, or remove the setting.",
    )
    SETTINGS_CONTRADICT = (
        "PB_SETTINGS_CONTRADICT",
        (
            "A setting of the server keeps another one from its effect. `pegboard serve` starts "
            "all the same, and warns."
        ),
        (
            "PEGBOARD_SHUTDOWN_TIMEOUT (10 s) is less than PEGBOARD_REQUEST_TIMEOUT (30 s): a stop "
            "cuts requests that have time left"
        ),
        "Raise the one or lower the other, as the message says.",
    )
    SETTINGS_CLASS_INVALID = (
        "PB_SETTINGS_CLASS_INVALID",
        (
            "The class in which a plugin declares its settings has a field without a type, of a "
            "type that no setting can have, with an annotation that cannot be evaluated, or with "
            "a former name that is its own, is no name, or goes in a version that is not to come."
        ),
        (
            "its settings cannot be read: NameError: name 'Missing' is not defined"
            ", at example_shop/plugin.py:3"
        ),
        "Fix the annotations of the plugin's Settings class.",
    )

    # What production refuses

    PRODUCTION_SECRET_KEY = (
        "PB_PRODUCTION_SECRET_KEY",
        (
            "Sessions and cursors are signed with SECRET_KEY: in production it must be secret, "
            "and 32 bytes or more."
        ),
        "SECRET_KEY is missing in production",
        "Set SECRET_KEY or SECRET_KEY_FILE to 32 random bytes or more.",
    )
    PRODUCTION_DATABASE_URL = (
        "PB_PRODUCTION_DATABASE_URL",
        "Production has no default database.",
        "DATABASE_URL is missing in production",
        "Set DATABASE_URL or DATABASE_URL_FILE, as in postgresql://user@host/name.",
    )
    PRODUCTION_DEBUG = (
        "PB_PRODUCTION_DEBUG",
        "Flask's debug mode must not be on in production.",
        "DEBUG is on in production",
        "Remove PEGBOARD_DEBUG and FLASK_DEBUG.",
    )
    PRODUCTION_TESTING = (
        "PB_PRODUCTION_TESTING",
        "Flask's testing mode must not be on in production.",
        "TESTING is on in production",
        "Remove PEGBOARD_TESTING.",
    )
    PRODUCTION_CORS_WILDCARD = (
        "PB_PRODUCTION_CORS_WILDCARD",
        "In production the origins that browsers may call from must be listed.",
        "CORS_ORIGINS holds a wildcard in production",
        "List the origins exactly, as in https://app.example.",
    )

    # Plugins

    PLUGIN_NOT_INSTALLED = (
        "PB_PLUGIN_NOT_INSTALLED",
        (
            "`PEGBOARD_PLUGINS` or `create_app(plugins=…)` names a plugin that no installed "
            "distribution has; or `PEGBOARD_PLUGINS_DISABLED` or `PEGBOARD_PLUGINS_POLICY` names "
            "one that resembles an active plugin."
        ),
        "PEGBOARD_PLUGINS names a plugin that is not installed",
        "Install the distribution that has the plugin, or correct the name.",
    )
    PLUGIN_NAME_INVALID = (
        "PB_PLUGIN_NAME_INVALID",
        (
            "The name of a plugin is part of names of settings, tables and revisions. It is made "
            "of lower-case letters, digits and underscores, begins with a letter, and has at most "
            "43 characters."
        ),
        "'Shop-2' cannot be the name of a plugin",
        "Rename the plugin: in the entry point, or in the `name` of an object.",
    )
    PLUGIN_IMPORT_FAILED = (
        "PB_PLUGIN_IMPORT_FAILED",
        (
            "Importing the plugin raised the error that the message shows, with the line of the "
            "plugin where it arose, and the line that raised it if it is in another package."
        ),
        (
            "it cannot be imported: ModuleNotFoundError: No module named 'stripe', at "
            "example_shop/plugin.py:2"
        ),
        "Fix the error, or disable the plugin (PEGBOARD_PLUGINS_DISABLED).",
    )
    PLUGIN_METADATA_INVALID = (
        "PB_PLUGIN_METADATA_INVALID",
        (
            "The installed metadata of the plugin's distribution, or of one that it requires, "
            "cannot be used: a file is missing, the version is not valid, or the entry point names "
            "no module. Distributions without plugins are not looked at."
        ),
        "its metadata in …",
        (
            "Install the distribution anew, or remove what is left of it; if its wheel is so, its "
            "author corrects pyproject.toml."
        ),
    )
    ENTRY_POINTS_UNREADABLE = (
        "PB_ENTRY_POINTS_UNREADABLE",
        (
            "The file `entry_points.txt` of an installed distribution, which need not have a "
            "plugin, has a line without `=`, or is not UTF-8. Alembic and Flask read those of all "
            "distributions, and cannot be imported or run. The command `pegboard` says which it "
            "is; other programs that import `pegboard` end with a traceback."
        ),
        ("…/example_foreign-1.0.dist-info/entry_points.txt: line 2 is 'serve', without a ="),
        "Install the distribution anew, or uninstall it.",
    )
    PLUGIN_OBJECT_INVALID = (
        "PB_PLUGIN_OBJECT_INVALID",
        (
            "The entry point or `create_app` names something whose hooks cannot be called: a class "
            "in place of an object, a module whose hooks are on an object inside it, or a function."
        ),
        (
            "example_shop.plugin:Shop is a class, whose hooks need an object, at "
            "example_shop/plugin.py:2"
        ),
        "Write plugin = Shop() in the module, and example_shop.plugin:plugin in the entry point.",
    )
    PLUGIN_REGISTERED_TWICE = (
        "PB_PLUGIN_REGISTERED_TWICE",
        "Two plugins, by their names, are one and the same module or object.",
        "it is the same object as plugin shop",
        "Give each plugin a module of its own, or disable one of the two.",
    )
    PLUGIN_CORE_INCOMPATIBLE = (
        "PB_PLUGIN_CORE_INCOMPATIBLE",
        "The plugin's distribution requires another version of `pegboard` than the one that runs.",
        "it requires pegboard>=99, but the running core is …",
        "Install a version of the plugin made for this core, or the core it was made for.",
    )
    PLUGIN_REQUIREMENT_MISSING = (
        "PB_PLUGIN_REQUIREMENT_MISSING",
        (
            "The plugin's distribution requires another distribution, which is not installed, or "
            "not in a version that it allows."
        ),
        "it requires stripe>=9, which is not installed",
        "Run pip install 'stripe>=9'.",
    )
    PLUGIN_REQUIREMENT_INACTIVE = (
        "PB_PLUGIN_REQUIREMENT_INACTIVE",
        "The plugin requires another plugin, which is installed, but disabled or skipped.",
        "it requires example-stock, whose plugin stock is not active",
        (
            "Activate that plugin (PEGBOARD_PLUGINS, PEGBOARD_PLUGINS_DISABLED), or disable this "
            "one too."
        ),
    )
    PLUGIN_REQUIREMENT_CYCLE = (
        "PB_PLUGIN_REQUIREMENT_CYCLE",
        "Distributions of plugins require each other, so none can be loaded first.",
        "plugins require each other in a circle: shop → stock → shop",
        "Drop one of these requirements from a distribution's metadata.",
    )

    # Hooks

    HOOK_UNKNOWN = (
        "PB_HOOK_UNKNOWN",
        (
            "The plugin implements a hook that nobody declares. It is probably misspelled, or "
            "belongs to a plugin that is not active. One with `optionalhook=True` may be absent; "
            "it is refused if its name resembles a hook of the core or of an active plugin."
        ),
        "it implements pegboard_blueprint, which is no hook, at example_shop/plugin.py:2",
        (
            "Correct the name. A hook of a plugin that may be absent is implemented with "
            "@pegboard.hookimpl(optionalhook=True)."
        ),
    )
    HOOK_NOT_MARKED = (
        "PB_HOOK_NOT_MARKED",
        (
            "A function of the plugin has the name of a hook, or nearly, and would never be "
            "called, as it lacks the marker `hookimpl`, or has `hookspec` in its place."
        ),
        (
            "pegboard_setup has the name of a hook, but is not marked as an implementation, at "
            "example_shop/plugin.py:2"
        ),
        "Put @pegboard.hookimpl above it.",
    )
    HOOK_ARGUMENTS_INVALID = (
        "PB_HOOK_ARGUMENTS_INVALID",
        (
            "An implementation takes an argument that its hook does not have, or one with a "
            "default, by keyword alone, `*` or `**`, which would be left without a value."
        ),
        (
            "pegboard_setup takes application, which the hook does not give, at "
            "example_shop/plugin.py:2"
        ),
        "Its arguments are app; take these or fewer, without *, ** and defaults.",
    )
    HOOK_IMPLEMENTED_TWICE = (
        "PB_HOOK_IMPLEMENTED_TWICE",
        "The plugin has two implementations of a hook of which the core uses one result.",
        "it implements pegboard_blueprints twice, and the core takes one result, at …",
        "Keep one of the two implementations.",
    )
    HOOK_ORDER_CYCLE = (
        "PB_HOOK_ORDER_CYCLE",
        (
            "Implementations of one hook ask by `before` and `after` to be called before one "
            "another, so none can be called first."
        ),
        (
            "implementations of pegboard_setup are each to be called before the next: shop → stock "
            "→ shop"
            ", at example_shop/plugin.py:2 and example_stock/plugin.py:2"
        ),
        "Remove a plugin from `before` or `after` of the hook in one of the plugins.",
    )
    HOOK_SPECIFICATIONS_INVALID = (
        "PB_HOOK_SPECIFICATIONS_INVALID",
        (
            "The plugin declares hooks of its own (`pegboard_hookspecs`), and they cannot be read, "
            "have arguments that no implementation can take, or lack the plugin's prefix in their "
            "names."
        ),
        "pegboard_hookspecs failed: ValueError: did not find any 'pegboard' hooks in …",
        "Return a module or class whose functions are marked with pegboard.hookspec.",
    )
    HOOK_FAILED = (
        "PB_HOOK_FAILED",
        (
            "The plugin's implementation of a hook raised an error. The message has the line of "
            "the plugin where it arose, and the line that raised it if it is in another package."
        ),
        "pegboard_setup failed: RuntimeError: no licence, at example_shop/plugin.py:4",
        "Fix the plugin's implementation of the hook.",
    )
    HOOK_RESULT_INVALID = (
        "PB_HOOK_RESULT_INVALID",
        (
            "The plugin's implementation of a hook returned something else than its reference "
            "says: another type, nothing, a class in place of an object, a list with one wrong "
            "part, or a folder that does not exist. A generator or an async function returns "
            "nothing that the core could use."
        ),
        "pegboard_blueprints returned 'blueprint', at example_shop/plugin.py:2",
        "Return what the hook's reference says.",
    )

    # Services that plugins provide for each other

    SERVICE_MISSING = (
        "PB_SERVICE_MISSING",
        "The plugin requires a service, by its interface, and no active plugin provides it.",
        (
            "it requires the service example_shop.plugin.Mailer, which no active plugin provides"
            ", at example_shop/plugin.py:8"
        ),
        "Install and activate a plugin that provides it, or disable this one too.",
    )
    SERVICE_INVALID = (
        "PB_SERVICE_INVALID",
        (
            "What the plugin provides is not what the interface says: it lacks a member, a method "
            "takes other arguments, or its call does nothing until somebody awaits or iterates it; "
            "or the marker that names the interface is missing."
        ),
        (
            "pegboard_provides returned for example_shop.plugin.Mailer an object of type object, "
            "which lacks send"
            ", at example_shop/plugin.py:8"
        ),
        "Return an object that has all of the interface.",
    )
    SERVICE_CYCLE = (
        "PB_SERVICE_CYCLE",
        "To make one service another one is needed, and to make that one the first.",
        (
            "services need each other in a circle: example_shop.plugin.Clock → "
            "example_shop.plugin.Mailer → example_shop.plugin.Clock"
            ", at example_shop/plugin.py:12"
        ),
        "Get one of these services later, when it is used.",
    )

    # What plugins contribute

    MIGRATIONS_MISSING = (
        "PB_MIGRATIONS_MISSING",
        (
            "The plugin has models, but no migrations, or none in their folder: nothing would "
            "create their tables."
        ),
        (
            "it has models of products, but no migrations to create them"
            ", at example_shop/plugin.py:13"
        ),
        (
            "Return a folder of the plugin's package from pegboard_migrations, and write the "
            "revision with pegboard db migrate NAME."
        ),
    )
    MODEL_REFERENCE_UNRESOLVED = (
        "PB_MODEL_REFERENCE_UNRESOLVED",
        (
            "A foreign key of the plugin's models names a table or a column that the plugin has "
            "not, or a relationship names a class that there is not."
        ),
        (
            "products.item_id refers to 'items.id', no column of this plugin"
            ", at example_shop/plugin.py:12"
        ),
        (
            "Refer to a table of another plugin by its model, as in ForeignKey(Item.id), and "
            "require its distribution; for one of this plugin, check the spelling."
        ),
    )
    MODEL_NAME_TOO_LONG = (
        "PB_MODEL_NAME_TOO_LONG",
        (
            "A table, column, constraint, index, type or sequence of the plugin's models, or a "
            "value of an enumerated type, has a longer name than PostgreSQL takes. It would refuse "
            "the name, or cut it, so that models and database never agree; SQLite is no exception."
        ),
        (
            "the name long_long_long_long_… of a column of products has 65 bytes, and PostgreSQL "
            "takes 63, at example_shop/plugin.py:12"
        ),
        "Give it a shorter name.",
    )
    MODEL_REQUIREMENT_MISSING = (
        "PB_MODEL_REQUIREMENT_MISSING",
        (
            "A foreign key of the plugin's models refers to a table of a plugin whose distribution "
            "its own does not require. The order of migrations follows from what is required: the "
            "reference might be made before the table."
        ),
        (
            "products.stock_id refers to table stocks of stock, whose distribution it does not "
            "require, at example_shop/plugin.py:13"
        ),
        "Write the other distribution into the dependencies in pyproject.toml.",
    )
    MODEL_OTHER_DATABASE = (
        "PB_MODEL_OTHER_DATABASE",
        (
            "A foreign key of the plugin's models refers to a table of another plugin whose models "
            "have another `bind_key`, and so are in another database, which no foreign key reaches."
        ),
        (
            "products.stock_id refers to table stocks of stock, which is in another database: that "
            "of DATABASE_URL, and not of the bind archive"
            ", at example_shop/plugin.py:13"
        ),
        "Keep the id in a column without a foreign key, or give both models one `bind_key`.",
    )
    BLUEPRINT_INVALID = (
        "PB_BLUEPRINT_INVALID",
        "Flask refuses to register a blueprint of the plugin.",
        (
            "its blueprint shop cannot be registered: the converter 'nope' does not exist"
            ", at example_shop/plugin.py:4"
        ),
        "Fix the blueprint.",
    )
    STAGE_INVALID = (
        "PB_STAGE_INVALID",
        "A stage of the plugin lacks a `name`, an `order` or a method `bind`.",
        ("its stage Teapot has no name, at example_shop/plugin.py:2"),
        "Give the stage what the message names.",
    )
    CACHED_DUPLICATE_NAME = (
        "PB_CACHED_DUPLICATE_NAME",
        (
            "Two views cache answers made of one table under the same name, and would be answered"
            " with each other's."
        ),
        (
            "the cached view example_shop.plugin.other and the cached view "
            "example_shop.plugin.one of products have one name, at example_shop/plugin.py:26 and "
            "example_shop/plugin.py:24"
        ),
        'Give one of the two a name of its own: @pegboard.cached(..., name="...").',
    )
    CACHED_KEY_MISMATCH = (
        "PB_CACHED_KEY_MISMATCH",
        (
            "The answer of a cached view is found by the primary key of its row, which must be "
            "the variables of the view's URL."
        ),
        (
            "the cached view example_shop.plugin.one is at /products/<slug>/<int:id>, whose "
            "variables are not the primary key of products, at example_shop/plugin.py:26"
        ),
        "Give the URL one variable for each column of the key, in their order.",
    )
    CACHED_WITHOUT_GET = (
        "PB_CACHED_WITHOUT_GET",
        "Only answers to GET are cached, and the route of a cached view is for other methods.",
        (
            "the cached view example_shop.plugin.one is at /products/<int:id> for POST alone, "
            "whose answers are not cached, at example_shop/plugin.py:24"
        ),
        "Remove `cached`, or give the view a route for GET.",
    )
    CACHED_OTHER_DATABASE = (
        "PB_CACHED_OTHER_DATABASE",
        (
            "A cached answer is made of a table in another database than DATABASE_URL, where "
            "writes are not watched: the answer would become stale."
        ),
        (
            "the cached view example_shop.plugin.one of Product depends on products, which is in "
            "the database of the bind archive, at example_shop/plugin.py:24"
        ),
        "Cache only what is in the database of DATABASE_URL: without a `bind_key`.",
    )
    CACHED_ABOVE_ROUTE = (
        "PB_CACHED_ABOVE_ROUTE",
        "`cached` was applied after the view was registered for its route, and has no effect.",
        (
            "the cached view example_shop.plugin.one is declared above its route "
            "/products/<int:id>, which misses it, at example_shop/plugin.py:24"
        ),
        "Put `cached` below the route.",
    )
    CACHED_BELOW_RESPONSE = (
        "PB_CACHED_BELOW_RESPONSE",
        (
            "`cached` stands below a decorator that makes the answer of what the view returns, so "
            "there is no answer yet that could be cached."
        ),
        (
            "the cached view example_shop.plugin.one is declared below response, which makes its "
            "answer, at example_shop/plugin.py:24"
        ),
        "Put `cached` above `response`, and above all other decorators.",
    )
    DECORATED_ABOVE_ROUTE = (
        "PB_DECORATED_ABOVE_ROUTE",
        (
            "A decorator of a blueprint, or `transactional`, was applied after the view was "
            "registered for its route, and has no effect: arguments are not checked, fields are "
            "not left out, changes are not committed."
        ),
        (
            "response decorates example_shop.plugin.one above its route, which misses it, at "
            "example_shop/plugin.py:24"
        ),
        "Put `response` below the route.",
    )
    ANNOTATION_HIDDEN = (
        "PB_ANNOTATION_HIDDEN",
        (
            "A decorator that does not use `functools.wraps` hides what is noted at the view below "
            "it by `rate_limit`, `cache_control` or `cached`, which has no effect."
        ),
        (
            "example_shop.plugin.checked.<locals>.run hides the rate_limit of "
            "example_shop.plugin.one, which has no effect, at example_shop/plugin.py:24 and "
            "example_shop/plugin.py:27"
        ),
        "Let that decorator use `functools.wraps`, or put `rate_limit` above it.",
    )
    VIEW_INVALID = (
        "PB_VIEW_INVALID",
        (
            "A view cannot be called: it does not take the variables of its URL, or what "
            "`arguments` or `paginate` pass to it, or it wants more, or it is an async function, "
            "which nothing awaits. Every request would be answered 500."
        ),
        (
            "the view example_shop.plugin.bare at /products/<int:id> cannot be called: got an "
            "unexpected keyword argument 'id', at example_shop/plugin.py:26"
        ),
        "It is given id. Let it take this and no more.",
    )
    CACHE_NOT_SHARED = (
        "PB_CACHE_NOT_SHARED",
        (
            "With PEGBOARD_CACHE=memory each worker process would have a cache of its own, and "
            "would not see what the others write."
        ),
        "PEGBOARD_CACHE is memory, but several workers would each have their own",
        "Set WORKERS=1, or PEGBOARD_CACHE=auto with a caching plugin, or none.",
    )

    # Collisions: something that two plugins, or a plugin and the core, both want to have

    COLLISION_PLUGIN_NAME = (
        "PB_COLLISION_PLUGIN_NAME",
        "Two distributions have a plugin of the same name, or the name is reserved for the core.",
        "example-other 1.0 has a plugin of the same name",
        "Uninstall one of the two distributions, or rename the plugin.",
    )
    COLLISION_SETTING = (
        "PB_COLLISION_SETTING",
        (
            "Two plugins, or a plugin and the core, or one plugin twice, have a setting of one "
            "name; a former name counts too, and so does the variable of a secret's file."
        ),
        ("setting LOG_LEVEL belongs to the core already, at example_log/plugin.py:3"),
        "Rename it in one of the two, or disable one of the two plugins.",
    )
    COLLISION_BLUEPRINT = (
        "PB_COLLISION_BLUEPRINT",
        "Two plugins, or a plugin and the core, or one plugin twice, have a blueprint of one name.",
        (
            "blueprint shop belongs to plugin shop (example-shop 1.0) too"
            ", at example_stock/plugin.py:4 and example_shop/plugin.py:4"
        ),
        "Rename it in one of the two, or disable one of the two plugins.",
    )
    COLLISION_ROUTE = (
        "PB_COLLISION_ROUTE",
        (
            "Some request matches a route of two plugins, or of a plugin and the core, so that one "
            "would answer for the other; the message has such a path. Or one route of a plugin has "
            "two views, of which one is never called."
        ),
        (
            "its route GET /health and the route GET /health of the core both match /health"
            ", at example_shop/plugin.py:3"
        ),
        "Change the path in one of the two, or disable one of the two plugins.",
    )
    COLLISION_SCHEMA = (
        "PB_COLLISION_SCHEMA",
        "Two marshmallow schemas have the same name in the OpenAPI document.",
        "its blueprint shop cannot be registered: Multiple schemas resolved to the name …",
        "Rename one of the two schemas.",
    )
    COLLISION_OPERATION = (
        "PB_COLLISION_OPERATION",
        (
            "Two calls have the same `operationId` in the OpenAPI document, from which generated "
            "clients take the names of their functions."
        ),
        (
            "GET /stock has the operationId list_things of GET /shop"
            ", at example_stock/plugin.py:3 and example_shop/plugin.py:3"
        ),
        "Give each call an operationId of its own, or none.",
    )
    COLLISION_COMMAND = (
        "PB_COLLISION_COMMAND",
        "Two plugins, or a plugin and the core, or one plugin twice, have a command of one name.",
        ("command serve belongs to the core already, at example_shop/plugin.py:3"),
        "Rename it in one of the two, or disable one of the two plugins.",
    )
    COLLISION_HEALTH_CHECK = (
        "PB_COLLISION_HEALTH_CHECK",
        "Two health checks of one plugin have the same name, so nobody could tell which fails.",
        ("it has two: health check shop.vault, at example_shop/plugin.py:2"),
        "Rename one of the two.",
    )
    COLLISION_TABLE = (
        "PB_COLLISION_TABLE",
        (
            "Two plugins have a table, an index or a key of the same name in one schema, or an "
            "enumerated type of one name with different values; or one plugin has two such. Where "
            "PostgreSQL alone refuses it, SQLite is no exception, so that plugins work on both."
        ),
        (
            "table products belongs to plugin shop (example-shop 1.0) too"
            ", at example_stock/plugin.py:10 and example_shop/plugin.py:10"
        ),
        "Rename it in one of the two, or disable one of the two plugins.",
    )
    COLLISION_MIGRATIONS = (
        "PB_COLLISION_MIGRATIONS",
        "Two plugins have their revisions in one folder, of which each would run those of both.",
        (
            "folder of revisions /usr/share belongs to plugin shop "
            "(example-shop 1.0) too, at example_stock/plugin.py:2 and example_shop/plugin.py:2"
        ),
        "Give one of the two a folder of its own, or disable one of the two plugins.",
    )
    COLLISION_HOOK = (
        "PB_COLLISION_HOOK",
        "Two plugins, or a plugin and the core, declare a hook of the same name.",
        (
            "hook pegboard_shop_sale_priced belongs to plugin shop (example-shop 1.0) too"
            ", at example_shop_sale/plugin.py:3 and example_shop/plugin.py:3"
        ),
        "Rename it in one of the two, or disable one of the two plugins.",
    )
    COLLISION_PROVIDER = (
        "PB_COLLISION_PROVIDER",
        (
            "Two plugins implement a hook of which an app can have one implementation: the cache "
            "or the sessions. The message calls such a hook a single-provider strategy."
        ),
        (
            "single-provider strategy pegboard_cache_strategy belongs to plugin shop "
            "(example-shop 1.0) too"
            ", at example_stock/plugin.py:2 and example_shop/plugin.py:2"
        ),
        "Disable one of the two plugins.",
    )
    COLLISION_SERVICE = (
        "PB_COLLISION_SERVICE",
        "Two plugins provide a service of one interface, or one plugin does twice.",
        (
            "service argparse.Action is provided by plugin shop (example-shop 1.0) too"
            ", at example_stock/plugin.py:3 and example_shop/plugin.py:3"
        ),
        "Disable one of the two plugins.",
    )
    COLLISION_STAGE = (
        "PB_COLLISION_STAGE",
        "Two stages have the same name, or the same `order`, which the message calls the place.",
        (
            "its stage stock has the place 700 of shop"
            ", at example_stock/plugin.py:2 and example_shop/plugin.py:2"
        ),
        "Give one of the stages another `name` or `order`.",
    )

    # Services

    ADDRESS_UNAVAILABLE = (
        "PB_ADDRESS_UNAVAILABLE",
        (
            "`pegboard serve` cannot listen on its address: another process does, the address is "
            "not one of this machine, or a privilege is missing."
        ),
        "cannot listen on 0.0.0.0 port 8000: Address already in use",
        "Stop what listens there, or choose another PORT.",
    )
    TLS_UNUSABLE = (
        "PB_TLS_UNUSABLE",
        (
            "`pegboard serve` cannot speak TLS with the certificate and the key that it is given: "
            "a file cannot be read, they do not belong together, or the password is not the key's."
        ),
        "setting TLS_KEY: cannot read /run/secrets/tls.key: Permission denied",
        "Name a file that the service may read.",
    )
    DATABASE_URL_INVALID = (
        "PB_DATABASE_URL_INVALID",
        "DATABASE_URL is not the URL of a PostgreSQL or SQLite database that can be used here.",
        "DATABASE_URL cannot be used: not a database URL; write …",
        "Write it as postgresql://user@host/name or sqlite:///file.db.",
    )
    DATABASE_UNAVAILABLE = (
        "PB_DATABASE_UNAVAILABLE",
        "A command needs the database, and the database refused the connection or the query.",
        "the database cannot be queried: Connection refused …",
        "Start the database, or correct DATABASE_URL, with special characters percent-encoded.",
    )
    DATABASE_BEHIND = (
        "PB_DATABASE_BEHIND",
        "The tables in the database are older than the code: migrations have not been applied.",
        "the database is at 0001, the newest is 0002",
        "Run pegboard db upgrade, or start with pegboard serve --upgrade.",
    )
    DATABASE_INCOMPLETE = (
        "PB_DATABASE_INCOMPLETE",
        (
            "All migrations have been applied, and the database lacks a table or a column of the "
            "models: no revision was written for it, or it was dropped by hand. Requests that "
            "need it would fail."
        ),
        "its models need what the database lacks: table notes, column tags.color",
        (
            "Write the missing revision with pegboard db migrate NAME and apply it with pegboard "
            "db upgrade NAME, or restore what was dropped."
        ),
    )
    DATABASE_DIFFERS = (
        "PB_DATABASE_DIFFERS",
        (
            "All migrations have been applied, and the database is not what the models say: a "
            "revision makes a table or a column that no model has, makes it otherwise, or is "
            "missing. The message says what a revision had to do; an upgrade only warns."
        ),
        "remove table drafts",
        (
            "Write the missing revision with pegboard db migrate NAME, or change the models to "
            "what the revisions make."
        ),
    )
    MIGRATION_INVALID = (
        "PB_MIGRATION_INVALID",
        (
            "A revision file cannot be used: it fails when it is read, has the id of another one, "
            "follows one that there is not, or itself, or has no upgrade() or downgrade() that can "
            "be run. Nothing is applied, of no plugin."
        ),
        (
            "the revision notes_0002 follows notes_0009, which no file has, at "
            "pegboard_notes/migrations/notes_0002.py:4"
        ),
        "Correct the down_revision, or bring the missing file back.",
    )
    MIGRATION_AHEAD = (
        "PB_MIGRATION_AHEAD",
        (
            "A newer release of the plugin, or of the deployment's own history, has migrated the "
            "database, as when a service goes back to an older one. An upgrade warns and applies "
            "nothing of that history, and the older release serves, unless a table or a column of "
            "its models is gone. The message names the release, where that is recorded, and new "
            "columns without which rows cannot be added."
        ),
        (
            "the database is at shop_0004, which the installed release does not know: shop 1.3 has "
            "applied it"
        ),
        (
            "Nothing is to be done, unless the newer release is not to come back: then run "
            "pegboard db downgrade NAME REVISION with the newer one."
        ),
    )
    MIGRATION_DIVERGED = (
        "PB_MIGRATION_DIVERGED",
        (
            "The database has revisions of a plugin that the installed release does not know, and "
            "lacks one that it has: it is not one of a newer release, but of another branch, and "
            "nothing is applied."
        ),
        (
            "the database is at shop_b1 and without shop_0004: shop 1.3.dev0 has applied it, and "
            "the installed release has another history"
        ),
        "Install a release that has all of these revisions, as after pegboard db merge NAME.",
    )
    MIGRATION_HEADS = (
        "PB_MIGRATION_HEADS",
        (
            "Two revisions of a plugin follow the same one, or none, as when two branches of a "
            "repository each got one: which is the newest is not known, and nothing is applied."
        ),
        (
            "notes_0002 and notes_0003 are both the newest revision, at "
            "pegboard_notes/migrations/notes_0002.py:3 and "
            "pegboard_notes/migrations/notes_0003.py:3"
        ),
        "Merge them with pegboard db merge NAME.",
    )
    FOREIGN_TABLE = (
        "PB_FOREIGN_TABLE",
        (
            "A revision that was to be applied touches a table of another plugin, its definition "
            "or its rows. It was rolled back, as the table might no longer fit the other plugin's "
            "models and revisions."
        ),
        "it touches table items, which belongs to items",
        (
            "Correct the revision; or if it is meant, repeat pegboard db upgrade with "
            "--allow-foreign."
        ),
    )
    SECRET_KEYS_DIFFER = (
        "PB_SECRET_KEYS_DIFFER",
        (
            "Another process of this service, one with the same database and Redis, signs with a "
            "SECRET_KEY that is neither that of this process nor among its SECRET_KEY_FALLBACKS. "
            "Users lose their session whenever they come from the one to the other, and neither "
            "reads what the other has cached. It is logged, and `/health/ready` has `secret_key` "
            "among `degraded`."
        ),
        (
            "another process of this service signs with a SECRET_KEY that this one does not take "
            "(this one: 5f0c8b1d2a3e, others: 9d41c07ab6f2)"
        ),
        (
            "Give all replicas the same SECRET_KEY. To replace it, add the new one to "
            "SECRET_KEY_FALLBACKS of all replicas first, and then make it the SECRET_KEY."
        ),
    )
    REDIS_URL_INVALID = (
        "PB_REDIS_URL_INVALID",
        "REDIS_URL has the wrong form, an unknown parameter, or names a file that cannot be used.",
        "REDIS_URL has an unknown scheme",
        "Write it in one of the forms of the guide on Redis.",
    )
    REDIS_LIBRARY_MISSING = (
        "PB_REDIS_LIBRARY_MISSING",
        "REDIS_URL is set, but Pegboard was installed without its extra `redis`.",
        "REDIS_URL is set, but the redis library is not installed",
        "Install it with pip install 'pegboard[redis]', or unset REDIS_URL.",
    )
