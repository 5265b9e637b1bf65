"""What takes the spans of this process, as the variables OTEL_* of OpenTelemetry's SDK say."""

import multiprocessing.util
import os
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)

_EXPORTER = "OTEL_TRACES_EXPORTER"
_KNOWN = ("otlp", "console", "none")


def check_exporter() -> str:
    """Return the name of the exporter. Raises `ValueError` for one that is unknown."""
    name = os.environ.get(_EXPORTER) or "otlp"
    if name not in _KNOWN:
        message = f"{_EXPORTER} is {name}, which is none of {', '.join(_KNOWN)}"
        raise ValueError(message)
    return name


def tracer() -> trace.Tracer:
    """Return what makes spans: of the provider of this process, which is made if there is none."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(_new_provider())
    return trace.get_tracer("pegboard", version("pegboard"))


def _new_provider() -> TracerProvider:
    # What the environment says of the service wins over the attributes given here.
    named = {SERVICE_NAME: "pegboard", SERVICE_VERSION: version("pegboard")}
    told = Resource.create({}).attributes
    if not str(told.get(SERVICE_NAME, "")).startswith("unknown_service"):
        del named[SERVICE_NAME]
    if SERVICE_VERSION in told:
        del named[SERVICE_VERSION]
    provider = TracerProvider(resource=Resource.create(named))
    match check_exporter():
        case "otlp":
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        case "console":
            provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    # At the end of a worker of multiprocessing, which runs nothing else then.
    multiprocessing.util.Finalize(None, provider.shutdown, exitpriority=10)
    return provider
