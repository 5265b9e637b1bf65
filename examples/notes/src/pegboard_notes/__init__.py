"""Notes for Pegboard."""

from pegboard_notes.models import Note

__all__ = ["Note"]
