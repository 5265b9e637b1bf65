"""Builds the app of a service: `create` is the order of start-up, the other modules its steps."""

from pegboard.app.backends import disconnect as disconnect
from pegboard.app.create import create_app

__all__ = ["create_app"]
