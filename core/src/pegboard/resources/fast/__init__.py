"""Fast paths: usual requests of a resource, answered without Flask and SQLAlchemy's objects.

An operation accepts only what is usual and leaves everything else to the ordinary view, so that
every error and every rarity has one home: a value that is not valid, a row that is not there, a
precondition, a refused statement, a silent server. What it does answer has the same bytes and
headers. `PEGBOARD_RESOURCES_FAST=false` and `Resource(fast=False)` turn it off.
"""

from pegboard.resources.fast.binding import add_fast_path as add_fast_path
