"""Refuse changes of audit entries in the database itself.

Revision audit_0002; written on 2026-11-29.
"""

from alembic import op

revision = "audit_0002"
down_revision = "audit_0001"
branch_labels = None
depends_on = None

REFUSAL = "The audit log is only ever added to."

SQLITE = {
    "audit_entries_keep_updated": "BEFORE UPDATE ON audit_entries",
    "audit_entries_keep_deleted": "BEFORE DELETE ON audit_entries",
    # REPLACE deletes the row that it is in the way of, and SQLite runs no trigger for that.
    "audit_entries_keep_replaced": "BEFORE INSERT ON audit_entries "
    "WHEN EXISTS (SELECT 1 FROM audit_entries WHERE id = NEW.id)",
}
"""The triggers, by name: when they refuse."""

FUNCTION = f"""CREATE FUNCTION audit_entries_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation';
END $$"""

POSTGRESQL = """CREATE TRIGGER audit_entries_keep
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_keep()"""


def upgrade() -> None:
    """Apply the revision."""
    if op.get_context().dialect.name == "sqlite":
        for name, event in SQLITE.items():
            op.execute(f"CREATE TRIGGER {name} {event} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END")
    else:
        op.execute(FUNCTION)
        op.execute(POSTGRESQL)


def downgrade() -> None:
    """Undo the revision."""
    if op.get_context().dialect.name == "sqlite":
        for name in SQLITE:
            op.execute(f"DROP TRIGGER {name}")
    else:
        op.execute("DROP TRIGGER audit_entries_keep ON audit_entries")
        op.execute("DROP FUNCTION audit_entries_keep()")
