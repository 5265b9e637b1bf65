"""Transfer: the commands by which operators import, export and create rows of a resource."""

from pegboard.transfer.commands import transfer_commands

__all__ = ["transfer_commands"]
