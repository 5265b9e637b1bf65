"""Alembic runs this file for each history in turn, whatever it was asked to do.

Options of `context.configure` can be given to `run`.
"""

from pegboard.migrations import run

run()
