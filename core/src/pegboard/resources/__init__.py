"""Resources: what a plugin declares of its models, and what is told of the rows they write."""

from pegboard.changes import BulkInsert, Change, Kind, Listener

__all__ = [
    "BulkInsert",
    "Change",
    "Kind",
    "Listener",
]
