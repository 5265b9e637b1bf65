"""The settings of the notes plugin."""

from marshmallow.validate import Range

import pegboard


class NotesSettings(pegboard.Settings):
    """How many rows a client gets."""

    page_size: int = pegboard.setting(
        20, doc="Rows on a page, if the client does not say how many.", validate=Range(1, 100)
    )
