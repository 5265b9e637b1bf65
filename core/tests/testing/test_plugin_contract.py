"""Each rule of `PluginContract` fails for a plugin that breaks it, and says what to do."""

import os
import resource
import signal
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent

import pytest

from pegboard.plugins import installed_plugins
from pegboard.testing.broken_rules import breaks
from pegboard.testing.contracts import PluginContract
from pegboard.testing.contracts.plugins.source import Source, Wheel, run_probe
from pegboard.testing.distributions import PluginFolder
from pegboard.testing.fixtures import MakeApp

ALONE = "test_it_starts_alone"
BESIDE = "test_it_starts_beside_every_installed_plugin"
TWO = "test_it_works_in_two_apps_at_once"
KEEPS = "test_it_keeps_nothing_of_an_app"
FORGOTTEN = "test_an_app_that_is_not_used_is_forgotten"
IMPORT = "test_its_import_asks_no_server"
PROCESS = "test_it_leaves_the_process_as_it_is"
FORK = "test_it_works_after_a_fork"
SETTINGS = "test_its_settings_are_documented"
HOOKS = "test_its_hooks_are_documented_and_used"
FAILURES = "test_its_failures_are_named"
REMOVAL = "test_its_removal_leaves_nothing"
WHEEL = "test_it_installs_from_its_wheel"


class Written:
    """A plugin with the code of a subclass."""

    code = ""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Write the plugin."""
        plugin_folder.add("notes", self.code)
        return "notes"


@pytest.mark.slow
class TestNotes(PluginContract):
    """A plugin that keeps the contract, beside another that comes before it or after it."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """It has a table, a setting, a hook and a failure of its own."""
        plugin_folder.add_table("labels")
        module = plugin_folder.add_table("notes")
        with (module / "plugin.py").open("a", encoding="utf-8") as file:
            file.write(
                dedent('''
                import functools, logging, random, warnings
                from example_notes import plugin

                logger = logging.getLogger(__name__)
                random.Random(1).seed(2)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")

                @sqlalchemy.event.listens_for(Notes, "before_insert")
                def before_insert(mapper, connection, note):
                    pass

                @functools.cache
                def known(name):
                    return len(name)

                def need(pens):
                    if not pens:
                        raise ValueError("no pen")

                class Code(pegboard.ProblemCode):
                    NO_PEN = ("NOTES_NO_PEN", "There is no pen.", "there is none", "Buy one.")

                class NotesSettings(pegboard.Settings):
                    pens: int = pegboard.setting(1, doc="How many pens there are.")

                @pegboard.hookspec
                def pegboard_notes_pens(app):
                    """Return more pens."""

                @pegboard.hookimpl
                def pegboard_hookspecs():
                    return plugin

                @pegboard.hookimpl
                def pegboard_settings():
                    return NotesSettings

                @pegboard.hookimpl
                def pegboard_setup(app):
                    pens = pegboard.get_registry(app).hook.pegboard_notes_pens(app=app)
                    app.extensions["notes"] = pens
                    app.extensions["known"] = known(app.name)
                    try:
                        need(pens)
                    except ValueError:
                        logger.debug("no pen")
                    if not pegboard.get_settings(NotesSettings, app).pens:
                        problem = pegboard.Problem(Code.NO_PEN, "no pen", Code.NO_PEN.hint)
                        raise pegboard.StartupError([problem])
                ''')
            )
        return "notes"


@breaks(PluginContract, ALONE, "notes alone: an app with notes answers /health/ready by 503")
class TestNotReady(Written):
    """Its own check fails."""

    code = """
        def check():
            raise pegboard.NotReadyError("no pen")

        @pegboard.hookimpl
        def pegboard_health_checks():
            return [pegboard.HealthCheck("pen", check)]
    """


@breaks(PluginContract, ALONE, "an app with notes does not start")
class TestNoStart(Written):
    """It needs a setting, which the tests do not give."""

    code = """
        class NotesSettings(pegboard.Settings):
            pens: int = pegboard.setting(doc="How many pens there are.")

        @pegboard.hookimpl
        def pegboard_settings():
            return NotesSettings
    """


class Beside:
    """Two plugins, of which one fails when it comes at another place."""

    place = ""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Labels say when they are set up; notes look whether they were."""
        plugin_folder.add(
            "labels",
            """
            @pegboard.hookimpl
            def pegboard_setup(app):
                app.extensions["labels"] = 1
                app.extensions["set up"] = [*app.extensions.get("set up", []), "labels"]
            """,
        )
        plugin_folder.add(
            "notes",
            f"""
            @pegboard.hookimpl
            def pegboard_setup(app):
                names = {{one.name for one in pegboard.get_registry(app).plugins}}
                if "labels" in names and ("labels" in app.extensions) {self.place}:
                    raise RuntimeError("at the wrong place")
            """,
        )
        return "notes"


@breaks(PluginContract, BESIDE, "notes before labels: the app does not start")
class TestNotFirst(Beside):
    """It needs what the other has made, and does not require it."""

    place = "is False"


@breaks(PluginContract, BESIDE, "labels before notes: the app does not start")
class TestNotSecond(Beside):
    """It does not bear what the other has made."""

    place = "is True"


@breaks(PluginContract, TWO, "does not start")
class TestOneAppOnly(Written):
    """It can be set up once."""

    code = """
        done = []

        @pegboard.hookimpl
        def pegboard_setup(app):
            if done:
                raise RuntimeError("there is an app")
            done.append(1)
    """


@breaks(PluginContract, TWO, "the first answers otherwise than one alone: /notes 500")
class TestLastAppOnly(Written):
    """Its view serves the app that was built last."""

    code = """
        import flask

        apps = []

        @pegboard.hookimpl
        def pegboard_setup(app):
            apps[:] = [app]

        @pegboard.hookimpl
        def pegboard_blueprints():
            blueprint = flask.Blueprint("notes", __name__)

            @blueprint.get("/notes")
            def notes():
                assert apps[0] is flask.current_app._get_current_object()
                return {}

            return [blueprint]
    """


@breaks(PluginContract, KEEPS, "building one changes example_notes.plugin.apps")
class TestListOfApps(Written):
    """A list in its module grows with each app."""

    code = """
        apps = {}

        @pegboard.hookimpl
        def pegboard_setup(app):
            apps[id(app)] = len(apps)
    """


@breaks(PluginContract, KEEPS, "for all apps: example_notes.plugin.pens is cached")
class TestCachedSetting(Written):
    """The setting of the first app is that of all."""

    code = """
        import functools

        class NotesSettings(pegboard.Settings):
            pens: int = pegboard.setting(1, doc="How many pens there are.")

        @pegboard.hookimpl
        def pegboard_settings():
            return NotesSettings

        @functools.cache
        def pens():
            return pegboard.get_settings(NotesSettings).pens

        @pegboard.hookimpl
        def pegboard_setup(app):
            with app.app_context():
                pens()
    """


@breaks(PluginContract, KEEPS, "for all apps: example_notes.plugin.title is cached")
class TestCachedConfiguration(Written):
    """It asks the app itself."""

    code = """
        import functools, flask

        @functools.lru_cache(maxsize=10)
        def title(language):
            return flask.current_app.config["API_TITLE"] + language

        @pegboard.hookimpl
        def pegboard_setup(app):
            with app.app_context():
                title("en")
    """


@breaks(PluginContract, FORGOTTEN, "notes keeps an app that is not used any more")
class TestKeptApp(Written):
    """A closure in another library's list keeps it."""

    code = """
        import atexit

        @pegboard.hookimpl
        def pegboard_setup(app):
            atexit.register(lambda: app.name)
    """


@pytest.mark.slow
@breaks(PluginContract, IMPORT, "the statement 'SELECT 1' at example_notes/plugin.py, line 5")
class TestQueryAtImport(Written):
    """It reads a database while it is imported."""

    code = """
        import sqlalchemy
        with sqlalchemy.create_engine("sqlite://").connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
    """


@pytest.mark.slow
@breaks(PluginContract, IMPORT, "socket.getaddrinfo")
class TestNetworkAtImport(Written):
    """It asks a server while it is imported, which there is not."""

    code = """
        import contextlib, socket
        with contextlib.suppress(OSError):
            socket.create_connection(("localhost", 9), timeout=0.1)
    """


@pytest.mark.slow
@breaks(PluginContract, PROCESS, "os.environ['NOTES'] was")
class TestChangedProcess(Written):
    """It sets a variable of all apps, which was another."""

    @pytest.fixture
    def plugin_environment(self) -> dict[str, str]:
        """The variable is there before."""
        return {"NOTES": "before"}

    code = """
        import os

        @pegboard.hookimpl
        def pegboard_setup(app):
            os.environ["NOTES"] = "after"
    """


@pytest.mark.slow
@breaks(
    PluginContract,
    PROCESS,
    "the variables of os.environ have os.environ['NOTES']; the handler of SIGHUP was "
    "<Handlers.SIG_DFL: 0> and is <Handlers.SIG_IGN: 1>; the mask of new files was ",
)
class TestProcessThatAnEarlierTestHasChanged(Written):
    """It is imported there as well, so that all is already as it makes it."""

    @pytest.fixture(autouse=True)
    def _changed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("NOTES", "after")
        mask, handler = os.umask(0o077), signal.signal(signal.SIGHUP, signal.SIG_IGN)
        yield
        os.umask(mask)
        signal.signal(signal.SIGHUP, handler)

    code = """
        import os, signal

        os.environ["NOTES"] = "after"
        os.umask(0o077)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    """


@pytest.mark.slow
@breaks(PluginContract, PROCESS, "and is /; sys.path was ")
class TestPathThatAnEarlierTestHasChanged(Written):
    """Where it is imported again, the folder and the path are already as it makes them."""

    @pytest.fixture(autouse=True)
    def _changed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend("/vendored")
        monkeypatch.chdir("/")

    code = """
        import os, sys

        os.chdir("/")
        if "/vendored" not in sys.path:
            sys.path.append("/vendored")
    """


FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1


@pytest.mark.slow
@breaks(PluginContract, PROCESS, "the limit RLIMIT_NOFILE was ")
class TestLimitThatAnEarlierTestHasChanged(Written):
    """Fewer files may be open already."""

    @pytest.fixture(autouse=True)
    def _changed(self) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    code = f"""
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, hard))
    """


@pytest.mark.slow
@breaks(PluginContract, PROCESS, "flask.app.Flask.make_response is another function")
class TestReplacedFunction(Written):
    """It changes Flask for all apps."""

    code = """
        import flask
        make_response = flask.Flask.make_response
        flask.Flask.make_response = lambda self, value: make_response(self, value)
    """


GLOBAL = """
import contextlib, logging, random, socket, threading, time, warnings
import flask.json.provider
import psycopg2
import sqlalchemy

with contextlib.suppress(psycopg2.OperationalError):
    psycopg2.connect("host=127.0.0.1 port=1 connect_timeout=1")
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"notes:1|c", ("127.0.0.1", 9))
threading.Thread(target=lambda: time.sleep(1000), name="pen", daemon=True).start()
flask.json.provider.DefaultJSONProvider.sort_keys = False
flask.Flask.response_class = type("Answer", (flask.Response,), {})
warnings.simplefilter("ignore")
random.seed(1)

@sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
def hear(*arguments):
    pass

@pegboard.hookimpl
def pegboard_setup(app):
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    threading.Thread(target=threading.Event().wait, name="nib", daemon=True).start()
    set_more()

import builtins, decimal, functools, json, mimetypes, os, pathlib, redis, shutil, subprocess, sys
subprocess.run(["true"], check=True)
pathlib.Path(__file__).with_name("ink").write_text("blue")
pathlib.Path(__file__).with_name("ink").unlink()
os.umask(0o037)
decimal.getcontext().prec = 3
logging.addLevelName(7, "INK")
mimetypes.add_type("ink/blue", ".notes-ink")
builtins.ink = "blue"
os.environ["INK"] = "blue"
sys.meta_path.append(type("Finder", (), {"find_spec": lambda *_: None})())
shutil.which = functools.partial(shutil.which, mode=0)
socket.getfqdn = lambda: "notes"
json.JSONEncoder.default = lambda self, value: "ink"
redis.Redis.ping = lambda self: True

import codecs, copyreg, csv, http.client, marshmallow, tempfile, urllib.request

def set_more():
    http.client.HTTPConnection.default_port = 81
    tempfile.tempdir = "/ink"
    marshmallow.Schema.TYPE_MAPPING[str] = marshmallow.fields.Integer
    marshmallow.fields.Field.default_error_messages["required"] = "ink"
    flask.Flask.ink = pegboard.Model.ink = "blue"
    csv.field_size_limit(10)
    csv.register_dialect("ink", delimiter=";")
    copyreg.pickle(complex, repr)
    sys.set_int_max_str_digits(5000)
    urllib.request.install_opener(None)
    codecs.register_error("ink", str)
    shutil.register_archive_format("ink", str)
    os.register_at_fork(after_in_child=str)
"""


@pytest.mark.slow
def test_all_that_is_shared_is_watched(plugin_folder: PluginFolder) -> None:
    """What is done at the import and in an app, each with its place."""
    plugin_folder.add("notes", GLOBAL)
    report = run_probe(
        {"plugin": "notes", "plugins": ["notes"], "config": {}, "patience": 0.0}, None, {}
    )
    place = "example_notes/plugin.py, line"
    ink = str(plugin_folder.path / "example_notes" / "ink")
    assert [
        f"a connection of psycopg2 at {place} 9",
        f"socket.sendto ('127.0.0.1', 9) at {place} 10",
        f"the thread 'pen' at {place} 11",
        f"a process, by subprocess.Popen 'true' at {place} 28",
        f"a file, by open {ink!r:.80} at {place} 29",
        f"a file, by os.remove {ink!r:.80} at {place} 30",
    ] == report["at_import"]
    expected = {
        "Engine has a listener of 'before_cursor_execute', which hears every app",
        "flask.app.Flask.response_class was <class 'flask.wrappers.Response'>",
        "flask.json.provider.DefaultJSONProvider.sort_keys was True and is False",
        "json.encoder.JSONEncoder.default is another function",
        f"random.seed is called ({place} 15)",
        "copyreg.dispatch_table has <class 'complex'>",
        "flask.app.Flask.ink is new, and is 'blue'",
        "http.client.HTTPConnection.default_port was 80 and is 81",
        "marshmallow.fields.Field.default_error_messages has 'required'",
        "marshmallow.schema.Schema.TYPE_MAPPING has <class 'str'>",
        "pegboard.database.models.Model.ink is new, and is 'blue'",
        f"codecs.register_error is called ({place} 56)",
        f"os.register_at_fork is called ({place} 58)",
        f"shutil.register_archive_format is called ({place} 57)",
        f"urllib.request.install_opener is called ({place} 55)",
        "redis.client.Redis.ping is example_notes.plugin.<lambda>",
        "shutil.which is another function",
        "socket.getfqdn is another function",
        f"the filters of warnings are set ({place} 14)",
        "the logger werkzeug was NOTSET with the handlers none",
        "the names of builtins have ink",
        "the names of log levels have INK=7",
        f"the thread 'nib' ({place} 24) goes on when its app is gone",
        "the types of files have .notes-ink=ink/blue",
        "the variables of os.environ have os.environ['INK']",
    }
    told = {one.partition(" and is <")[0].partition(" and is CRIT")[0] for one in report["changed"]}
    assert expected <= told
    rest = sorted(one.partition(" was ")[0] for one in told - expected)
    assert [
        *("sys.meta_path", "tempfile.tempdir", "the context of decimals"),
        *("the dialects of csv", "the digits of numbers in texts", "the longest field of csv"),
        "the mask of new files",
    ] == [one for one in rest if not one.startswith("redis.client.StrictRedis")]


SWITCHES = {
    "logging.disable()": "the level up to which logging is disabled was 0 and is 50",
    "logging.getLogger().addFilter(logging.Filter())": "and the filters Filter",
    "logging.raiseExceptions = False": "logging.raiseExceptions was True and is False",
    "warnings.showwarning = print": "warnings.showwarning is another function",
    "faulthandler.enable()": "faulthandler was off and is on",
    "faulthandler.register(signal.SIGUSR1)": "faulthandler.register is called (",
    "sys.addaudithook(lambda *_: None)": "sys.addaudithook is called (",
    "sys.settrace(lambda *_: None)": "sys.settrace and sys.setprofile was ",
    "threading.setprofile(print)": "threading._profile_hook",
    "threading.stack_size(1 << 20)": "the stack of new threads was 0 and is 1048576",
    "sys.tracebacklimit = 3": "sys.tracebacklimit was None and is 3",
    "sys.pycache_prefix = '/ink'": "the writing of bytecode was ",
    "sys.set_asyncgen_hooks(print)": "the hooks of asynchronous generators was (None, None) and is",
    "sys.set_coroutine_origin_tracking_depth(3)": "the tracking of coroutines was 0 and is 3",
    "tracemalloc.start()": "the tracing of memory was False and is True",
    "gc.set_debug(gc.DEBUG_SAVEALL)": "the garbage collector was True,",
    "asyncio.set_event_loop_policy(Policy())": "the policy of event loops was ",
    "multiprocessing.set_start_method('spawn')": "the start of new processes was ",
    "os.nice(1)": "the priority was ",
    "resource.setrlimit(resource.RLIMIT_CPU, (9000, 9000))": "the limit RLIMIT_CPU was ",
    "signal.setitimer(signal.ITIMER_REAL, 9000)": "the timers was [False, ",
    "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})": "the blocked signals was ",
    "ssl._create_default_https_context = ssl._create_unverified_context": "ssl._create_default_",
}
"""Statements, and what is told of each."""


@pytest.mark.slow
def test_every_switch_of_the_process_is_watched(plugin_folder: PluginFolder) -> None:
    """Those of the interpreter, the log, threads and processes, also while the log is quiet."""
    imports = "asyncio, faulthandler, gc, logging, multiprocessing, os, resource, signal, ssl, sys"
    code = f"import {imports}, threading, tracemalloc, warnings\n"
    code += "class Policy(asyncio.DefaultEventLoopPolicy): pass\n"
    code += "@pegboard.hookimpl\ndef pegboard_setup(app):\n"
    plugin_folder.add("notes", code + "".join(f"    {one}\n" for one in SWITCHES))

    report = run_probe(
        {"plugin": "notes", "plugins": ["notes"], "config": {}, "patience": 0.0}, None, {}
    )

    assert "" == report["error"]
    told = "\n".join(report["changed"])
    assert [] == [text for text in SWITCHES.values() if text not in told], told


@pytest.mark.slow
@breaks(PluginContract, FORK, "answers otherwise: /notes. Threads, locks and connections")
class TestNoFork(Written):
    """Its view works only in the process that has built the app."""

    code = """
        import os
        import flask

        @pegboard.hookimpl
        def pegboard_setup(app):
            app.extensions["notes"] = os.getpid()

        @pegboard.hookimpl
        def pegboard_blueprints():
            blueprint = flask.Blueprint("notes", __name__)

            @blueprint.get("/notes")
            def notes():
                assert flask.current_app.extensions["notes"] == os.getpid()
                return {}

            return [blueprint]
    """


class Setting(Written):
    """A plugin with a setting, and its documents."""

    code = """
        class NotesSettings(pegboard.Settings):
            pens: int = pegboard.setting(1, doc="How many pens there are.")

        @pegboard.hookimpl
        def pegboard_settings():
            return NotesSettings
    """

    @pytest.fixture
    def documents(self) -> str:
        """They do not name it."""
        return "# Notes"


@breaks(PluginContract, SETTINGS, "PEGBOARD_NOTES_PENS of notes is not documented: name it in the")
class TestUndocumentedSetting(Setting):
    """No page names it."""


@breaks(PluginContract, SETTINGS, "PEGBOARD_NOTES_PENS of notes is not documented: name it in the")
class TestSettingWithinAnother(Setting):
    """A page names another setting, which begins with its name."""

    @pytest.fixture
    def documents(self) -> str:
        """They name it nowhere by itself."""
        return "PEGBOARD_NOTES_PENS_AT_MOST, MY_PEGBOARD_NOTES_PENS"


@breaks(PluginContract, SETTINGS, "PENS of notes does not say what it means: write setting(")
class TestUnexplainedSetting(Setting):
    """Its line says nothing."""

    code = Setting.code.replace("How many pens there are.", "Pens")


class Hook(Written):
    """A plugin with a hook of its own."""

    docstring = '"""Return more pens."""'
    call = "pegboard.get_registry(app).hook.pegboard_notes_pens(app=app)"
    documents_text: str | None = None

    @pytest.fixture
    def documents(self) -> str | None:
        """The documents, if there are any."""
        return self.documents_text

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """Write the plugin."""
        plugin_folder.add(
            "notes",
            f"""
            import sys

            @pegboard.hookspec
            def pegboard_notes_pens(app):
                {self.docstring}

            @pegboard.hookimpl
            def pegboard_hookspecs():
                return sys.modules[__name__]

            @pegboard.hookimpl
            def pegboard_setup(app):
                {self.call}
            """,
        )
        return "notes"


@breaks(PluginContract, HOOKS, "the hook pegboard_notes_pens of notes has no docstring")
class TestHookWithoutDocstring(Hook):
    """Nobody knows when it is called."""

    docstring = "pass"


@breaks(PluginContract, HOOKS, "the hook pegboard_notes_pens of notes is declared, and never c")
class TestUnusedHook(Hook):
    """Who implements it waits in vain."""

    call = "pass"


@breaks(PluginContract, HOOKS, "the hook pegboard_notes_pens of notes is not documented")
class TestUndocumentedHook(Hook):
    """No page names it."""

    documents_text = "# Notes of pegboard_notes_pens_left"


@breaks(PluginContract, FAILURES, "line 6: pegboard_setup raises RuntimeError. Raise pegboard.Sta")
class TestFailureWithoutCode(Written):
    """Its error has no code and no hint."""

    code = """
        @pegboard.hookimpl
        def pegboard_setup(app):
            if not app.name:
                raise RuntimeError("no name")
    """


@breaks(PluginContract, FAILURES, "checks.py, line 3: check, called by pegboard_setup, raises Val")
class TestFailureOfAHelper:
    """A function that the hook calls raises it, in another module."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The hook calls it by another function."""
        code = """
            from example_notes.checks import check as checked

            def look(app):
                checked(app)

            @pegboard.hookimpl
            def pegboard_setup(app):
                look(app)
        """
        module = plugin_folder.add("notes", code)
        checks = 'def check(app):\n    if not app.name:\n        raise ValueError("no name")\n'
        (module / "checks.py").write_text(checks, encoding="utf-8")
        return "notes"


@breaks(PluginContract, FAILURES, "line 5: pegboard_setup prints. Log it by logging.getLogger")
class TestPrint(Written):
    """It writes to the standard output."""

    code = """
        @pegboard.hookimpl
        def pegboard_setup(app):
            print("starting")
    """


@breaks(PluginContract, FAILURES, "logger.info logs without a name")
class TestRootLogger(Written):
    """Its logger is that of all."""

    code = """
        import logging
        logger = logging.getLogger()

        @pegboard.hookimpl
        def pegboard_setup(app):
            logger.info("starting")
    """


@breaks(PluginContract, FAILURES, "logging.warning logs without a name")
class TestLogWithoutName(Written):
    """Its lines are of the root logger."""

    code = """
        import logging

        @pegboard.hookimpl
        def pegboard_setup(app):
            logging.warning("no pen")
    """


@breaks(PluginContract, FAILURES, "the code 'NO_PEN' of a Problem is not declared")
class TestUndeclaredCode(Written):
    """Its code is a text."""

    code = """
        @pegboard.hookimpl
        def pegboard_setup(app):
            if not app.name:
                raise pegboard.StartupError([pegboard.Problem("NO_PEN", "no pen", "Buy one.")])
    """


class Coded(Written):
    """A plugin with a code."""

    code = """
        class Code(pegboard.ProblemCode):
            NO_PEN = ("NOTES_NO_PEN", "There is no pen.", "there is none", "Buy one.")

        @pegboard.hookimpl
        def pegboard_setup(app):
            app.extensions["notes"] = Code.NO_PEN
    """


@breaks(PluginContract, FAILURES, "the code NO_PEN of notes may be another plugin's: begin it with")
class TestForeignCode(Coded):
    """The code does not begin with the plugin's name."""

    code = Coded.code.replace("NOTES_NO_PEN", "NO_PEN")


@breaks(PluginContract, FAILURES, "the code NOTES_NO_PEN of notes has no hint: write it")
class TestCodeWithoutHint(Coded):
    """Nobody knows what to do."""

    code = Coded.code.replace("Buy one.", " ")


@breaks(PluginContract, FAILURES, "the code NOTES_NO_PEN of notes is never used: remove it")
class TestUnusedCode(Coded):
    """It is in the list of problems in vain."""

    code = Coded.code.replace("Code.NO_PEN", "1")


@breaks(
    PluginContract, REMOVAL, "remove notes leaves on sqlite: table notes_log", database="sqlite"
)
class TestLeftTable:
    """A table that no downgrade drops."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """It is made by SQL, so that no command knows of it."""
        upgrade = 'op.execute(" ".join(["CREATE TABLE", "notes_" + "log", "(id integer)"]))'
        plugin_folder.add_table("notes", upgrade=upgrade)
        return "notes"


@breaks(
    PluginContract,
    REMOVAL,
    "leaves on postgresql: function notes_now(), schema notes_own, text search configuration "
    "notes_search, type notes_pair. Drop",
    database="postgresql",
)
class TestLeftObjects:
    """Objects of PostgreSQL, other than tables, that no downgrade drops."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """SQLite has none of them."""
        made = (
            "CREATE FUNCTION notes_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
            "CREATE SCHEMA notes_own",
            "CREATE TEXT SEARCH CONFIGURATION notes_search (COPY = simple)",
            "CREATE TYPE notes_pair AS (a integer, b integer)",
            "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        )
        plugin_folder.add_table("notes", upgrade="; ".join(f"op.execute({one!r})" for one in made))
        return "notes"


def in_namespace_package(folder: PluginFolder, code: str) -> str:
    """Write a plugin whose package is in a package without a file; returns its name."""
    module = folder.add("notes", code, package="acme_notes", target="acme.notes.plugin")
    folder.packages.append("acme")
    (folder.path / "acme").mkdir()
    module.rename(folder.path / "acme" / "notes")
    return "notes"


@breaks(PluginContract, FAILURES, "notes/plugin.py, line 6: pegboard_setup raises RuntimeError")
class TestFailureInNamespacePackage(Written):
    """Its code is found."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The package `acme` is a folder that other distributions may share."""
        return in_namespace_package(plugin_folder, TestFailureWithoutCode.code)


@breaks(PluginContract, KEEPS, "building one changes acme.notes.plugin.apps")
class TestListInNamespacePackage(Written):
    """Its modules are found."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """As above."""
        return in_namespace_package(plugin_folder, TestListOfApps.code)


PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "example-notes"
version = "1.0"
dependencies = ["pegboard"]

[project.entry-points."pegboard.plugins"]
notes = "example_notes.plugin"

[tool.hatch.build.targets.wheel]
packages = ["example_notes"]
exclude = ["migrations"]
"""


@pytest.mark.slow
@breaks(PluginContract, WHEEL, "it lacks example_notes/migrations/notes_0001.py: include them")
class TestIncompleteWheel:
    """A wheel without the migrations, which work as long as the folder is on the path."""

    @pytest.fixture
    def plugin_name(self, plugin_folder: PluginFolder) -> str:
        """The folder of the distribution is that of the packages."""
        pytest.importorskip("hatchling")
        plugin_folder.add_table("notes")
        (plugin_folder.path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        return "notes"

    @pytest.fixture
    def source(self, plugin_name: str, plugin_folder: PluginFolder) -> Source | None:
        """As for a test in that folder."""
        return Source.find(plugin_folder.path / "tests" / "test_notes.py", plugin_name)


@pytest.mark.parametrize(
    "tag,metadata,entries,says",
    [
        ("cp26-cp26-win32", [], "notes = example_notes", "it is for other machines"),
        ("py3-none-any", ["Requires-Python: <3"], "notes = example_notes", "it requires Python <3"),
        ("py3-none-any", ["Requires-Dist: pegboard-items"], "notes = x", "does not require pegb"),
        ("py3-none-any", [], "other = example_notes", "it has no entry point notes in the group"),
    ],
)
def test_a_wheel_that_cannot_be_used_is_told(
    tmp_path: Path, tag: str, metadata: Sequence[str], entries: str, says: str
) -> None:
    """Its tags, the Python and the core that it requires, and its entry point."""
    path = tmp_path / f"example_notes-1.0-{tag}.whl"
    requires = [] if metadata else ["Requires-Dist: pegboard"]
    head = ["Metadata-Version: 2.1", "Name: example-notes", "Version: 1.0"]
    with zipfile.ZipFile(path, "w") as archive:
        folder = "example_notes-1.0.dist-info"
        archive.writestr(f"{folder}/METADATA", "\n".join([*head, *requires, *metadata, ""]))
        archive.writestr(f"{folder}/entry_points.txt", f"[pegboard.plugins]\n{entries}\n")
    wheel = Wheel(path, tmp_path / "unpacked")
    mistakes = [*wheel.mistakes("notes", "example_notes", Source(tmp_path))]
    assert any(says in one for one in mistakes), mistakes


def test_what_a_plugin_requires_is_named_where_nothing_else_is_installed(
    plugin_folder: PluginFolder,
    request: pytest.FixtureRequest,
    make_app: MakeApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was started with that already."""
    plugin_folder.add("labels", "")
    others = [one.distribution for one in installed_plugins()]
    requires = [one.canonical_name for one in others if one is not None]
    plugin_folder.add("notes", "", requires=["pegboard", *requires])
    with pytest.raises(pytest.skip.Exception) as skipped:
        PluginContract().test_it_starts_beside_every_installed_plugin(
            request, make_app, "notes", {}, monkeypatch
        )
    message = str(skipped.value)
    assert message.startswith("no other plugin that starts is installed here but ")
    assert "labels" in message
    assert message.endswith(", which notes requires")


def test_a_plugin_that_is_not_installed_is_told(request: pytest.FixtureRequest) -> None:
    """With those that are."""
    from pegboard.testing.contracts.named import candidate_of  # noqa: PLC0415

    with pytest.raises(pytest.fail.Exception, match="no plugin named 'nothing' is installed here"):
        candidate_of("nothing")
