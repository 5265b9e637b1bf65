import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp, RunCLI
from pegboard.testing.services import clean_environment, run_pegboard


@pytest.fixture
def installed(plugin_folder: PluginFolder) -> PluginFolder:
    """Two plugins, `notes` and `tags`, the second of which requires the first."""
    for name, requires in (("notes", ()), ("tags", ("example-notes",))):
        plugin_folder.add_table(
            name,
            columns="title: Mapped[str] = mapped_column(sqlalchemy.String(20))",
            revision=False,
            requires=("pegboard", *requires),
        )
    return plugin_folder


@pytest.fixture
def app(installed: PluginFolder, make_app: MakeApp, database_url: str) -> Flask:
    """An app of both plugins."""
    return make_app(plugins=["notes", "tags"], upgrade=False, DATABASE_URL=database_url)


@pytest.fixture
def run(cli: RunCLI, app: Flask) -> Callable[[str], Result]:
    """Run a command of the group `db`; fail unless it exits with 0."""

    def run(line: str) -> Result:
        result = cli("db", *line.split(), app=app)
        assert 0 == result.exit_code, result.output
        return result

    return run


Run = Callable[[str], Result]


@pytest.mark.slow
def test_all_plugins_go_through_their_lives(run: Run) -> None:
    """The commands act on all plugins in order, and say on each line which one it is about."""
    assert ["notes", "tags"] == heads_of(run("migrate -m begin"))
    run("upgrade")
    assert ["notes", "tags"] == heads_of(run("current"))
    assert "tags: tags_0001 Begin (head)\n" in run("current").output
    assert "The models and the database agree.\n" == run("check").output
    assert "notes: no differences\ntags: no differences\n" == run("migrate -m again").output
    assert "notes: notes_0001 (head)\ntags: tags_0001 (head)\n" == run("heads").output
    assert "notes: <base> -> notes_0001 (head), Begin.\n" in run("history").output
    assert "(head) (current)" in run("history -i -v").output
    assert "notes: Path: " in run("show").output
    assert ["tags", "notes"] == heads_of(run("downgrade"))
    assert "notes: no revision (newest: notes_0001)" in run("current").output
    run("stamp")
    assert ["notes", "tags"] == heads_of(run("current -v"))[::2]
    run("stamp base")


def heads_of(result: Result) -> list[str]:
    """Return what stands before the colon on each line."""
    return [line.partition(":")[0] for line in result.output.splitlines()]


@pytest.mark.slow
def test_one_plugin_is_meant_by_its_name(run: Run) -> None:
    """The first argument is a plugin, or its distribution, when it names one."""
    run("migrate notes -m begin")
    assert ["notes"] == heads_of(run("upgrade notes"))
    assert ["notes"] == heads_of(run("revision notes -m second --rev-id two"))
    assert "notes: two Second (applied)\n" == run("upgrade notes +1").output
    assert "notes: two Second (downgraded)\n" == run("downgrade notes -1").output
    assert "notes: two Second (applied)\n" == run("upgrade notes two").output
    assert ["notes"] * 2 == heads_of(run("history notes"))
    assert ["notes"] == heads_of(run("current notes"))
    assert ["notes"] == heads_of(run("current Example.Notes"))
    assert ["notes"] == heads_of(run("heads notes"))
    assert "" == run("branches notes").output
    assert "notes: Rev: notes_0001\n" in run("show example-notes notes_0001").output
    assert "notes: stamped as notes_0001\n" == run("stamp notes notes_0001").output
    run("downgrade notes base")
    run("upgrade notes two")
    assert "notes: no differences\n" == run("revision notes --autogenerate").output


@pytest.mark.parametrize(
    "line, message",
    [
        ("upgrade nots", "nots names no history; these are there: notes, tags"),
        ("upgrade notes nope", "notes: there is no revision nope"),
        ("upgrade notes head more", "more than a plugin and a revision: more"),
        ("current nots", "nots names no history"),
        ("check", "notes: add table notes [PB_DATABASE_DIFFERS]\n"),
        ("edit", "no name names no history"),
    ],
)
def test_a_mistake_is_explained(cli: RunCLI, app: Flask, line: str, message: str) -> None:
    """What cannot be done is said in one line, without a trace, and the exit status tells."""
    result = cli("db", *line.split(), app=app)

    assert message in result.output
    assert 0 != result.exit_code
    assert "Traceback" not in result.output


def test_the_sql_can_be_had(run: Run) -> None:
    """With --sql nothing is run, and what would be is printed."""
    run("migrate -m begin")

    up = run("upgrade notes --sql").output
    down = run("downgrade notes --sql notes_0001:base").output
    stamped = run("stamp notes --sql").output

    assert "CREATE TABLE notes" in up
    assert "CREATE TABLE tags" in run("upgrade --sql").output
    assert "DROP TABLE notes" in down
    assert "INSERT INTO alembic_version_notes" in stamped
    assert "notes: no revision (newest: notes_0001)" in run("current").output


def path_of(result: Result) -> Path:
    """Return the file that a command has written."""
    return Path(result.output.partition("wrote ")[2].partition(".py")[0] + ".py")


UNUSABLE = {
    "class upgrade: ...": "upgrade of the revision notes_0001 is no plain function",
    "async def upgrade(): ...": "upgrade of the revision notes_0001 is no plain function",
    "def upgrade(): yield": "upgrade of the revision notes_0001 is no plain function",
    "def upgrade(engine): ...": "upgrade of the revision notes_0001 is no plain function",
    "upgrade = None": "revision notes_0001 has no upgrade()",
    "async def downgrade(): ...": "downgrade of the revision notes_0001 is no plain function",
    "downgrade = None": "revision notes_0001 has no downgrade()",
}


@pytest.mark.parametrize("text, message", UNUSABLE.items())
def test_a_step_that_would_not_be_run_is_refused(
    cli: RunCLI, app: Flask, run: Run, text: str, message: str
) -> None:
    """With its file and line, before anything is applied, undone or printed."""
    written = path_of(run("migrate notes -m begin"))
    run("upgrade notes")
    written.write_text(f"{written.read_text()}\n{text}\n")
    number = len(written.read_text().splitlines())

    for line in ("upgrade", "upgrade --sql", "downgrade", "downgrade --sql"):
        result = cli("db", *line.split(), app=app)

        assert 1 == result.exit_code
        assert "" == result.stdout
        assert f"Error: notes: the {message}" in result.stderr
        assert f", at example_notes/migrations/{written.name}:{number} " in result.stderr


READS = "op.get_bind().scalar(sa.text('SELECT 1'))"


@pytest.mark.parametrize("failure", ["raise SystemExit(0)", "1 / 0", READS])
def test_the_sql_of_a_revision_that_fails_cannot_be_had(
    cli: RunCLI, app: Flask, run: Run, failure: str
) -> None:
    """Nothing is printed that could be run in part; the file is named."""
    written = path_of(run("revision notes -m begin"))
    written.write_text(f"{written.read_text()}\ndef upgrade():\n    {failure}\n")

    result = cli("db", "upgrade", "--sql", app=app)

    assert 1 == result.exit_code
    assert "" == result.stdout
    assert "Error: notes: a revision cannot be written as SQL.\n" in result.stderr
    assert f"  file: {written}, line " in result.stderr
    assert ("hint: There is no database while SQL is printed." in result.stderr) is (
        failure == READS
    )


def test_the_sql_of_a_table_that_is_altered_cannot_be_had_of_sqlite(
    cli: RunCLI, app: Flask, run: Run, database_url: str
) -> None:
    """It is copied there, and looked at before; what to do is said in place of Alembic's advice."""
    written = path_of(run("revision notes -m begin"))
    body = """
def upgrade():
    with op.batch_alter_table("notes") as batch:
        batch.alter_column("title", existing_type=sa.String(20), nullable=True)
"""
    written.write_text(f"{written.read_text()}{body}")

    result = cli("db", "upgrade", "--sql", app=app)

    if database_url.startswith("sqlite"):
        assert 1 == result.exit_code
        assert "" == result.stdout
        assert "hint: Run pegboard db upgrade, or let DATABASE_URL name a Post" in result.stderr
        assert "copy_from" not in result.stderr
    else:
        assert "ALTER TABLE notes ALTER COLUMN title DROP NOT NULL;" in result.stdout


def test_branches_are_shown_and_merged(run: Run) -> None:
    """Two newest revisions are seen, and united by one command."""
    run("revision notes -m one")
    run("revision notes -m left")
    run("revision notes -m right --head notes_0001 --splice")

    assert "notes: notes_0001 (branchpoint)" in run("branches").output
    assert 2 == run("heads notes").output.count("(head)")
    assert "notes_0004_unite.py" in run("merge notes -m unite").output
    assert "notes: notes_0004 (head)\n" == run("heads notes").output


def test_the_folder_of_a_deployment_is_made(
    run: Run, cli: RunCLI, make_app: MakeApp, app: Flask, tmp_path: Path
) -> None:
    """`init` makes the site's own history, once, and it is then one of all."""
    run("init")
    assert {"README", "env.py", "script.py.mako", "versions"} == {
        path.name for path in (tmp_path / "alembic").iterdir()
    }
    again = cli("db", "init", app=app)
    assert 1 == again.exit_code
    assert "is there already" in again.output

    other = make_app()
    assert "site: already at head" in cli("db", "upgrade", app=other).output


def test_a_revision_is_opened_in_an_editor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`edit` hands the file of a revision to the editor of the environment."""
    run("revision notes -m one")
    empty = [sys.executable, "-c", "import sys; open(sys.argv[1], 'w')"]
    monkeypatch.setenv("EDITOR", shlex.join(empty))

    run("edit notes")

    assert "" == run("history tags").output


def test_arguments_reach_the_environment(run: Run, tmp_path: Path) -> None:
    """-x hands something to an env.py of the deployment, before or after the command."""
    run("init")
    seen = tmp_path / "seen"
    (tmp_path / "alembic" / "env.py").write_text(
        "from pathlib import Path\n"
        "from alembic import context\n"
        "from pegboard.migrations import run_environment\n"
        f"Path({str(seen)!r}).write_text(str(context.get_x_argument()))\n"
        "run_environment()\n"
    )
    run("migrate notes -m one")

    assert "['a=1', 'b=2']" == (run("-x a=1 upgrade notes -x b=2"), seen.read_text())[1]


@pytest.mark.slow
def test_flask_and_pegboard_have_the_same_commands(
    installed: PluginFolder, run: Run, database_url: str, tmp_path: Path
) -> None:
    """`flask db` is the same group, found by its entry point."""
    run("migrate -m begin")

    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "pegboard", "db", "upgrade", "notes"],
        cwd=tmp_path,
        env=clean_environment(
            {
                "DATABASE_URL": database_url,
                "PEGBOARD_PLUGINS": "notes,tags",
                "PEGBOARD_LOG_LEVEL": "WARNING",
                "PYTHONPATH": str(installed.path),
            }
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ("notes: notes_0001 Begin (applied)\n", 0) == (done.stdout, done.returncode), done.stderr


@pytest.mark.parametrize(
    "path, hint",
    [
        ("missing/x.db", "The folder of the file that DATABASE_URL names does not exist: create"),
        ("", "Let this user write the file that DATABASE_URL names"),
        ("text.db", "is it a SQLite database"),
    ],
)
def test_a_file_that_cannot_be_the_database_is_explained(
    make_app: MakeApp, cli: RunCLI, tmp_path: Path, path: str, hint: str
) -> None:
    """By what is wrong with it: no server has to be started, and nothing percent-encoded."""
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    url = f"sqlite:///{tmp_path}/{path}"
    app = make_app(plugins=[], upgrade=False, DATABASE_URL=url)
    result = cli("db", "upgrade", app=app, env={"DATABASE_URL": url})
    assert 1 == result.exit_code
    assert hint in " ".join(result.output.split())
    assert "Start the database" not in result.output


@pytest.mark.slow
def test_a_migration_needs_no_secret_of_the_service(
    plugin_folder: PluginFolder, tmp_path: Path
) -> None:
    """Production refuses to serve without a key, and migrates all the same."""
    settings = {
        "PEGBOARD_ENV": "production",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'pegboard.db'}",
        "PEGBOARD_PLUGINS": "notes",
        "PEGBOARD_READY_REQUIRES": "redis",  # which has no address here
        "PYTHONPATH": str(plugin_folder.path),
    }
    plugin_folder.add_table("notes")
    missing = {
        f"{name}_FILE": "/no/such/file"
        for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "REDIS_URL", "PEGBOARD_TLS_KEY_PASSWORD")
    }
    for secret in ({}, {"SECRET_KEY": "short"}, missing):
        done = run_pegboard("db", "upgrade", directory=tmp_path, **settings, **secret)
        assert 0 == done.returncode, done.stdout
    refused = run_pegboard("serve", "--port", "0", directory=tmp_path, **settings)
    assert "PB_PRODUCTION_SECRET_KEY" in refused.stdout
    remove = ("plugins", "remove", "notes", "--yes")
    removed = run_pegboard(*remove, directory=tmp_path, **settings, **missing)
    assert 0 == removed.returncode, removed.stdout
