"""Services by their interfaces: provided by one plugin, required by others, which name none."""

import functools
import operator
import sys
import types
from abc import ABC, abstractmethod
from collections import UserDict
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    MutableMapping,
    Sequence,
)
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any, Protocol, Self, TypeVar, cast, overload
from unittest.mock import create_autospec

import click
import pytest
from flask import Flask
from flask.blueprints import BlueprintSetupState
from flask.cli import with_appcontext

from pegboard import Blueprint, StartupError, create_app, get_registry, hookimpl, hookspec
from pegboard.problems import Code, PluginError
from pegboard.testing.distributions import PluginFolder

SERVE = hookimpl(hookspec.pegboard_blueprints)
ALONE = {"ENV": "testing", "CACHE": "none", "SESSIONS": "cookie"}


class Mailer(Protocol):
    """Sends mails."""

    sender: str

    def send(self, to: str, *, text: str) -> None:
        """Send one."""


class UrgentMailer(Mailer, Protocol):
    """Sends mails that cannot wait."""

    def send_at_once(self, to: str) -> None:
        """Send one."""


class Clock:
    """Tells the time; an interface need not be a protocol."""

    def now(self) -> int:
        """Return it."""
        return 0


class SmtpMailer:
    """Is a mailer by what it has, not by what it inherits."""

    def __init__(self, sender: str = "shop") -> None:
        self.sender = sender
        self.sent: list[str] = []

    def send(self, to: str, *, text: str, size: int = 1) -> None:
        """Keep what would be sent."""
        self.sent.append(f"{text} to {to}, size {size}")


class NoMailer:
    """Lacks an argument, and has no sender."""

    def send(self, to: str) -> None:
        """Send nothing."""


def plugin(title: str, *provided: Callable[..., object], requires: tuple[type, ...] = ()) -> object:
    """A plugin that provides and requires services; `provided` are marked functions."""
    members: dict[str, object] = {
        f"make_{number}": staticmethod(one) for number, one in enumerate(provided)
    }
    if requires:
        members["pegboard_requires"] = staticmethod(hookimpl(lambda: list(requires)))
    made: type = type(title.title(), (), {"name": title, **members})
    return made()


def provide(interface: Callable[..., object], service: object) -> Callable[..., object]:
    """A function that provides a service that there is already."""
    return hookimpl.provides(interface)(lambda: service)


def problems(*plugins, **config):
    """The problems that keep the service from starting."""
    with pytest.raises(StartupError) as caught:
        create_app({**ALONE, **config}, plugins=plugins)
    return caught.value.problems


def test_a_plugin_gets_a_service_and_does_not_know_of_whom() -> None:
    """In its set-up already, whatever the names; each app has one of its own."""
    seen = []

    class Asking:
        name = "asking"

        @hookimpl
        def pegboard_requires(self):
            return [Mailer]

        @hookimpl
        def pegboard_setup(self, app: Flask) -> None:
            mailer = get_registry(app).service(Mailer)
            mailer.send("Ada", text="Hello")
            seen.append(mailer)

    class Providing:
        name = "providing"

        @hookimpl.provides(Mailer)
        def make(self, app: Flask) -> SmtpMailer:
            return SmtpMailer(app.name)

    for _ in range(2):
        app = create_app(ALONE, plugins=[Asking(), Providing()])
        assert get_registry(app).service(Mailer) is seen[-1]
    first, second = map(vars, seen)
    assert first is not second
    assert [["Hello to Ada, size 1"]] * 2 == [first["sent"], second["sent"]]


def test_a_service_is_made_of_another() -> None:
    """Whichever comes first; each is made once."""
    made = []

    @hookimpl.provides(Mailer)
    def mailer(app: Flask) -> SmtpMailer:
        made.append("mailer")
        return SmtpMailer(str(get_registry(app).service(Clock).now()))

    @hookimpl.provides(Clock)
    def clock() -> Clock:
        made.append("clock")
        return Clock()

    app = create_app(ALONE, plugins=[plugin("alpha", mailer), plugin("beta", clock)])
    assert "0" == get_registry(app).service(Mailer).sender
    assert ["mailer", "clock"] == made


def test_a_service_may_be_absent() -> None:
    """To a plugin that can do without it is None, to another an error."""
    registry = get_registry(create_app(ALONE, plugins=[plugin("alpha")]))
    assert registry.find_service(Mailer) is None
    with pytest.raises(LookupError, match=r"no active plugin provides the service .*\.Mailer$"):
        registry.service(Mailer)


def test_a_service_that_is_absent_ends_a_command_and_a_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The command with what to do, and without a traceback; the request with 500, and the log."""
    blueprint = Blueprint("asking", __name__)

    @blueprint.get("/mail")
    def ask() -> str:
        return get_registry().service(Mailer).sender

    class Asking:
        name = "asking"

        @hookimpl
        def pegboard_blueprints(self) -> list[Blueprint]:
            return [blueprint]

        @hookimpl
        def pegboard_commands(self) -> list[click.Command]:
            return [click.Command("ask", callback=with_appcontext(ask))]

    app = create_app(
        {**ALONE, "TESTING": False}, plugins=[Asking(), plugin("other", provide(Clock, Clock()))]
    )
    done = app.test_cli_runner().invoke(args=["ask"])
    first, hint = done.stderr.splitlines()
    assert (1, f"Error: no active plugin provides the service {__name__}.Mailer") == (
        done.exit_code,
        first,
    )
    assert "pegboard_requires" in hint
    assert hint.endswith(f"Services that there are: {__name__}.Clock (other).")

    assert 500 == app.test_client().get("/mail").status_code
    (record,) = [one for one in caplog.records if one.exc_info]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_what_mypy_finds_about_services() -> None:
    """A provider that does not fit, and a call that the interface does not have."""

    @hookimpl.provides(Mailer)  # type: ignore[arg-type]
    def wrong(app: Flask) -> NoMailer:
        return NoMailer()

    app = create_app(ALONE, plugins=[plugin("alpha", provide(Mailer, SmtpMailer()))])
    mailer = get_registry(app).service(Mailer)
    with pytest.raises(TypeError):
        mailer.send("Ada")  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        mailer.sned("Ada")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="'Mailer', which is no class"):
        hookimpl.provides("Mailer")  # type: ignore[arg-type]


def test_a_service_that_nobody_provides_stops_the_start() -> None:
    """With what is provided; a plugin that may be skipped is left out."""
    asking = plugin("asking", requires=(Mailer,))
    other = plugin("other", provide(Clock, Clock()))
    (problem,) = problems(asking, other)
    assert (Code.SERVICE_MISSING, "asking") == (problem.code, problem.plugin)
    name = f"{__name__}.Mailer"
    assert (
        f"it requires the service {name}, which no active plugin provides"
        == problem.summary.partition(", at ")[0]
    )
    assert problem.hint == (
        "Install and activate a plugin that provides it, or disable asking too. Services that "
        f"there are: {__name__}.Clock."
    )
    app = create_app({**ALONE, "PLUGINS_POLICY": "asking=skip"}, plugins=[asking, other])
    assert ["other"] == [one.name for one in get_registry(app).plugins]


def test_a_provider_that_fails_is_the_only_one_blamed(plugin_folder: PluginFolder) -> None:
    """What requires its service is in order; it is left out with it if both may be skipped."""
    plugin_folder.add("smtp", "1 / 0")
    asking = plugin("asking", requires=(Mailer,))
    assert ["smtp"] == [one.plugin for one in problems(asking, "smtp")]
    config = {**ALONE, "PLUGINS_POLICY": "*=skip"}
    skipped = get_registry(create_app(config, plugins=[asking, "smtp"])).skipped
    assert [("smtp", Code.PLUGIN_IMPORT_FAILED), ("asking", Code.SERVICE_MISSING)] == [
        (one.plugin, one.code) for one in skipped
    ]


def test_two_providers_of_one_service_stop_the_start() -> None:
    """One that may be skipped is left out; one plugin may not provide it twice either."""
    one, two = (plugin(name, provide(Mailer, SmtpMailer(name))) for name in ("one", "two"))
    (problem,) = problems(one, two)
    assert Code.COLLISION_SERVICE == problem.code
    assert (
        f"service {__name__}.Mailer is provided by plugin one too"
        == problem.summary.partition(", at ")[0]
    )
    assert "Disable one of the two plugins." == problem.hint
    app = create_app({**ALONE, "PLUGINS_POLICY": "one=skip"}, plugins=[one, two])
    assert "two" == get_registry(app).service(Mailer).sender

    twice = plugin("twice", provide(Mailer, SmtpMailer()), provide(Mailer, SmtpMailer()))
    (problem,) = problems(twice)
    assert f"it provides {__name__}.Mailer twice" == problem.summary.partition(", at ")[0]
    assert "Remove one of the two." == problem.hint


def test_one_interface_may_extend_another() -> None:
    """Each is a service of its own."""
    plugins = [plugin("one", provide(Mailer, SmtpMailer("one"))), plugin("two", requires=(Mailer,))]
    registry = get_registry(create_app(ALONE, plugins=plugins))
    assert registry.find_service(UrgentMailer) is None


@pytest.mark.parametrize(
    "interface,service,text",
    [
        (Mailer, object(), "an object of type object, which lacks send, sender"),
        (Mailer, NoMailer(), "an object of type NoMailer, which lacks sender"),
        (Mailer, None, "None, which lacks send, sender"),
        (UrgentMailer, SmtpMailer(), "an object of type SmtpMailer, which lacks send_at_once"),
        (Clock, SmtpMailer(), "an object of type SmtpMailer, which is no Clock"),
    ],
)
def test_what_is_no_such_service_stops_the_start(interface, service, text) -> None:
    """Before anybody uses it."""
    (problem,) = problems(plugin("one", provide(interface, service)))
    assert (Code.SERVICE_INVALID, "one") == (problem.code, problem.plugin)
    name = f"{interface.__module__}.{interface.__qualname__}"
    assert f"pegboard_provides returned for {name} {text}" == problem.summary.partition(", at ")[0]


def test_an_attribute_that_cannot_be_had_yet_is_there() -> None:
    """A property is not run: it may need what comes later. What must be run is named."""

    class Later:
        send = SmtpMailer.send

        @property
        def sender(self) -> str:
            raise RuntimeError

    app = create_app(ALONE, plugins=[plugin("one", provide(Mailer, Later()))])
    assert isinstance(get_registry(app).find_service(Mailer), Later)

    class Proxy:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    (problem,) = problems(plugin("one", provide(Mailer, Proxy())))
    assert (Code.HOOK_FAILED, "one") == (problem.code, problem.plugin)
    assert "pegboard_provides failed: RuntimeError: send" in problem.summary


def test_a_service_with_other_arguments_stops_the_start() -> None:
    """The method is named."""
    service = NoMailer()
    service.sender = "shop"  # type: ignore[attr-defined]
    (problem,) = problems(plugin("one", provide(Mailer, service)))
    text = "whose send(to) cannot be called as send(to, *, text), at core/tests/plugins/"
    assert text in problem.summary
    assert f"Let it take what {__name__}.Mailer says: send(to, *, text)." == problem.hint


class Store(Protocol):
    """Has a method of each kind."""

    def put(self, key: str, value: str, ttl: int = 60) -> bool:
        """Keep a value."""

    def keys(self) -> Iterator[str]:
        """Return what is kept."""

    def described(self) -> dict[str, Any]:
        """Return what is known of it."""

    def drop(self, *keys: str) -> None:
        """Forget values."""

    def charge(self, order: "Order") -> int:  # type: ignore[name-defined]  # noqa: F821
        """Take an object of a type that is imported for mypy alone."""

    def copied(self) -> Self:
        """Return another."""

    def later(self, key: str) -> Awaitable[str]:
        """Return a value that comes later."""

    async def flush(self) -> None:
        """Write all."""

    @staticmethod
    def version() -> str:
        """Return that of the format."""

    @classmethod
    def open(cls, path: str) -> "Store":
        """Open another."""

    class FullError(Exception):
        """Raised where there is no place."""


class MemoryStore:
    """Fits, though in ways of its own."""

    FullError = MemoryError

    def put(self, key: str, value: object, ttl: float = 60, *, replaces: bool = True) -> bool:
        """Do nothing."""
        return True

    def keys(self) -> Iterator[str]:
        """Have none."""
        yield from ()

    def described(self) -> dict[str, Any]:
        """Know nothing."""
        return {}

    def drop(self, *keys: str) -> None:
        """Do nothing."""

    def charge(self, order: object) -> int:
        """Do nothing."""
        return 0

    def copied(self) -> Self:
        """Return itself."""
        return self

    async def later(self, key: str) -> str:
        """Return it."""
        return key

    async def flush(self) -> None:
        """Do nothing."""

    @staticmethod
    def version() -> str:
        """Return it."""
        return "1"

    @classmethod
    def open(cls, path: str) -> "MemoryStore":
        """Open one without a file."""
        assert path
        return cls()


class AbstractStore(ABC):
    """An interface that is no protocol."""

    @abstractmethod
    def put(self, key: str) -> None:
        """Keep a value."""


def anything(*_arguments: object, **_options: object) -> bool:
    """Take whatever is given."""
    return True


Row_co = TypeVar("Row_co", covariant=True)
Rows = Iterable[int]


class Table(Protocol[Row_co]):
    """Has types whose objects may be iterated, some of which only mypy knows."""

    def of_a_type_variable(self) -> Row_co:
        """Return rows."""

    def by_an_alias(self) -> Rows:
        """Return rows."""

    def by_an_unknown_name(self) -> "Unknown":  # type: ignore[name-defined]  # noqa: F821
        """Return rows of a type that is imported for mypy alone."""

    def perhaps(self) -> Iterator[int] | None:
        """Return rows, or None."""

    def message(self, text: str, args: object) -> None:
        """Log."""

    def __getitem__(self, key: int) -> Row_co:
        """Return a row."""

    def __exit__(self, exc_type: object, exc: object, tb: object) -> None:
        """Close."""

    def connect(self, url: str) -> object:
        """Return a connection."""

    def begin(self) -> Awaitable[int]:
        """Return the number of a transaction."""


class Connection:
    """Made by its class."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __call__(self) -> None:
        """Do something later."""


class GeneratedTable:
    """Fits, with names of its own where nobody gives arguments by name."""

    def _rows(self):
        yield 1

    of_a_type_variable = by_an_alias = by_an_unknown_name = perhaps = _rows
    connect = Connection

    @types.coroutine
    def begin(self):
        """Return it later."""
        yield
        return 1

    def message(self, *args: object, **kwargs: object) -> None:
        """Log."""

    def __getitem__(self, number: int) -> int:
        """Return it."""
        return number

    def __exit__(self, *exc: object) -> None:
        """Close."""


class Keyed(Protocol):
    """May have a function that is written in C."""

    def key(self, row: object) -> object:
        """Return that of a row."""


FITTING: list[tuple[type, object]] = [
    (Table, GeneratedTable()),
    (MutableMapping, {}),
    (MutableMapping, UserDict()),
    (Sequence, ()),
    (Sequence, "text"),
    (AbstractContextManager, ExitStack()),
    (str, "text"),
    (Mailer, create_autospec(SmtpMailer, instance=True, sender="shop")),
    (Keyed, types.SimpleNamespace(key=operator.itemgetter("name"))),
]


@pytest.mark.parametrize("interface,service", FITTING)
def test_what_fits_in_its_own_way_is_a_service(interface: type, service: object) -> None:
    """Of Python's own classes, too, and of what is written in C."""
    app = create_app(ALONE, plugins=[plugin("one", provide(interface, service))])
    assert service is get_registry(app).service(interface)


@pytest.mark.parametrize(
    "method",
    [
        lambda self, key, value, ttl=60: True,
        lambda self, key, value, ttl=60, *rest: True,
        lambda self, *arguments, **options: True,
        functools.wraps(MemoryStore.put)(anything),
    ],
)
def test_a_service_may_take_more_than_its_interface_says(method) -> None:
    """Static and class methods, and what is awaited or iterated, are as declared."""
    service = type("Fitting", (MemoryStore,), {"put": method})()
    app = create_app(ALONE, plugins=[plugin("one", provide(Store, service))])
    assert service is get_registry(app).service(Store)


class Notify(Protocol):
    """An interface that is called itself, in two ways."""

    def __call__(self, text: str) -> None:
        """Send a text."""

    @overload
    def last(self) -> str: ...
    @overload
    def last(self, number: int) -> list[str]: ...


class Notifier:
    """An object of the interface."""

    def __call__(self, text: str) -> None:
        """Do nothing."""

    def last(self, number: int = 0) -> object:
        """Return nothing."""


@pytest.mark.parametrize(
    "members,text",
    [
        ({}, ""),
        ({"__call__": lambda self: None}, "__call__() cannot be called as __call__(text)"),
        ({"last": None}, "last cannot be called"),
    ],
)
def test_a_service_may_be_called_itself(members, text) -> None:
    """By what its type has."""
    service = type("Own", (Notifier,), members)()
    plugins = [plugin("one", provide(Notify, service))]
    if text:
        (problem,) = problems(*plugins)
        assert f"of type Own, whose {text}" in problem.summary
    else:
        assert service is get_registry(create_app(ALONE, plugins=plugins)).service(Notify)


class Ping(Protocol):
    """An interface that a function has."""

    def __call__(self, host: str) -> bool:
        """Return whether the host answers."""


def test_a_service_may_be_a_function() -> None:
    """Its arguments are compared as well; what cannot be called is none."""

    def ping(host: str) -> bool:
        return bool(host)

    registry = get_registry(create_app(ALONE, plugins=[plugin("one", provide(Ping, ping))]))
    assert registry.service(Ping)("here")
    for wrong in (lambda: True, object()):
        (problem,) = problems(plugin("one", provide(Ping, wrong)))
        assert Code.SERVICE_INVALID == problem.code


async def put_later(self, key, value, ttl=60):
    """Keep nothing until somebody awaits it."""


def put_in_parts(self, key, value, ttl=60):
    """Keep nothing until somebody iterates it."""
    yield key


class PutLater:
    """An object in place of a function."""

    async def __call__(self, key, value, ttl=60):
        """Keep nothing until somebody awaits it."""


@pytest.mark.parametrize(
    "method,text",
    [
        (lambda self, key, value: True, "(key, value) cannot be called as put(key, value, ttl=60)"),
        (lambda self, key, value, ttl: True, "(key, value, ttl) cannot be called as put"),
        (lambda self, value, key, ttl=60: True, "(value, key, ttl=60) cannot be called as put"),
        (lambda self, name, value, ttl=60: True, "(name, value, ttl=60) cannot be called as put"),
        (lambda self, key, *, value, ttl=60: True, "(key, *, value, ttl=60) cannot be called"),
        (lambda self, key, value, ttl=60, *, more: True, "(key, value, ttl=60, *, more) cannot"),
        ("a text", " cannot be called"),
        (put_later, " is an async function, which nothing awaits"),
        (PutLater(), " is an async function, which nothing awaits"),
        (put_in_parts, " is a generator, which nothing runs"),
    ],
)
def test_a_service_that_cannot_be_called_as_declared_stops_the_start(method, text) -> None:
    """By place or by name, with or without what has a default; or whose call does nothing."""
    service = type("Wrong", (MemoryStore,), {"put": method})()
    (problem,) = problems(plugin("one", provide(Store, service)))
    assert f"an object of type Wrong, whose put{text}" in problem.summary


async def keys_later(self):
    """Return nothing until somebody awaits it."""


async def keys_in_parts(self):
    """Return what only `async for` iterates."""
    yield ""


async def later_for(self, order):
    """Do nothing until somebody awaits it."""


def later_in_parts(self, key):
    """Return what nobody can await."""
    yield key


@pytest.mark.parametrize(
    "name,method,text",
    [
        ("keys", keys_later, "an async function, which nothing awaits"),
        ("keys", keys_in_parts, "an async generator, which nothing runs"),
        ("later", later_in_parts, "a generator, which nothing runs"),
        ("later", staticmethod(functools.partial(later_in_parts, "")), "a generator, which"),
        ("described", keys_later, "an async function, which nothing awaits"),
        ("charge", later_for, "an async function, which nothing awaits"),
        ("copied", keys_later, "an async function, which nothing awaits"),
    ],
)
def test_what_is_iterated_is_not_what_is_awaited(name, method, text) -> None:
    """The interface says which of the two a caller does."""
    service = type("Wrong", (MemoryStore,), {name: method})()
    (problem,) = problems(plugin("one", provide(Store, service)))
    assert f"an object of type Wrong, whose {name} is {text}" in problem.summary


def test_a_service_takes_any_number_of_arguments_where_its_interface_does() -> None:
    """One is not enough."""
    service = type("Wrong", (MemoryStore,), {"drop": lambda self, key: None})()
    (problem,) = problems(plugin("one", provide(Store, service)))
    assert "whose drop(key) cannot be called as drop(*keys)" in problem.summary


def test_all_that_is_wrong_with_a_service_is_told() -> None:
    """Each method with its line; of a class that is returned in place of an object."""

    class Wrong(MemoryStore):
        def put(self, key: str) -> bool:  # type: ignore[override]
            """Take too little."""
            return True

        def keys(self, pattern: str) -> Iterator[str]:  # type: ignore[override]
            """Take too much."""
            yield pattern

    keys, put = problems(plugin("one", provide(Store, Wrong())))
    assert "whose keys(pattern) cannot be called as keys(), at " in keys.summary
    assert "whose put(key) cannot be called as put(key, value, ttl=60), at " in put.summary
    assert keys.summary != put.summary

    both = problems(plugin("one", provide(Mailer, object()), provide(Clock, object())))
    assert [f"{__name__}.Mailer", f"{__name__}.Clock"] == [one.summary.split()[3] for one in both]

    (first, *_) = problems(plugin("one", provide(Store, MemoryStore)))
    assert "the class MemoryStore, whose charge(self, order) cannot be called" in first.summary
    assert "Return an object of the class." == first.hint


def test_what_inherits_an_interface_is_compared_with_it_too() -> None:
    """A class that overrides a method with other arguments is no such service."""

    class Right(AbstractStore):
        def put(self, key: str) -> None:
            """Do nothing."""

    class Wrong(AbstractStore):
        def put(self) -> None:  # type: ignore[override]
            """Do nothing."""

    right = Right()
    app = create_app(ALONE, plugins=[plugin("one", provide(AbstractStore, right))])
    assert right is get_registry(app).service(AbstractStore)
    (problem,) = problems(plugin("one", provide(AbstractStore, Wrong())))
    assert Code.SERVICE_INVALID == problem.code


def test_a_provider_without_an_interface_stops_the_start() -> None:
    """The marker of an ordinary hook does not say what is provided."""

    @hookimpl(specname="pegboard_provides")
    def unmarked() -> SmtpMailer:
        return SmtpMailer()

    (problem,) = problems(plugin("one", unmarked))
    assert (
        "an implementation of pegboard_provides has no interface"
        == problem.summary.partition(", at ")[0]
    )
    assert "Put @pegboard.hookimpl.provides(Interface) above it." == problem.hint


def test_services_that_need_each_other_stop_the_start() -> None:
    """The circle is spelled out, with a plugin of it."""

    @hookimpl.provides(Mailer)
    def mailer(app: Flask) -> SmtpMailer:
        return SmtpMailer(str(get_registry(app).service(Clock)))

    @hookimpl.provides(Clock)
    def clock(app: Flask) -> Clock:
        get_registry(app).service(Mailer)
        return Clock()

    (problem,) = problems(plugin("alpha", mailer), plugin("beta", clock))
    names = [f"{__name__}.{name}" for name in ("Mailer", "Clock", "Mailer")]
    assert (Code.SERVICE_CYCLE, "alpha") == (problem.code, problem.plugin)
    assert (
        f"services need each other in a circle: {' → '.join(names)}"
        == problem.summary.partition(", at ")[0]
    )


def test_a_service_may_do_without_one_that_needs_it() -> None:
    """That one is made once the first is there."""
    seen = []

    @hookimpl.provides(Mailer)
    def mailer(app: Flask) -> SmtpMailer:
        with suppress(StartupError, PluginError):
            get_registry(app).service(Clock)
        return SmtpMailer()

    @hookimpl.provides(Clock)
    def clock(app: Flask) -> Clock:
        seen.append(get_registry(app).service(Mailer))
        return Clock()

    app = create_app(ALONE, plugins=[plugin("alpha", mailer), plugin("beta", clock)])
    assert [get_registry(app).service(Mailer)] == seen


def test_a_service_that_cannot_be_made_names_the_plugin_that_makes_it() -> None:
    """Not the one that asks for it first."""

    @hookimpl.provides(Mailer)
    def mailer(app: Flask) -> SmtpMailer:
        return SmtpMailer(str(get_registry(app).service(Clock)))

    @hookimpl.provides(Clock)
    def clock() -> Clock:
        sys.exit("no time")

    (problem,) = problems(plugin("alpha", mailer), plugin("beta", clock))
    assert (Code.HOOK_FAILED, "beta") == (problem.code, problem.plugin)
    assert problem.summary.startswith("pegboard_provides failed: SystemExit: no time")


def test_a_route_that_a_provider_adds_is_compared() -> None:
    """As that of any other hook that is given the app."""

    @hookimpl.provides(Clock)
    def clock(app: Flask) -> Clock:
        app.add_url_rule("/health", "clock", lambda: "")
        return Clock()

    (problem,) = problems(plugin("alpha", clock))
    assert Code.COLLISION_ROUTE == problem.code


def test_a_service_cannot_be_had_before_it_is_made() -> None:
    """While blueprints are registered there is an app, and no service yet."""
    blueprint = Blueprint("early", __name__)

    @blueprint.record
    def use(state: BlueprintSetupState) -> None:
        if "pegboard" in state.app.extensions:  # not the app on which routes are compared
            get_registry(cast("Flask", state.app)).service(Clock)

    early = types.SimpleNamespace(name="early", serve=SERVE(lambda: [blueprint]))
    (problem,) = problems(early, plugin("one", provide(Clock, Clock())))
    assert (
        f"the service {__name__}.Clock is made before pegboard_setup is called" in problem.summary
    )
