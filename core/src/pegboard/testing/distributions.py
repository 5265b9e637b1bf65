"""Plugin distributions that a test writes; they are discovered as if they were installed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent, indent

__all__ = ["PluginFolder"]


_ONE_HOOK = "@pegboard.hookimpl\ndef pegboard_setup(): pass\n"


_TABLE = """
from pathlib import Path
import sqlalchemy
import sqlalchemy.orm
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(pegboard.Model, DeclarativeBase):
    pass

class {model}(Base):
    __tablename__ = "{table}"
{columns}

@pegboard.hookimpl
def pegboard_models():
    return Base

@pegboard.hookimpl
def pegboard_migrations():
    return Path(__file__).parent / "migrations"
"""
_REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{name}_0001", None

def upgrade():
    now = sa.func.current_timestamp()
    op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("created_at", sa.DateTime, server_default=now),
        sa.Column("updated_at", sa.DateTime, server_default=now), sqlite_autoincrement=True)
{upgrade}

def downgrade():
    op.drop_table("{table}")
"""


class PluginFolder:
    """A folder on the import path into which a test puts plugin distributions."""

    def __init__(self, path: Path) -> None:
        """Use an existing folder; the fixture `plugin_folder` puts it on the import path."""
        self.path = path
        """The folder that holds the distributions."""
        self.packages: list[str] = []
        """The import packages of the distributions written so far."""

    def add(  # noqa: PLR0913 - each has a default, and is given by name
        self,
        name: str,
        code: str = "",
        *,
        version: str = "1.0",
        requires: Sequence[str] = ("pegboard",),
        distribution: str | None = None,
        package: str | None = None,
        target: str | None = None,
    ) -> Path:
        """Write a distribution with one plugin.

        `code` is that of its module, by default one hook that does nothing.
        `requires` are requirement strings as in `pyproject.toml`; `target` is what the entry point
        names, by default the module. Returns the import package's folder.
        """
        distribution = distribution or f"example-{name}"
        package = package or distribution.replace("-", "_")
        module = self.path / package
        module.mkdir()
        (module / "__init__.py").touch()
        (module / "plugin.py").write_text(
            "import pegboard\n" + dedent(code or _ONE_HOOK), encoding="utf-8"
        )
        metadata = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (metadata / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(
            f"[pegboard.plugins]\n{name} = {target or f'{package}.plugin'}\n", encoding="utf-8"
        )
        self.packages.append(package)
        return module

    def add_table(
        self,
        name: str,
        *,
        table: str | None = None,
        columns: str = "",
        revision: bool = True,
        upgrade: str = "",
        requires: Sequence[str] = ("pegboard",),
    ) -> Path:
        """Write a distribution with a plugin that has one table, by default of the plugin's name.

        `columns` is code in the class of the model, which has an id and two times without it.
        `revision` says whether there is a revision, which makes the table without `columns` and
        then runs the code `upgrade`. Returns the import package's folder.
        """
        table = table or name
        model = table.title().replace("_", "")
        code = _TABLE.format(model=model, table=table, columns=indent(dedent(columns), "    "))
        module = self.add(name, code, requires=requires)
        (module / "migrations").mkdir()
        if revision:
            source = _REVISION.format(
                name=name, table=table, upgrade=indent(dedent(upgrade), "    ")
            )
            (module / "migrations" / f"{name}_0001.py").write_text(source, encoding="utf-8")
        return module


@contextmanager
def plugin_folder(path: Path) -> Iterator[PluginFolder]:
    """Put a folder on the import path for the time of a test."""
    folder = PluginFolder(path)
    sys.path.insert(0, str(path))
    try:
        yield folder
    finally:
        sys.path.remove(str(path))
        for name in list(sys.modules):
            if name.partition(".")[0] in folder.packages:
                del sys.modules[name]
