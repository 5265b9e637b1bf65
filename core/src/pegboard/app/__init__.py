"""Building the app of a service: `create_app`, and what it installs, in the order of start-up."""

from pegboard.app.create import create_app

__all__ = [
    "create_app",
]
