"""The settings of the items plugin."""

from marshmallow.validate import Range

import pegboard

MAX_PAGE_SIZE = 1000


class ItemsSettings(pegboard.Settings):
    """How many items a page holds, and what an import may cost."""

    page_size: int = pegboard.setting(
        20,
        doc="Items on a page when the client does not say; never more than max_page_size.",
        validate=Range(1, MAX_PAGE_SIZE),
    )
    max_page_size: int = pegboard.setting(
        100, doc="Items on a page at most.", validate=Range(1, MAX_PAGE_SIZE)
    )
    import_batch: int = pegboard.setting(
        1000, doc="Rows that an import sends to the database at once.", validate=Range(1, 10_000)
    )
    import_row_bytes: int = pegboard.setting(
        1024 * 1024,
        doc="Bytes of the longest row that an import reads.",
        validate=Range(100, 2**30),
    )
    import_bad_rows_shown: int = pegboard.setting(
        20, doc="Bad rows that an import describes; the others are counted.", validate=Range(0)
    )
