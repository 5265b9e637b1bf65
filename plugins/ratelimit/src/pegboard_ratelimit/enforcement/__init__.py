"""Enforcement: a stage that counts each request before Flask and refuses those above a limit."""

from pegboard_ratelimit.enforcement.inspect import ClientUsage, inspect_client
from pegboard_ratelimit.enforcement.limiter import (
    Limiter,
    get_limiter,
    init_limiter,
    matches_any_route,
    routes_of,
)
from pegboard_ratelimit.enforcement.responses import LEGACY, POLICY, STATE
from pegboard_ratelimit.enforcement.stage import LimitStage

__all__ = [
    "LEGACY",
    "POLICY",
    "STATE",
    "ClientUsage",
    "LimitStage",
    "Limiter",
    "get_limiter",
    "init_limiter",
    "inspect_client",
    "matches_any_route",
    "routes_of",
]
