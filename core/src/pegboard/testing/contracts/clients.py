"""What every function that finds the identity of a client must do."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder

from pegboard.clients import client_key, get_clients
from pegboard.testing.contracts.named import fail
from pegboard.testing.contracts.stage_calls import Unreadable

_ADDRESS = "192.0.2.1"


class ReadOnly(dict[str, Any]):
    """A WSGI environment that no plugin may change."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        message = "the environment is changed, which all that comes later sees"
        raise AssertionError(message)

    __delitem__ = update = pop = setdefault = clear = _refuse

    def __setitem__(self, key: str, value: Any) -> None:
        """Let the core, and nothing else, note what it has found."""
        if not key.startswith("pegboard."):
            self._refuse()
        super().__setitem__(key, value)


class ClientIdentityRules:
    """Whom a plugin finds in a request, and whom not."""

    @pytest.fixture
    def identify(self, app: Flask, caplog: pytest.LogCaptureFixture) -> Any:
        """Return the key of a client, and fail the test for an error of the plugin."""
        clients = get_clients(app)

        def identify(headers: Mapping[str, str], what: str, **environ: Any) -> str:
            builder = EnvironBuilder("/", headers=[*headers.items()])
            found = {**builder.get_environ(), "REMOTE_ADDR": _ADDRESS, **environ}
            caplog.clear()
            with caplog.at_level(logging.ERROR):
                key = clients.client_of(ReadOnly({**found, "wsgi.input": Unreadable()}))
            for record in caplog.records:
                if record.exc_info is not None:
                    fail(
                        f"{what} makes the identity fail: {record.exc_info[1]!r}. Return None for "
                        "a client that is not known, and change nothing"
                    )
            return key

        return identify

    def test_a_known_client_has_its_identity(
        self, identify: Any, known_clients: Mapping[str, Mapping[str, str]]
    ) -> None:
        """The same at each request."""
        if len(known_clients) < 2:  # noqa: PLR2004 - one could be everybody's
            fail('return two clients or more from the fixture "known_clients"')
        for name, headers in known_clients.items():
            for _ in range(2):
                key = identify(headers, f"a request of {name}")
                if key == _ADDRESS:
                    fail(
                        f"the client {name} is not known by {headers}: return its identity, and "
                        "return the function from pegboard_client_identity"
                    )
                if key != client_key(f"user:{name}"):
                    fail(f"the client {name} is taken for {key}, by {headers}")

    def test_an_unknown_client_has_none(self, identify: Any) -> None:
        """Its address counts: without a header, and with those of a browser."""
        for headers in ({}, {"User-Agent": "Mozilla/5.0", "Accept": "*/*", "Cookie": "a=b"}):
            if (key := identify(headers, f"a request with the headers {headers}")) != _ADDRESS:
                fail(
                    f"a client that shows nothing, with the headers {headers}, is taken for {key}: "
                    "return None"
                )

    def test_what_is_damaged_is_no_failure(
        self, identify: Any, known_clients: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Headers that are empty, cut, doubled, too long, or no text, as anyone can send them."""
        for headers in known_clients.values():
            for name, value in headers.items():
                for other in _damaged(value):
                    what = f"{name}: {other!r:.60}"
                    environ = {f"HTTP_{name.upper().replace('-', '_')}": other}
                    identify({**headers, name: ""}, what, **environ)

    def test_a_request_without_an_address_is_no_failure(
        self, identify: Any, known_clients: Mapping[str, Mapping[str, str]]
    ) -> None:
        """As through a Unix socket."""
        for name, headers in known_clients.items():
            key = identify(headers, f"a request of {name} without an address", REMOTE_ADDR="")
            if key != client_key(f"user:{name}"):
                fail(f"the client {name} is taken for {key} where the connection has no address")

    def test_clients_at_once_are_told_apart(
        self, app: Flask, known_clients: Mapping[str, Mapping[str, str]]
    ) -> None:
        """On many threads, of which each has another client."""
        clients = get_clients(app)

        def ask(name: str) -> str:
            environ = EnvironBuilder("/", headers=[*known_clients[name].items()]).get_environ()
            return clients.client_of({**environ, "REMOTE_ADDR": _ADDRESS})

        names = [*known_clients] * 50
        with ThreadPoolExecutor(8) as threads:
            for name, key in zip(names, threads.map(ask, names), strict=True):
                if key != client_key(f"user:{name}"):
                    fail(
                        f"of requests at once, one of {name} is taken for {key}: keep nothing of "
                        "a request outside the function"
                    )


class ClientIdentityContract(ClientIdentityRules):
    """Tests of the function that a plugin returns from `pegboard_client_identity`.

    A subclass says how two clients or more show who they are: the headers of their requests, by
    the identity that the plugin finds. The fixture `app` is of an app with the plugin::

        class TestIdentity(ClientIdentityContract):
            @pytest.fixture
            def known_clients(self):
                return {"alice": {"X-Api-Key": "wonder"}, "bob": {"X-Api-Key": "builder"}}
    """

    @pytest.fixture
    def known_clients(self) -> Mapping[str, Mapping[str, str]]:
        """Headers by identity, of two clients or more; to be overridden."""
        fail('override the fixture "known_clients": return the headers of requests by identity')


def _damaged(value: str) -> list[str]:
    """Return what a header may be instead."""
    half = value[: len(value) // 2]
    return [
        "",
        " ",
        half,
        value * 2,
        value + "\xff",
        "\x00",
        "x" * 10_000,
        f"{half}\n{half}",
        "=,;",
    ]
