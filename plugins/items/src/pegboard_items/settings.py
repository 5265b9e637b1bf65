"""The settings of the items plugin."""

from marshmallow.validate import Range

import pegboard

MAX_PAGE_SIZE = 1000


class ItemsSettings(pegboard.Settings):
    """Page sizes, and the bounds of an import."""

    page_size: int = pegboard.setting(
        20,
        doc="Items on a page by default; never more than max_page_size.",
        validate=Range(1, MAX_PAGE_SIZE),
    )
    max_page_size: int = pegboard.setting(
        100,
        doc="The largest page size that a client may ask for.",
        validate=Range(1, MAX_PAGE_SIZE),
    )
    import_batch: int = pegboard.setting(
        1000,
        doc="Rows that an import sends to the database in one statement.",
        validate=Range(1, 10_000),
    )
    import_row_bytes: int = pegboard.setting(
        1024 * 1024,
        doc="The longest row that an import reads, in bytes.",
        validate=Range(100, 2**30),
    )
    import_bad_rows_shown: int = pegboard.setting(
        20, doc="Bad rows that an import describes; the rest is only counted.", validate=Range(0)
    )
