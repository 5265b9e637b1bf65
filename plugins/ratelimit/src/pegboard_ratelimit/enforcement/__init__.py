"""Refusing what is above a limit, in a stage before Flask."""

from pegboard_ratelimit.enforcement.inspect import Standing, ask_standing
from pegboard_ratelimit.enforcement.limiter import (
    Limiter,
    get_limiter,
    init_limiter,
    is_of_use,
    routes_of,
)
from pegboard_ratelimit.enforcement.responses import LEGACY, POLICY, STATE
from pegboard_ratelimit.enforcement.stage import LimitStage

__all__ = [
    "LEGACY",
    "POLICY",
    "STATE",
    "LimitStage",
    "Limiter",
    "Standing",
    "ask_standing",
    "get_limiter",
    "init_limiter",
    "is_of_use",
    "routes_of",
]
