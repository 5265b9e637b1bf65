"""The codes of the plugin's problems; the reference lists them."""

import pegboard


class Code(pegboard.ProblemCode):
    """Every cause for which the plugin refuses to start."""

    INVALID_LIMIT = (
        "RATELIMIT_INVALID_LIMIT",
        "A view or a blueprint is decorated with `rate_limit`, and the limit cannot be read.",
        "search.find, of shop.views, has a rate limit that cannot be read: 'often' is not a limit",
        'Write the decorator as in @pegboard.rate_limit("10/minute;100/day").',
    )
    LIMIT_OF_HEAD = (
        "RATELIMIT_LIMIT_OF_HEAD",
        "The `head` method of a view has another limit than `get`, but both count together.",
        "search.head, of shop.views, has a rate limit of its own, but HEAD counts as GET",
        "Decorate its get method or the whole view; both cover HEAD.",
    )
    SEVERAL_STORAGES = (
        "RATELIMIT_SEVERAL_STORAGES",
        "Several plugins implement `pegboard_ratelimit_storage`, and only one of them can count.",
        "several plugins provide a storage: shop.Storage, stock.Storage",
        "Disable all of them but one.",
    )
