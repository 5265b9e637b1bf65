"""The codes of the plugin's problems; the reference lists them."""

import pegboard


class Code(pegboard.ProblemCode):
    """Every cause for which the plugin refuses to start."""

    TRACES_IMPOSSIBLE = (
        "OBSERVE_TRACES_IMPOSSIBLE",
        (
            "`PEGBOARD_OBSERVE_TRACES` is on, and the packages of OpenTelemetry are not installed, "
            "or `OTEL_TRACES_EXPORTER` names an exporter that is unknown."
        ),
        "there can be no traces: No module named 'opentelemetry'",
        "Install pegboard-observe[traces], and have otlp, console or none in OTEL_TRACES_EXPORTER.",
    )
