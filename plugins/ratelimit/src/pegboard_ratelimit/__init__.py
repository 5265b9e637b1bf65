"""Rate limits for services built with Pegboard."""

from pegboard_ratelimit.limits import Limit, Policy
from pegboard_ratelimit.storage import Counter, Storage, StorageError, Verdict

__all__ = ["Counter", "Limit", "Policy", "Storage", "StorageError", "Verdict"]
