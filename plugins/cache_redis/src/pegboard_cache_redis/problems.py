"""The codes of the plugin's problems; the reference lists them."""

import pegboard


class Code(pegboard.ProblemCode):
    """Every cause for which the plugin refuses to start."""

    NO_REDIS = (
        "CACHE_REDIS_NO_REDIS",
        (
            "The plugin keeps the cache and the sessions in Redis, and was told of no server. In "
            "development this is a warning: on SQLite answers are then cached in memory, on "
            "PostgreSQL not at all, and sessions are kept in signed cookies."
        ),
        "REDIS_URL is not set, and the cache and the sessions are to be kept there",
        (
            "Set REDIS_URL, as in redis://host:6379/0; or use neither, by PEGBOARD_CACHE=none and "
            "PEGBOARD_SESSIONS=cookie; or disable the plugin, by "
            "PEGBOARD_PLUGINS_DISABLED=cache_redis."
        ),
    )
