"""The resource `/api/audit/`, which is only read, and only by some."""

from flask import request
from marshmallow import Schema, fields

import pegboard
from pegboard.clients import client_key, client_of
from pegboard.resources import EQUALITY, RANGE, Filter, Moment, Operation
from pegboard_audit.models import Entry
from pegboard_audit.settings import AuditSettings


class EntrySchema(Schema):
    """A row that was written, or a statement that has written rows."""

    id = fields.Integer(dump_only=True)
    at = Moment(dump_only=True, attribute="created_at")
    who = fields.String(dump_only=True)
    kind = fields.String(dump_only=True)
    table = fields.String(dump_only=True, attribute="table_name")
    key = fields.String(dump_only=True, attribute="row_key")
    before = fields.Dict(keys=fields.String(), dump_only=True, allow_none=True)
    after = fields.Dict(keys=fields.String(), dump_only=True, allow_none=True)


class Entries(pegboard.Resource[Entry]):
    """Entries, for the clients in the setting `AUDIT_READERS`."""

    def permit_read(self, operation: Operation, row: Entry | None = None) -> None:
        """Let the readers pass."""
        readers = map(client_key, pegboard.get_settings(AuditSettings).readers)
        if client_of(request.environ) not in readers:
            pegboard.abort(403, "The audit log is not for you.")


entries = Entries(
    "audit",
    __name__,
    Entry,
    EntrySchema,
    noun="audit entry",
    description="What was written, by whom.",
    operations={Operation.LIST, Operation.GET},
    sort=[Entry.id],
    filters=[
        Filter(Entry.table_name, EQUALITY),
        Filter(Entry.row_key, EQUALITY),
        Filter(Entry.who, EQUALITY),
        Filter(Entry.kind, EQUALITY),
        Filter(Entry.created_at, RANGE),
    ],
    export=True,
)
