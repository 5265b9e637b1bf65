"""Changes: telling the listeners of plugins which rows SQLAlchemy sessions write."""

from pegboard.changes.bulk import BulkInsert
from pegboard.changes.declaration import Change, Kind, Listener
from pegboard.changes.listeners import Registered, get_listeners, time_listeners
from pegboard.changes.sessions import init_listeners

__all__ = [
    "BulkInsert",
    "Change",
    "Kind",
    "Listener",
    "Registered",
    "get_listeners",
    "init_listeners",
    "time_listeners",
]
