"""Rate limits for services built with Pegboard."""

from pegboard_ratelimit.counting import Counter, Storage, StorageError, Verdict
from pegboard_ratelimit.rules import Limit, Policy

__all__ = ["Counter", "Limit", "Policy", "Storage", "StorageError", "Verdict"]
