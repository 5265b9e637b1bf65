"""The settings of the observe plugin."""

import pegboard


class ObserveSettings(pegboard.Settings):
    """Where the metrics are shown, and whether there are traces."""

    public: bool = pegboard.setting(
        default=False,
        doc="Serve the metrics at /metrics of the service itself, to whoever can reach it; needed "
        "only where there is no management port.",
    )
    traces: bool = pegboard.setting(
        default=False,
        doc="Make an OpenTelemetry trace of each request; the variables OTEL_* of its SDK say how "
        "many are made, and where they are sent. Needs pegboard-observe[traces].",
    )
