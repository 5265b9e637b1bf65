"""The management port: health in detail, metrics, plugins, settings, threads and the log level.

A process beside the workers serves it, so that it answers while these are busy, stand still or
start. It has an app of its own, by which it runs the health checks.
"""

from pegboard.management.listener import ManagementSocket, open_socket
from pegboard.management.process import manage

__all__ = ["ManagementSocket", "manage", "open_socket"]
