"""The commands `items import`, `export` and `seed`, on both databases."""

import contextlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
from datetime import datetime
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import OperationalError

import pegboard
from pegboard.resources import Listener
from pegboard_items.models import Item, table
from pegboard_items.seed import samples
from pegboard_items.views import resource


@pytest.fixture
def run(request):
    """Run a command, on `app` or another app; returns click's result."""

    def run(*arguments: str, app: Any = None, **options: Any) -> Any:
        app = app or request.getfixturevalue("app")
        return app.test_cli_runner().invoke(args=["items", *map(str, arguments)], **options)

    return run


@pytest.fixture
def clear(app):
    """Delete all rows."""

    def clear() -> None:
        with app.app_context(), pegboard.db.engine.begin() as connection:
            connection.execute(delete(table))

    return clear


def names(rows: list[dict[str, Any]]) -> list[str]:
    """The names of the rows."""
    return [row["name"] for row in rows]


def lines(*rows: Any) -> str:
    """A file of JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


# Import


def test_import_reads_json_lines(run, read_rows, tmp_path):
    """Names are trimmed as by the API; times are now unless the file says."""
    file = tmp_path / "items.jsonl"
    file.write_text(
        lines(
            {"name": " Hammer ", "description": "one\ntwo"},
            {"id": 77, "name": "Saw", "created_at": "2024-01-01T00:00:00", "updated_at": None},
            {"name": "Plane", "created_at": "2024-01-01T01:00:00.5+01:00"},
        )
    )
    before = pegboard.utcnow()

    result = run("import", file)

    assert (0, "3 items imported.\n", "") == (result.exit_code, result.stdout, result.stderr)
    hammer, saw, plane = read_rows()
    assert (1, "Hammer", "one\ntwo") == (hammer["id"], hammer["name"], hammer["description"])
    assert before <= hammer["created_at"] == hammer["updated_at"] <= pegboard.utcnow()
    assert (2, datetime(2024, 1, 1), None) == (saw["id"], saw["created_at"], saw["updated_at"])  # noqa: DTZ001
    assert datetime(2024, 1, 1, 0, 0, 0, 500_000) == plane["created_at"]  # noqa: DTZ001
    assert before <= plane["updated_at"]


def test_import_reads_csv(run, read_rows, tmp_path):
    """With the columns that its first line names."""
    file = tmp_path / "items.csv"
    file.write_bytes('\ufeffdescription,name\r\n"one\r\ntwo",Hämmer\r\n,Saw\r\n'.encode())

    assert 0 == run("import", file).exit_code
    assert [("Hämmer", "one\r\ntwo"), ("Saw", None)] == [
        (row["name"], row["description"]) for row in read_rows()
    ]


@pytest.mark.parametrize(
    "form, data", [("jsonl", '{"name": "Hammer"}\n'), ("csv", "name\nHammer\n")]
)
def test_import_reads_standard_input(run, read_rows, form, data):
    """Whose format may be said, and is known by its first bytes."""
    assert 0 == run("import", "-", input=data).exit_code
    assert 0 == run("import", "-", "--format", form, input=data).exit_code
    assert ["Hammer", "Hammer"] == names(read_rows())


BAD = lines(
    {"name": "Hammer"},
    {"name": ""},
    {"name": "Saw", "color": "red"},
    {"name": "Plane", "created_at": "yesterday"},
    [1],
    None,
    {"name": "a\0b"},
    {"name": "\ud800"},
    {"name": "Chisel", "description": 5},
)


def test_import_takes_all_rows_or_none(run, read_rows):
    """Every bad row is named by its line, and the exit status says so."""
    result = run("import", "-", "--format", "jsonl", input=BAD + "{\n" + lines({"name": "Rasp"}))

    assert 1 == result.exit_code
    assert [] == read_rows()
    complaints = result.stderr.splitlines()
    assert [f"line {number}:" for number in range(2, 11)] == [
        " ".join(complaint.split()[:2]) for complaint in complaints[:-1]
    ]
    assert "line 3: color: Unknown field." == complaints[1]
    assert "Error: 9 bad rows, so nothing was imported." == complaints[-1]
    assert "0 items imported.\n" == result.stdout


def test_import_takes_the_good_rows_when_told_to(run, read_rows):
    """The exit status still says that there were bad ones."""
    result = run(
        "import", "-", "--format", "jsonl", "--skip-bad", input=BAD + lines({"name": "Rasp"})
    )

    assert 1 == result.exit_code
    assert ["Hammer", "Rasp"] == names(read_rows())
    assert "2 items imported.\n" == result.stdout
    assert "Error: 8 bad rows." == result.stderr.splitlines()[-1]


def test_import_counts_the_bad_rows_that_it_does_not_show(make_app, run):
    """So many that an operator reads them."""
    app = make_app(plugins=["items"], ITEMS_IMPORT_BAD_ROWS_SHOWN=2)

    result = run("import", "-", "--format", "jsonl", input="x\n" * 50, app=app)

    assert ["line 1:", "line 2:", "... and", "Error: 50"] == [
        " ".join(line.split()[:2]) for line in result.stderr.splitlines()
    ]


def test_a_bad_row_behind_many_batches_undoes_them(make_app, database_url, run, read_rows):
    """All-or-nothing does not depend on the batch."""
    app = make_app(plugins=["items"], DATABASE_URL=database_url, ITEMS_IMPORT_BATCH=3)
    data = lines(*({"name": f"Item {number}"} for number in range(20)))

    assert 1 == run("import", "-", "--format", "jsonl", input=data + "x", app=app).exit_code
    assert [] == read_rows()
    assert 0 == run("import", "-", "--format", "jsonl", input=data, app=app).exit_code
    assert 20 == len(read_rows())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\n",
        b"\x00" * 5000,
        b'"',
        b"[" * 100_000,
        b'{"name": "a", "name": "b"}\n',
        b'{"name": ' + b"1" * 10_000 + b"}",
        b"x" * 3_000_000,
        b'name\n"' + (b"a" * 99 + b"\n") * 11_000,
        b"name\n\xff\n",
        b"name\na\x00b\n",
        b"",
    ],
    ids=range(11),
)
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_import_never_shows_a_traceback(run, read_rows, form, data):
    """Whatever it is fed, it complains in a line."""
    result = run("import", "-", "--format", form, input=data)

    assert result.exit_code in {0, 1}
    assert isinstance(result.exception, SystemExit | None)
    assert "Traceback" not in result.output
    assert (0 == result.exit_code) == (form == "jsonl" and data == b"")
    assert [] == read_rows()


def test_import_says_when_there_is_no_such_file(run, app, tmp_path):
    """As every command does."""
    result = run("import", tmp_path / "absent.csv")

    assert 2 == result.exit_code
    assert "does not exist" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("import", "-", "--format", "jsonl"), ("export",), ("seed",)],
    ids=lambda arguments: arguments[0],
)
def test_a_command_says_when_the_tables_are_not_made_yet(make_app, database_url, run, arguments):
    """And how to make them."""
    app = make_app(plugins=["items"], DATABASE_URL=database_url, upgrade=False)

    result = run(*arguments, input=lines({"name": "Hammer"}), app=app)

    assert 1 == result.exit_code
    assert result.stderr.startswith("Error: items: the database is at no revision, the newest is ")
    assert "[PB_DATABASE_BEHIND]\n    Run pegboard db upgrade" in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.mark.slow
def test_an_import_is_not_begun_twice(make_app, database_url, run, read_rows):
    """What was read is gone: when the database gives way to another, the operator is told."""

    class Rival:
        name = "rival"

        @pegboard.hookimpl
        def pegboard_items_before_write(self) -> None:
            cause = sqlite3.OperationalError("database is locked")
            cause.sqlite_errorcode = sqlite3.SQLITE_BUSY
            statement = "INSERT"
            raise OperationalError(statement, {}, cause)

    app = make_app(plugins=["items", Rival()], DATABASE_URL=database_url)

    result = run("import", "-", "--format", "jsonl", input=lines({"name": "Hammer"}), app=app)

    assert 1 == result.exit_code
    assert "Run it again" in result.stderr
    assert [] == read_rows()


@pytest.mark.slow
def test_an_import_may_take_its_time(make_app, postgres_url, run):
    """The limit on statements is for requests."""

    class Slow:
        name = "slow"

        @pegboard.hookimpl
        def pegboard_items_before_write(self) -> None:
            pegboard.db.session.execute(text("SELECT pg_sleep(0.5)"))

    app = make_app(
        plugins=["items", Slow()], DATABASE_URL=postgres_url, DATABASE_STATEMENT_TIMEOUT=0.2
    )

    result = run("import", "-", "--format", "jsonl", input=lines({"name": "Hammer"}), app=app)

    assert "1 items imported.\n" == result.stdout
    assert 503 == app.test_client().post("/api/items/", json={"name": "Saw"}).status_code


@pytest.mark.slow
def test_import_asks_and_tells_other_plugins(make_app, database_url, run, read_rows):
    """For every row; one that is refused is a bad row; nothing is announced that is undone."""
    told: list[tuple[str, int, str]] = []

    class Guard:
        name = "guard"

        @pegboard.hookimpl
        def pegboard_items_before_write(self, change: Any) -> None:
            if change.item.name == "Anvil":
                pegboard.abort(409, "The anvil stays.")
            change.item.name += "!"

        @pegboard.hookimpl
        def pegboard_items_after_commit(self, changes: Any) -> None:
            assert len(changes) <= 2
            told.extend((one.kind, one.item.id, one.item.name) for one in changes)

    app = make_app(plugins=["items", Guard()], DATABASE_URL=database_url, ITEMS_IMPORT_BATCH=2)
    data = lines(*({"name": name} for name in ("Hammer", "Saw", "Anvil", "Plane")))

    refused = run("import", "-", "--format", "jsonl", input=data, app=app)
    assert (1, []) == (refused.exit_code, told)
    assert "line 3: The anvil stays." == refused.stderr.splitlines()[0]

    run("import", "-", "--format", "jsonl", "--skip-bad", input=data, app=app)
    rows = read_rows()
    assert ["Hammer!", "Saw!", "Plane!"] == names(rows)
    assert [("created", row["id"], row["name"]) for row in rows] == told


def test_a_listener_that_refuses_a_batch_ends_the_import(make_app, database_url, run, read_rows):
    """The reason is shown; nothing is imported, also where bad rows are skipped."""

    class Auditor:
        name = "auditor"

        @pegboard.hookimpl
        def pegboard_listeners(self) -> list[Listener]:
            return [Listener([Item], written=self.audit)]

        def audit(self, changes: Any) -> None:
            if any(one.row.id > 2 for one in changes):
                pegboard.abort(409, "Two are enough.")

    app = make_app(plugins=["items", Auditor()], DATABASE_URL=database_url, ITEMS_IMPORT_BATCH=2)
    data = lines(*({"name": name} for name in ("Hammer", "Saw", "Plane")))

    refused = run("import", "-", "--format", "jsonl", "--skip-bad", input=data, app=app)

    assert 1 == refused.exit_code
    assert "Error: A plugin refused the items: Two are enough." in refused.stderr
    assert [] == read_rows()


# Export


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_import_is_the_inverse_of_export(run, write_rows, read_rows, clear, tmp_path, form):
    """Everything but the ids comes back: times, no description, an empty one, lines, quotes."""
    write_rows(
        {"name": "Hammer", "description": None, "created_at": None, "updated_at": None},
        {"name": "Säw, big", "description": ""},
        {"name": '"Plane"', "description": ' one\r\n\ttwo,"three"\n\U0001f528 '},
        {"name": "\\N", "description": "null", "created_at": datetime(2024, 1, 1)},  # noqa: DTZ001
    )
    before = read_rows()
    file = tmp_path / f"items.{form}"

    assert 0 == run("export", file).exit_code
    clear()
    assert [] == read_rows()
    assert 0 == run("import", file).exit_code

    def without_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in row.items() if key != "id"} for row in rows]

    assert without_id(before) == without_id(read_rows())


def test_export_writes_json_lines_to_standard_output(run, write_rows, client):
    """Each line is what the API shows."""
    write_rows({"name": "Hammer"}, {"name": "Säw"})

    result = run("export")

    assert client.get("/api/items/").json == [
        json.loads(line) for line in result.stdout.splitlines()
    ]


def test_a_failed_export_leaves_the_old_file(make_app, sqlite_url, run, tmp_path):
    """A file has its name once it is whole."""
    app = make_app(plugins=["items"], DATABASE_URL=sqlite_url, upgrade=False)
    file = tmp_path / "items.csv"
    file.write_text("old")

    assert 1 == run("export", file, app=app).exit_code
    assert ["items.csv"] == [path.name for path in tmp_path.iterdir() if "db" not in path.name]
    assert "old" == file.read_text()


def test_export_needs_a_format(run, app, tmp_path):
    """From the name or from the option."""
    assert 2 == run("export", tmp_path / "items.txt").exit_code
    assert 0 == run("export", tmp_path / "items.txt", "--format", "csv").exit_code


# Seed


def test_seed_makes_the_same_items_each_time(run, read_rows):
    """As many as are wanted, no two with one name, valid for the API."""
    assert "40 sample items made.\n" == run("seed").stdout
    first = read_rows()
    run("seed", "--count", "3")

    assert 40 == len({row["name"] for row in first})
    assert names(first)[:3] == names(read_rows())[40:]


def test_seed_fills_only_an_empty_table_when_told_so(run, read_rows):
    """So a service may seed at each start."""
    assert "5 sample items made.\n" == run("seed", "--count", "5", "--if-empty").stdout
    assert "0 sample items made.\n" == run("seed", "--count", "5", "--if-empty").stdout
    assert 5 == len(read_rows())


def test_samples_are_good_items():
    """However many: no two with one name, each as the API would take it."""
    made = list(islice(samples(), 1000))

    assert 1000 == len({values["name"] for values in made})
    assert made == resource.input(many=True).load(made)


# Many


@pytest.fixture
def run_alone(database_url, make_app, tmp_path):
    """Run a command in a process of its own; returns its output and its peak memory."""
    make_app(plugins=["items"], DATABASE_URL=database_url)

    def run_alone(*arguments: Any, **options: Any) -> tuple[str, int]:
        command = [sys.executable, "-m", "flask", "--app", "pegboard", "items"]
        environment = os.environ | {
            "DATABASE_URL": database_url,
            "PEGBOARD_ENV": "development",
            "PEGBOARD_PLUGINS": "items",
        }
        with subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env=environment,
            **options,
        ) as process:
            assert process.stdout is not None
            output = process.stdout.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert 0 == process.returncode
        return output, usage.ru_maxrss

    return run_alone


@pytest.mark.slow
def test_fifty_thousand_rows_in_flat_memory(run_alone, tmp_path):
    """What import and export hold does not grow with the file; all of it comes back."""
    few, many, exported = (tmp_path / f"{name}.jsonl" for name in ("few", "many", "exported"))
    for file, count in ((few, 100), (many, 50_000)):
        with file.open("w") as out:
            out.writelines(
                lines({"name": f"Package {number}", "description": "Für alle\n" + "x" * 1000})
                for number in range(count)
            )

    _, little = run_alone("import", few)
    output, peak = run_alone("import", many)
    _, export_peak = run_alone("export", exported)

    assert "50000 items imported.\n" == output
    assert peak < little * 1.25
    assert export_peak < little * 1.25
    with exported.open() as back:
        read = [json.loads(line)["name"] for line in back]
    assert [f"Package {number}" for number in (*range(100), *range(50_000))] == read


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_only(run_alone, tmp_path):
    """On standard error, by the bytes that were read."""
    file = tmp_path / "items.jsonl"
    file.write_text(lines(*({"name": f"Item {number}"} for number in range(3000))))

    terminal, end = pty.openpty()
    with open(terminal, "rb", buffering=0) as shown, (tmp_path / "quiet").open("w+b") as quiet:  # noqa: PTH123 - a descriptor
        run_alone("import", file, stderr=quiet)
        run_alone("import", file, stderr=end)
        os.close(end)
        seen = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := shown.read(1024):
                seen += piece
        quiet.seek(0)
        assert b"Importing" not in quiet.read()

    assert b"Importing" in seen
    assert b"100%" in seen
