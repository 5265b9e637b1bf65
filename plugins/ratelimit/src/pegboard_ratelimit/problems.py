"""The codes of the plugin's problems; the reference lists them."""

import pegboard


class Code(pegboard.ProblemCode):
    """Every cause for which the plugin refuses to start."""

    INVALID_LIMIT = (
        "RATELIMIT_INVALID_LIMIT",
        "A view or a blueprint is decorated with `rate_limit`, and the limit cannot be used.",
        "search.find, of shop.views, is marked with a limit that cannot be read: 'x' is no limit",
        'Fix the decorator, as in @pegboard.rate_limit("10/minute;100/day").',
    )
    LIMIT_OF_HEAD = (
        "RATELIMIT_LIMIT_OF_HEAD",
        (
            "The method `head` of a view has a limit that differs from that of `get`, but both "
            "are counted together."
        ),
        "search.head, of shop.views, is marked by itself, but HEAD counts as GET, in one budget",
        "Decorate `get`, or the whole view: that covers HEAD.",
    )
    SEVERAL_STORAGES = (
        "RATELIMIT_SEVERAL_STORAGES",
        "Several plugins implement `pegboard_ratelimit_storage`, and one of them must count.",
        "several plugins provide a storage: shop.Storage, stock.Storage",
        "Disable all of them but one.",
    )
