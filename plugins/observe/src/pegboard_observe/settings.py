"""The settings of the observe plugin."""

import pegboard


class ObserveSettings(pegboard.Settings):
    """Where the metrics are kept and shown."""

    public: bool = pegboard.setting(
        default=False,
        doc="Serve the metrics at /metrics of the service itself, to whoever can reach it; needed "
        "only where there is no management port.",
    )
