"""The resource `/api/items/`, and its commands."""

import pegboard
from pegboard.resources import (
    CRUD,
    EQUALITY,
    RANGE,
    Comparison,
    Filter,
    Operation,
    TransferLimits,
)
from pegboard_items.models import Item
from pegboard_items.schemas import ItemSchema
from pegboard_items.seed import samples
from pegboard_items.settings import ItemsSettings

_LOOKUP_TTL = 300
"""Seconds for which the answer for one item may be cached."""

_TIMES = (*RANGE, Comparison.NULL)


def _page_sizes() -> tuple[int, int]:
    settings = pegboard.get_settings(ItemsSettings)
    return settings.page_size, settings.max_page_size


def _limits() -> TransferLimits:
    settings = pegboard.get_settings(ItemsSettings)
    return TransferLimits(
        batch=settings.import_batch,
        row_bytes=settings.import_row_bytes,
        bad_rows_shown=settings.import_bad_rows_shown,
    )


resource = pegboard.Resource(
    "items",
    __name__,
    Item,
    ItemSchema,
    noun="item",
    description="Things with a name.",
    operations=CRUD | {Operation.MERGE, Operation.BULK_CREATE},
    sort=[Item.id, Item.name, Item.created_at, Item.updated_at],
    search=[Item.name, Item.description],
    filters=[
        Filter(Item.name, EQUALITY),
        Filter(Item.created_at, _TIMES),
        Filter(Item.updated_at, _TIMES),
    ],
    sparse=True,
    export=True,
    page_sizes=_page_sizes,
    ttl=_LOOKUP_TTL,
)

commands = pegboard.transfer_commands(resource, samples=samples, limits=_limits)
