"""The resource `/api/documents/`, of which each tenant has its own rows."""

from marshmallow import Schema, fields

from pegboard.resources import CRUD, EQUALITY, Filter, Line, Moment, Operation, Text
from pegboard_tenants.models import Document
from pegboard_tenants.ownership import TenantResource


class DocumentSchema(Schema):
    """A document; whose it is, its key says."""

    id = fields.Integer(dump_only=True)
    title = Line(required=True, max_length=100)
    text = Text(load_default=None, allow_none=True)
    created_at = Moment(dump_only=True)


documents = TenantResource(
    "documents",
    __name__,
    Document,
    DocumentSchema,
    noun="document",
    description="The texts of a tenant.",
    operations=CRUD | {Operation.MERGE, Operation.BULK_CREATE},
    sort=[Document.id, Document.title],
    search=[Document.title, Document.text],
    filters=[Filter(Document.title, EQUALITY)],
    sparse=True,
    export=True,
)
