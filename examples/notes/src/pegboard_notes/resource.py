"""The resource `/api/notes/`."""

import pegboard
from pegboard.resources import CRUD, EQUALITY, Filter, Operation
from pegboard_notes.models import Note
from pegboard_notes.schemas import NoteSchema
from pegboard_notes.settings import NotesSettings

MAX_PAGE_SIZE = 100


def _page_sizes() -> tuple[int, int]:
    """Return the size of a page by default, and at most."""
    settings = pegboard.get_settings(NotesSettings)
    return settings.page_size, MAX_PAGE_SIZE


resource = pegboard.Resource(
    "notes",
    __name__,
    Note,
    NoteSchema,
    noun="note",
    description="Notes for Pegboard.",
    operations=CRUD | {Operation.MERGE},
    sort=[
        Note.id,
        Note.title,
        Note.created_at,
    ],
    filters=[Filter(Note.title, EQUALITY)],
    page_sizes=_page_sizes,
    ttl=300,
)
