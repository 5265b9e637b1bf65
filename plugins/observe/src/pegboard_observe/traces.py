"""OpenTelemetry traces: a span for each request, and for what it waits for.

Spans have the names and attributes of OpenTelemetry's semantic conventions for HTTP and databases.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask
from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

import pegboard
from pegboard.clients import get_clients
from pegboard.observation import (
    CLIENT_GONE,
    Observation,
    Observer,
    Part,
    PartKind,
    set_trace_id,
    statement_text,
)
from pegboard_observe.provider import check_exporter, tracer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_SPAN = "pegboard_observe.span"
_FIRST_ERROR = 500
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db"}
"""Names of databases that are others than SQLAlchemy's."""

_WAITS = 0.001
"""Seconds from which on a stage or a hook has a span: it has waited for something."""

_LONGEST = 1000


class Traces(Observer):
    """An observer that makes spans."""

    def __init__(self, app: Flask) -> None:
        """Make spans from the first request on. Raises `ValueError` for an unknown exporter."""
        check_exporter()
        self._clients = get_clients(app)
        self._made: Tracer | None = None
        fields = propagate.get_global_textmap().fields
        self._headers = [f"HTTP_{name.upper().replace('-', '_')}" for name in fields]
        with app.app_context():
            engine = pegboard.db.engine
        system, url = engine.dialect.name, engine.url
        self._database: dict[str, Any] = {"db.system.name": _SYSTEMS.get(system, system)}
        named = {
            "db.namespace": url.database,
            "server.address": url.host,
            "server.port": url.port,
        }
        self._database |= {key: value for key, value in named.items() if value}

    @property
    def _tracer(self) -> Tracer:
        # Not at the start: a command makes an app, too, and a worker is forked from its process.
        if self._made is None:
            self._made = tracer()
        return self._made

    def begin(self, environ: "WSGIEnvironment", /) -> None:
        """Begin the span of a request, in the trace of a trusted caller or in a new one."""
        remote, links = self._caller(environ)
        method = environ["REQUEST_METHOD"]
        name = method if method in _METHODS else "HTTP"
        chosen_by = {"url.path": environ.get("PATH_INFO", "")[:_LONGEST]}  # of some samplers
        span = self._tracer.start_span(name, remote, SpanKind.SERVER, chosen_by, links)
        if span.is_recording():
            span.set_attributes(self._of_request(environ))
        environ[_SPAN] = span
        attach(trace.set_span_in_context(span, remote))
        context = span.get_span_context()
        if context.is_valid:
            set_trace_id(trace.format_trace_id(context.trace_id))

    def _caller(self, environ: "WSGIEnvironment") -> tuple[Context, list[Link]]:
        """Return the context of a trusted caller; for any other an empty one, and a link."""
        if not any([name in environ for name in self._headers]):  # noqa: C419 - faster so
            return Context(), []
        remote = propagate.extract(environ, Context(), _HEADERS)
        if self._clients.has_trusted_peer(environ):
            return remote, []
        given = trace.get_current_span(remote).get_span_context()
        return Context(), [Link(given)] if given.is_valid else []

    def end(self, one: Observation, /) -> None:
        """End it, with what is known of the answer."""
        span: Span | None = one.environ.pop(_SPAN, None)
        attach(Context())
        if span is None:
            return
        if span.is_recording():
            self._finish(span, one)
        span.end()

    def _finish(self, span: Span, one: Observation) -> None:
        if one.route is not None:
            span.update_name(f"{one.route.method} {one.route.rule.rule}")
            span.set_attribute("http.route", one.route.rule.rule)
        span.set_attribute("pegboard.plugin", one.plugin)
        if one.is_cached is not None:
            span.set_attribute("pegboard.cached", one.is_cached)
        if one.status == CLIENT_GONE:
            span.set_attribute("error.type", "client_gone")
            return
        span.set_attribute("http.response.status_code", one.status)
        span.set_attribute("http.response.body.size", one.size)
        if one.status >= _FIRST_ERROR:
            span.set_attribute("error.type", str(one.status))
            span.set_status(Status(StatusCode.ERROR))

    def statement(self, text: str, seconds: float, error: BaseException | None, /) -> None:
        """Make the span of a statement, if a request has executed it."""
        if not trace.get_current_span().is_recording():
            return
        shown = statement_text(text)
        operation = shown.partition(" ")[0].upper()
        attributes = {**self._database, "db.query.text": shown, "db.operation.name": operation}
        if error is not None:
            attributes["error.type"] = type(error).__name__
            if code := getattr(error, "pgcode", None):
                attributes["db.response.status_code"] = code
        name = f"{operation} {self._database.get('db.namespace', '')}".rstrip()
        self._note(name, SpanKind.CLIENT, attributes, seconds, has_failed=error is not None)

    def part(self, part: Part, /) -> Callable[[float, float], None]:
        """Return what makes the span of a run of a part, if it has waited."""
        is_redis = part.kind is PartKind.REDIS
        kind = SpanKind.CLIENT if is_redis else SpanKind.INTERNAL
        attributes: dict[str, Any] = {"pegboard.plugin": part.plugin}
        if is_redis:
            attributes |= {"db.system.name": "redis"}
        name, shortest = f"{part.kind} {part.name}", 0.0 if is_redis else _WAITS

        def note(seconds: float, _stands_for: float) -> None:
            if seconds >= shortest and trace.get_current_span().is_recording():
                self._note(name, kind, attributes, seconds)

        return note

    def _note(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        seconds: float,
        *,
        has_failed: bool = False,
    ) -> None:
        """Make a span of what has just ended, within that of the request."""
        ended = time.time_ns()
        began = ended - int(seconds * 1e9)
        span = self._tracer.start_span(name, None, kind, attributes, start_time=began)
        if has_failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def _of_request(self, environ: "WSGIEnvironment") -> dict[str, Any]:
        method = environ["REQUEST_METHOD"]
        is_known = method in _METHODS
        found = {
            "http.request.method": method if is_known else "_OTHER",
            "http.request.method_original": None if is_known else method[:_LONGEST],
            "url.scheme": environ.get("wsgi.url_scheme"),
            "server.address": environ.get("HTTP_HOST", "")[:_LONGEST],
            "client.address": self._clients.address_of(environ),
            "user_agent.original": environ.get("HTTP_USER_AGENT", "")[:_LONGEST],
            "network.protocol.version": environ.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        }
        return {key: value for key, value in found.items() if value}


class _Headers(Getter[Mapping[str, Any]]):
    """Reads headers of a WSGI environment."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        value = carrier.get(f"HTTP_{key.upper().replace('-', '_')}")
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [
            key.removeprefix("HTTP_").lower().replace("_", "-")
            for key in carrier
            if key.startswith("HTTP_")
        ]


_HEADERS = _Headers()
