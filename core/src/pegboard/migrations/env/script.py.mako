<%
    import json

    def code(text):
        lines = (text or "").splitlines()
        kept = [line for line in lines if line.strip() != "pass" and "# ###" not in line]
        return "\n".join(kept).strip()

    def literal(value):
        return json.dumps(value) if isinstance(value, str) else repr(value)

    up, down = code(upgrades), code(downgrades)
    summary = message[:1].upper() + message[1:].rstrip(".")
    after = f", after {down_revision}" if down_revision else ""
%>"""${summary}.

Revision ${up_revision}${after}; written on ${create_date.date()}.
"""

% if "sa." in up + down or not (up or down or isinstance(down_revision, (list, tuple))):
import sqlalchemy as sa
% endif
from alembic import op
% if imports:
${imports}
% endif

revision = ${literal(up_revision)}
down_revision = ${literal(down_revision)}
branch_labels = ${literal(branch_labels)}
depends_on = ${literal(depends_on)}


def upgrade() -> None:
    """Apply the revision."""
% if up:
    ${up}
% endif


def downgrade() -> None:
    """Undo the revision."""
% if down:
    ${down}
% endif
