"""What `pegboard plugins doctor` says of what is left in a database."""

import shutil

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

NOTES = """
from pathlib import Path
import sqlalchemy.orm

class Base(pegboard.Model, sqlalchemy.orm.DeclarativeBase):
    pass

class Note(Base):
    __tablename__ = "notes"

@pegboard.hookimpl
def pegboard_models():
    return Base

@pegboard.hookimpl
def pegboard_migrations():
    return Path(__file__).parent / "migrations"
"""
REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "notes_0001", None
branch_labels = depends_on = None

def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("created_at", sa.DateTime), sa.Column("updated_at", sa.DateTime))

def downgrade():
    op.drop_table("notes")
"""


def test_no_data_of_an_installed_plugin_is_to_be_dropped(
    make_app: MakeApp, plugin_folder: PluginFolder, sqlite_url: str
) -> None:
    """It is disabled, or was skipped because it is broken; that of an absent one may go."""
    module = plugin_folder.add("notes", NOTES)
    (module / "migrations").mkdir()
    (module / "migrations" / "notes_0001.py").write_text(REVISION)
    make_app(plugins=["notes"], DATABASE_URL=sqlite_url)

    runner = make_app(plugins=[], DATABASE_URL=sqlite_url).test_cli_runner()
    done = runner.invoke(args=["plugins", "doctor"])
    assert 1 == done.exit_code
    assert "history notes: its plugin is installed, and not active\n" in done.stdout
    assert "table notes: belongs to no active plugin\n" in done.stdout
    assert done.stderr.startswith("Drop nothing: pegboard plugins list says why")

    for metadata in plugin_folder.path.glob("example_notes-*.dist-info"):
        shutil.rmtree(metadata)
    done = runner.invoke(args=["plugins", "doctor"])
    assert "history notes: its plugin is absent\n" in done.stdout
    assert done.stderr.startswith("Activate the plugin again, or drop its data")
