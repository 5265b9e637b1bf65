"""The settings of the observe plugin."""

from marshmallow.validate import Range

import pegboard


class ObserveSettings(pegboard.Settings):
    """Where the metrics are shown, what they measure, and whether there are traces."""

    public: bool = pegboard.setting(
        default=False,
        doc="Serve the metrics at /metrics of the service itself, to whoever can reach it; needed "
        "only where there is no management port.",
    )
    stage_share: float = pegboard.setting(
        default=0.05,
        doc="Share of the requests whose stages are measured, 0 to 1; each counts for as many as "
        "it stands for. A share of 1 costs a cached answer some 2 % more CPU.",
        validate=Range(0, 1),
    )
    traces: bool = pegboard.setting(
        default=False,
        doc="Make an OpenTelemetry trace of each request; the variables OTEL_* of its SDK say how "
        "many are made, and where they are sent. Needs pegboard-observe[traces].",
    )
