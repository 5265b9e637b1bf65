"""Traces: a span for each request and for what it waits for, with OpenTelemetry's names."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import pegboard
from pegboard.testing.fixtures import MakeApp, StartService
from pegboard.testing.processes import run_python
from pegboard_observe.folder import VARIABLE

pytest.importorskip("opentelemetry.sdk", reason="pegboard-observe[traces] is not installed")

from opentelemetry import propagate, trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
Spans = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """What has the spans of this process, which may have one provider only."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Spans:
    """Return the spans that have ended since the last call, by name."""

    def take() -> dict[str, ReadableSpan]:
        found = exporter.get_finished_spans()
        exporter.clear()
        names = [one.name for one in found]
        assert len(names) == len(set(names)), names
        return dict(zip(names, found, strict=True))

    exporter.clear()
    return take


class Shop:
    """A plugin whose view asks the database, with a stage that waits."""

    name = "shop"
    order = 7

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}

    @pegboard.hookimpl
    def pegboard_setup(self, app: Flask) -> None:
        """Add routes."""
        app.add_url_rule("/shop/<int:number>", "shop_find", self.find)
        app.add_url_rule("/shop/broken", "shop_broken", self.fail)

    @pegboard.hookimpl
    def pegboard_stages(self) -> list[Any]:
        """Return itself."""
        return [self]

    def bind(self, route: Any) -> Any:
        """Bind to its route."""
        return self if route is not None and route.endpoint == "shop_find" else None

    def prepare(self, _call: Any) -> list[Any]:
        """Ask nothing."""
        return []

    def complete(self, _call: Any, _replies: Any) -> None:
        """Wait."""
        time.sleep(0.002)

    def find(self, number: int) -> str:
        """Execute a statement, and note what is sent to others."""
        propagate.inject(self.sent)
        statement = text("SELECT :number, 'secret'")
        return str(pegboard.db.session.execute(statement, {"number": number}).scalar())

    def fail(self) -> str:
        """Execute what fails."""
        try:
            pegboard.db.session.execute(text("SELECT * FROM nowhere"))
        except OperationalError:
            return pegboard.abort(503, "Not now.")
        return ""


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """Return the attributes of a span."""
    assert span.attributes is not None
    return span.attributes


def parent_of(span: ReadableSpan) -> int | None:
    """Return the id of the parent of a span."""
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    identifier: int = span.context.span_id
    return identifier


def times(span: ReadableSpan) -> tuple[int, int]:
    """Return when a span has begun and ended, in nanoseconds."""
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def test_a_request_and_what_it_waits_for_have_spans(make_app: MakeApp, spans: Spans):
    """With the names and attributes of the conventions, one below the other."""
    shop = Shop()
    app = make_app(plugins=["observe", shop], OBSERVE_TRACES=True)
    with app.app_context():
        pegboard.db.session.execute(text("SELECT 1"))  # of no request
    answer = app.test_client().get("/shop/7?token=1", headers={"User-Agent": "test"})
    assert "7" == answer.text
    found = spans()
    with app.app_context():
        database = pegboard.db.engine.url.database
    expected = {"GET /shop/<int:number>", f"SELECT {database}", "stage shop.complete"}
    assert expected == found.keys()
    request = found["GET /shop/<int:number>"]
    assert trace.SpanKind.SERVER is request.kind
    assert {
        "http.request.method": "GET",
        "url.path": "/shop/7",
        "url.scheme": "http",
        "server.address": "localhost",
        "client.address": "127.0.0.1",
        "user_agent.original": "test",
        "network.protocol.version": "1.1",
        "http.route": "/shop/<int:number>",
        "pegboard.plugin": "shop",
        "http.response.status_code": 200,
        "http.response.body.size": 1,
    } == attributes(request)
    (statement,) = [one for name, one in found.items() if name.startswith("SELECT")]
    assert "SELECT ?, ?" == attributes(statement)["db.query.text"]
    assert "sqlite" == attributes(statement)["db.system.name"]
    assert "SELECT" == attributes(statement)["db.operation.name"]
    assert trace.SpanKind.CLIENT is statement.kind
    stage = found["stage shop.complete"]
    for one in (statement, stage):
        assert id_of(request) == parent_of(one)
        (began, ended), (first, last) = times(one), times(request)
        assert first <= began <= ended <= last
    began, ended = times(stage)
    assert ended - began >= 2_000_000
    context = request.context
    assert context is not None
    trace_id = trace.format_trace_id(context.trace_id)
    told = f"00-{trace_id}-{trace.format_span_id(context.span_id)}-"
    assert shop.sent["traceparent"].startswith(told)
    assert None is parent_of(request)


def test_errors_and_what_no_view_answers_have_spans(make_app: MakeApp, spans: Spans):
    """Unknown routes and methods make no names."""
    app = make_app(plugins=["observe", Shop()], OBSERVE_TRACES=True, TESTING=False, SECRET_KEY="k")
    client = app.test_client()
    assert 503 == client.get("/shop/broken").status_code
    found = spans()
    request = found["GET /shop/broken"]
    assert trace.StatusCode.ERROR is request.status.status_code
    assert "503" == attributes(request)["error.type"]
    (statement,) = [one for name, one in found.items() if name.startswith("SELECT")]
    assert trace.StatusCode.ERROR is statement.status.status_code
    assert "OperationalError" == attributes(statement)["error.type"]
    client.get("/nothing")
    client.open("/nothing", method="BREW")
    found = spans()
    assert 404 == attributes(found["GET"])["http.response.status_code"]
    assert trace.StatusCode.UNSET is found["GET"].status.status_code
    assert "_OTHER" == attributes(found["HTTP"])["http.request.method"]


@pytest.mark.parametrize("proxies", [["127.0.0.0/8"], ["1"], []], ids=["network", "hops", "none"])
def test_only_the_trace_of_a_trusted_caller_goes_on(
    make_app: MakeApp, spans: Spans, proxies: list[str], capsys: pytest.CaptureFixture[str]
):
    """That of any other is a link, and the log has the id of the trace."""
    app = make_app(
        plugins=["observe"], OBSERVE_TRACES=True, TRUSTED_PROXIES=proxies, LOG_FORMAT="json"
    )
    app.test_client().get("/health", headers={"traceparent": TRACEPARENT})
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    (request,) = spans().values()
    assert request.context is not None
    trace_id = trace.format_trace_id(request.context.trace_id)
    assert line["trace_id"] == trace_id
    if proxies:
        assert (TRACE, int(PARENT, 16)) == (trace_id, parent_of(request))
        assert () == request.links
    else:
        assert trace_id != TRACE
        assert None is parent_of(request)
        (link,) = request.links
        assert TRACE == trace.format_trace_id(link.context.trace_id)


OFF = """
import sys
import pegboard
app = pegboard.create_app({"ENV": "testing", "LOG_LEVEL": "ERROR"}, plugins=["observe"])
app.test_client().get("/health")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
sys.modules["opentelemetry"] = None
try:
    pegboard.create_app({"ENV": "testing", "OBSERVE_TRACES": True}, plugins=["observe"])
except pegboard.StartupError as error:
    print(error)
"""


def test_without_traces_nothing_of_them_is_imported():
    """And a service that is to make them, and cannot, does not start."""
    assert "OBSERVE_TRACES_IMPOSSIBLE" in run_python(OFF)


class Collector(ThreadingHTTPServer):
    """What traces are sent to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.found: list[Any] = []


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.found += [(resource.resource, span) for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_service_sends_what_the_environment_wants(
    live_server: StartService, monkeypatch: pytest.MonkeyPatch
):
    """Here only the traces of callers that are sampled, all of them when a worker ends."""
    collector = Collector()
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    server = live_server(plugins=["observe"], OBSERVE_TRACES="true", TRUSTED_PROXIES="127.0.0.0/8")
    assert 200 == server.request("GET", "/health")[0]
    assert 404 == server.request("GET", "/nothing", headers={"traceparent": TRACEPARENT})[0]
    server.stop()
    collector.shutdown()
    collector.server_close()
    ((resource, span),) = collector.found
    assert ("GET", TRACE) == (span.name, span.trace_id.hex())
    names = {one.key: one.value.string_value for one in resource.attributes}
    assert "shop" == names["service.name"]
