"""Alembic runs this file for each history in turn, whatever it was asked to do.

Options of `context.configure` can be given to `run_environment`.
"""

from pegboard.migrations import run_environment

run_environment()
