"""Each rule of `ClientIdentityContract` fails for what breaks it, and says what to do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from flask import Flask

import pegboard
from pegboard.testing.broken_rules import breaks
from pegboard.testing.contracts import ClientIdentityContract

KEYS = {"wonder": "alice", "builder": "bob"}
KNOWN = "test_a_known_client_has_its_identity"
UNKNOWN = "test_an_unknown_client_has_none"
DAMAGED = "test_what_is_damaged_is_no_failure"
AT_ONCE = "test_clients_at_once_are_told_apart"


def by_key(environ: Mapping[str, Any]) -> str | None:
    """Find the client by its key, as it should be done."""
    return KEYS.get(environ.get("HTTP_X_API_KEY", ""))


class Keys:
    """A plugin that finds clients by a function."""

    name = "keys"

    def __init__(self, function: Callable[[Any], str | None]) -> None:
        self.function = function

    @pegboard.hookimpl
    def pegboard_client_identity(self, app: Flask) -> Callable[[Any], str | None]:
        """Return the function."""
        return self.function


class Known:
    """Two clients with keys."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        """Find the client; a test has another one."""
        return by_key(environ)

    @pytest.fixture
    def plugins(self) -> Sequence[object]:
        """The plugin."""
        return [Keys(self._function)]

    @pytest.fixture
    def known_clients(self) -> Mapping[str, Mapping[str, str]]:
        """Their keys."""
        return {name: {"X-Api-Key": key} for key, name in KEYS.items()}


class TestKeys(Known, ClientIdentityContract):
    """A function that keeps the contract."""


@breaks(ClientIdentityContract, KNOWN, "the client alice is not known by")
class TestNobody(Known):
    """It knows nobody."""

    @staticmethod
    def _function(_environ: Any) -> str | None:
        return None


@breaks(ClientIdentityContract, KNOWN, "the client alice is taken for user:all")
class TestAlike(Known):
    """All are one."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        return "all" if by_key(environ) else None


@breaks(ClientIdentityContract, KNOWN, "the environment is changed")
class TestChanges(Known):
    """It writes into the environment."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        environ["user"] = by_key(environ)
        return by_key(environ)


@breaks(ClientIdentityContract, KNOWN, "wsgi.input.read is used")
class TestReads(Known):
    """It reads the body."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        environ["wsgi.input"].read()
        return by_key(environ)


@breaks(ClientIdentityContract, UNKNOWN, "is taken for user:guest: return None")
class TestGuest(Known):
    """Who shows nothing is one client with all others."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        return by_key(environ) or "guest"


@breaks(ClientIdentityContract, UNKNOWN, "KeyError('HTTP_X_API_KEY'). Return None for")
class TestNeedsHeader(Known):
    """It fails without the header."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        return KEYS.get(environ["HTTP_X_API_KEY"])


@breaks(ClientIdentityContract, DAMAGED, "makes the identity fail: UnicodeEncodeError")
class TestPlainTextOnly(Known):
    """It fails for what is not ASCII."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        return KEYS.get(environ.get("HTTP_X_API_KEY", "").encode("ascii").decode())


@breaks(
    ClientIdentityContract,
    "test_a_request_without_an_address_is_no_failure",
    "the client alice is taken for unknown where the connection has no address",
)
class TestNeedsAddress(Known):
    """It believes only who has an address."""

    @staticmethod
    def _function(environ: Any) -> str | None:
        return by_key(environ) if environ.get("REMOTE_ADDR") else None


@breaks(ClientIdentityContract, AT_ONCE, "of requests at once, one of")
class TestRemembers(Known):
    """It keeps the last client, as a global would."""

    last: Any = None

    @staticmethod
    def _function(environ: Any) -> str | None:
        found = by_key(environ)
        last, TestRemembers.last = getattr(TestRemembers, "last", None), found
        return last or found


@breaks(ClientIdentityContract, KNOWN, "return two clients or more from the fixture")
class TestOneClient(Known):
    """One client could be everybody."""

    @pytest.fixture
    def known_clients(self) -> Mapping[str, Mapping[str, str]]:
        """Only one."""
        return {"alice": {"X-Api-Key": "wonder"}}
