"""What the process of the management port knows of the service."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flask import Flask

from pegboard.api import CheckResult, HealthCheck, get_health
from pegboard.app import disconnect
from pegboard.inspection import Diagnosis, diagnose
from pegboard.problems import PLUGIN_FAULTS
from pegboard.redaction import reason_of
from pegboard.server import Address, Limits, Roster, UnixAddress

logger = logging.getLogger(__name__)

LONGEST_UNSUPERVISED = 15.0
"""Seconds for which the main process may not have moved; it does every second."""

LONGEST_UNSERVED = 60.0
"""Seconds for which no worker may have served, beyond the time after which one is replaced."""

FIRST_CHECKS = 3.0
"""Seconds that a probe waits for the app to be built."""


class Check(NamedTuple):
    """One condition of health."""

    result: CheckResult
    is_required: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        reason, milliseconds = self.result
        return {
            "result": "ok" if reason is None else "failing",
            "required": self.is_required,
            "reason": reason,
            "milliseconds": milliseconds,
        }


class ServedService:
    """The service as this process sees it: its workers, and an app of its own."""

    def __init__(
        self,
        build: Callable[[], Flask],
        address: Address | UnixAddress,
        limits: Limits,
        roster: Roster,
    ) -> None:
        self._build = build
        self._address = address
        self._limits = limits
        self.roster = roster
        self._found: Diagnosis | None = None
        self._error = "its app is being built"
        self._is_loaded = threading.Event()

    def load(self) -> None:
        """Build the app; what goes wrong is a failing health check."""
        try:
            self._found = diagnose(self._build)
            if self._found.error is not None:
                self._error = str(self._found.error)
                logger.error("the app of the management port cannot be built: %s", self._error)
        except PLUGIN_FAULTS as error:
            logger.exception("the app of the management port cannot be built")
            self._error = reason_of(error)
        finally:
            self._is_loaded.set()

    @property
    def is_loaded(self) -> bool:
        """Whether the app is built, or cannot be."""
        return self._is_loaded.is_set()

    def close(self) -> None:
        """Disconnect."""
        if self._found is not None and self._found.app is not None:
            disconnect(self._found.app)

    @property
    def found(self) -> Diagnosis | None:
        """The plugins and settings of the service; None if they could not be read."""
        self._is_loaded.wait(FIRST_CHECKS)
        return self._found

    @property
    def app(self) -> Flask | None:
        """The app; None if it could not be built."""
        return self.found.app if self.found is not None else None

    @property
    def skipped(self) -> list[str]:
        """The names of the plugins that failed and were left out."""
        return [*get_health(self.app).skipped] if self.app is not None else []

    def liveness(self) -> Mapping[str, Check]:
        """Return the checks of whether the service lives, or should be started anew."""
        unserved = self.roster.unserved_seconds
        longest = LONGEST_UNSERVED + self._limits.worker_timeout
        is_stopping = self.roster.is_stopping
        unsupervised = 0.0 if is_stopping else self.roster.unsupervised_seconds
        return {
            "supervisor": _check(
                unsupervised < LONGEST_UNSUPERVISED,
                f"the main process has not moved for {unsupervised:.0f} s",
            ),
            "served": _check(
                is_stopping or unserved < longest, f"no worker has served for {unserved:.0f} s"
            ),
        }

    def readiness(self) -> Mapping[str, Check]:
        """Return the checks of whether the service can serve."""
        states = [one.state for one in self.roster.states()]
        # During a stop those that leave are those that serve, until they have ended.
        serving = states.count("leaving" if self.roster.is_stopping else "serving")
        checks = {
            "running": _check(not self.roster.is_stopping, "the service is stopping"),
            "workers": _check(
                bool(serving), f"none of {len(states)} workers serves: {', '.join(states)}"
            ),
            "all_workers": _check(
                serving >= self.roster.workers,
                f"{serving} of {self.roster.workers} workers serve",
                is_required=False,
            ),
            "address": self._address_check(),
        }
        return {**checks, **self._checks_of_app()}

    def _address_check(self) -> Check:
        began = time.monotonic()
        is_listening = self._address.is_listening()
        took = round((time.monotonic() - began) * 1000, 2)
        reason = None if is_listening else f"nothing listens at {self._address.url}"
        return Check(CheckResult(reason, took))

    def _checks_of_app(self) -> Mapping[str, Check]:
        app = self.app
        if app is None:
            return {"app": Check(CheckResult(self._error, 0.0))}
        health = get_health(app)
        with app.app_context():
            results = health.results()
        return dict(_checks(health.checks, results))


def _checks(
    checks: Iterable[HealthCheck], results: Mapping[str, CheckResult]
) -> Iterable[tuple[str, Check]]:
    unknown = CheckResult("it has not ended yet", 0.0)
    for check in checks:
        yield check.name, Check(results.get(check.name, unknown), check.is_required)


def _check(holds: bool, reason: str, *, is_required: bool = True) -> Check:  # noqa: FBT001 - a condition
    return Check(CheckResult(None if holds else reason, 0.0), is_required)
