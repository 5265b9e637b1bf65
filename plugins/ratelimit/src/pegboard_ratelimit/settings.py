"""The settings of the ratelimit plugin."""

import re
from collections.abc import Iterator

from marshmallow import ValidationError
from marshmallow.validate import OneOf, Range, Regexp

import pegboard
from pegboard_ratelimit.counting import MAX_CLIENTS
from pegboard_ratelimit.rules import METHODS, OnFailure, Rule, Source, WrittenRule, parse_limit

_METHODS = rf"(?:{'|'.join(('HEAD', *METHODS))})"
_ROUTE = re.compile(
    rf"(?P<methods>{_METHODS}(?:\|{_METHODS})*)?(?(methods)(?:\s+|$))(?P<route>\S*)"
)


def _limit(value: str) -> None:
    try:
        parse_limit(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _routes(value: dict[str, str]) -> None:
    try:
        tuple(_rules_of(value))
    except ValueError as error:
        raise ValidationError(str(error)) from None


class RatelimitSettings(pegboard.Settings):
    """The limits, and what to do while requests cannot be counted."""

    enabled: bool = pegboard.setting(default=True, doc="Whether requests are limited at all.")
    default: str = pegboard.setting(
        "1000/minute",
        doc="The limit of each client where no other rule applies; none is no limit.",
        validate=_limit,
    )
    routes: dict[str, str] = pegboard.setting(
        {},
        doc="Limits of routes and methods: GET /api/items/*=10/second;99/minute,POST=9/hour.",
        validate=_routes,
    )
    on_failure: str = pegboard.setting(
        "local",
        doc="Without Redis: local (each worker admits its share), open or closed (503).",
        validate=OneOf(tuple(OnFailure)),
    )
    legacy_headers: bool = pegboard.setting(
        default=False, doc="Send X-RateLimit-Limit, -Remaining and -Reset as well."
    )
    prefix: str = pegboard.setting(
        "pegboard",
        doc="What every key in Redis begins with; differs between deployments on one server.",
        validate=Regexp(r"[A-Za-z0-9._-]{1,40}\Z", error="1 to 40 of A-Z a-z 0-9 . _ and -"),
    )
    memory_clients: int = pegboard.setting(
        MAX_CLIENTS,
        doc="Clients of each rule that a worker remembers when it counts by itself.",
        validate=Range(100, 10_000_000),
    )


def rules_of(settings: RatelimitSettings) -> Iterator[Rule]:
    """Yield the rules of the settings."""
    yield WrittenRule(settings.default).read("default", Source.DEFAULT)
    yield from _rules_of(settings.routes)


def _rules_of(routes: dict[str, str]) -> Iterator[Rule]:
    seen: dict[tuple[str, frozenset[str]], str] = {}
    for text, limit in routes.items():
        found = _ROUTE.fullmatch(text.strip())
        if not found or not text.strip():
            message = f"{text!r} is not a route: write GET|POST /api/items/*, a path, or methods."
            raise ValueError(message)
        written = WrittenRule(limit, route=found["route"], methods=found["methods"] or "")
        rule = written.read(text.strip(), Source.SETTING)
        former = seen.setdefault((rule.routes.shape, rule.methods), text)
        if former != text:
            message = f"{former!r} and {text!r} are the same route; write one limit for it."
            raise ValueError(message)
        yield rule
