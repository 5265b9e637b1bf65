"""A cache and sessions in Redis for Pegboard, never stale."""
