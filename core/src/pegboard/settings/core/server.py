"""Where `pegboard serve` listens, how much it takes on, and when it gives up."""

from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range

from pegboard.http import OFF, parse_endpoint
from pegboard.settings.checks import check_mode
from pegboard.settings.declare import Settings, setting


def _port(value: int) -> None:
    Range(0, 65535)(value)


def _worker_timeout(value: float) -> None:
    if value:
        Range(2, 3600)(value)  # a worker beats every second, and may be late


def _endpoint(value: str) -> None:
    try:
        parse_endpoint(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class ListeningSettings(Settings):
    """Addresses, TLS and HTTP/2."""

    host: str = setting(
        "127.0.0.1",
        doc="Address that `pegboard serve` listens on, or `unix:` and the path of a Unix socket.",
        validate=Length(1),
    )
    port: int = setting(8000, doc="Port that `pegboard serve` listens on.", validate=_port)
    socket_mode: str = setting(
        "660", doc="Permissions of the Unix socket, in octal.", validate=check_mode
    )
    tls_certificate: str = setting(
        "", doc="File (PEM) of the certificate and its chain; with it, only TLS is spoken."
    )
    tls_key: str = setting("", doc="File (PEM) of the key of `PEGBOARD_TLS_CERTIFICATE`.")
    tls_key_password: str = setting(
        "", doc="Password that the key is encrypted with, if any.", secret=True
    )
    tls_min_version: str = setting(
        "1.2", doc="Oldest version of TLS: 1.2 or 1.3.", validate=OneOf(("1.2", "1.3"))
    )
    http2: bool = setting(
        default=False,
        doc="Speak HTTP/2 as well: with TLS to clients that choose it, without to those that begin "
        "with it.",
    )


class LimitSettings(Settings):
    """Workers, requests and connections, and the management port."""

    workers: int = setting(
        1,
        doc="Worker processes of `pegboard serve`; with another server, the number that it runs.",
        validate=Range(1, 512),
    )
    threads: int = setting(
        64,
        doc="Threads of each worker: requests answered at once with Flask or the database; others "
        "wait.",
        validate=Range(1, 512),
    )
    queue: int = setting(
        1000,
        doc="Requests of each worker that may wait for their turn; others get their 503 at once.",
        validate=Range(0, 65535),
    )
    backlog: int = setting(
        1024,
        doc="Connections that each worker may have; as many more may wait to be accepted.",
        validate=Range(128, 65535),
    )
    management: str = setting(
        OFF,
        doc="Where `pegboard serve` tells operators of itself: off, or an address: 9000 (of the "
        "loopback), 0.0.0.0:9000, [::1]:9000 or unix:/path. Whoever reaches it may do all it can.",
        validate=_endpoint,
    )
    header_timeout: float = setting(
        10.0, doc="Longest time until a request's headers have arrived.", validate=Range(0.1, 300)
    )
    keep_alive_timeout: float = setting(
        75.0,
        doc="How long a connection may be idle between two requests; longer than those of load "
        "balancers in front.",
        validate=Range(1, 3600),
    )
    connections_per_client: int = setting(
        256,
        doc="Connections of each worker that one address may have, trusted proxies excepted; of "
        "more the unused ones are closed. 0: any number.",
        validate=Range(0, 65535),
    )
    body_timeout: float = setting(
        30.0,
        doc="Longest pause of a client in sending or receiving a body.",
        validate=Range(0.1, 3600),
    )
    request_timeout: float = setting(
        30.0,
        doc="Longest time from the arrival of a request's headers to the beginning of its answer, "
        "its body included; its client may ask for less by the header Request-Timeout.",
        validate=Range(0.01, 3600),
    )
    shutdown_timeout: float = setting(
        30.0,
        doc="Longest time that the requests of a worker may go on, streams included, when it is "
        "stopped or replaced; what takes longer is cut.",
        validate=Range(1, 3600),
    )
    drain_delay: float = setting(
        0.0,
        doc="How long a stop first goes on serving all, while `/health/ready` is 503, so that load "
        "balancers send nothing more.",
        validate=Range(0, 600),
    )
    worker_timeout: float = setting(
        30.0,
        doc="Longest time that the event loop of a worker may stand still; then the worker's "
        "stacks are logged and it is replaced. So it is if all threads of a kind that requests "
        "need stand still for that time, or for `PEGBOARD_REQUEST_TIMEOUT` if that is longer. At "
        "least 2, or 0: for ever.",
        validate=_worker_timeout,
    )
    worker_start_timeout: float = setting(
        120.0,
        doc="Longest time that a worker may take until it serves; then its stacks are logged and "
        "it is replaced. As long may it take to build the service before the first worker starts; "
        "then the start fails. 0: for ever.",
        validate=Range(0, 3600),
    )
    worker_lifetime: float = setting(
        0.0,
        doc="Age at which a worker is replaced, without losing a request that ends within "
        "`PEGBOARD_SHUTDOWN_TIMEOUT`; 0: never.",
        validate=Range(0, 31_536_000),
    )
    worker_max_requests: int = setting(
        0,
        doc="Requests after which a worker is replaced, as by age; 0: never.",
        validate=Range(0, 10**12),
    )
    worker_max_rss: int = setting(
        0,
        doc="Memory (RSS, in MiB) at which a worker is replaced, as by age; it must be more than a "
        "new worker has. 0: never.",
        validate=Range(0, 1_048_576),
    )
    max_content_length: int = setting(
        1024 * 1024, doc="Largest request body, in bytes.", validate=Range(1, 1024**3)
    )
