"""Fast paths: usual requests of a resource, answered without Flask and SQLAlchemy's objects.

A request is called usual here if a fast path can answer it. It leaves all others to the ordinary
view, so that every error and every rarity is handled in one place: a value that is not valid, a row
that is not there, a precondition, a refused statement, a server that does not answer. Its answers
have the same bytes and headers as those of the view.

`PEGBOARD_RESOURCES_FAST=false` and `Resource(fast=False)` turn fast paths off.
"""

from pegboard.resources.fast.binding import add_fast_path as add_fast_path
