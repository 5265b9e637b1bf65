"""What holds for every request and answer: who may call, from where, under which path."""

from collections.abc import Callable

from marshmallow import ValidationError
from marshmallow.validate import OneOf, Range

from pegboard.clients import PROXY_HEADERS, TrustedProxies, parse_prefix
from pegboard.http import UnsendableError, encode_header_name, parse_origin
from pegboard.settings.declare import Settings, Validator, setting


def _each(check: Callable[[str], object]) -> Validator:
    """Return a validator of a list that names all entries that the check refuses."""

    def validate(entries: tuple[str, ...]) -> None:
        wrong = []
        for entry in entries:
            try:
                check(entry)
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValidationError(wrong)

    return validate


def _header_name(name: str) -> None:
    try:
        encode_header_name(name)
    except UnsendableError:
        message = f"{name!r} is no name of a header."
        raise ValueError(message) from None


def _prefix(value: str) -> None:
    try:
        parse_prefix(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _proxies(value: tuple[str, ...]) -> None:
    try:
        TrustedProxies.parse(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class OriginSettings(Settings):
    """What browsers may call from other origins (CORS)."""

    cors_origins: tuple[str, ...] = setting(
        (),
        doc="Origins that browsers may call from, comma-separated.",
        validate=_each(parse_origin),
    )
    cors_exposed_headers: tuple[str, ...] = setting(
        (),
        doc="Headers of answers that scripts of those origins may read, besides the platform's.",
        validate=_each(_header_name),
    )
    cors_max_age: int = setting(
        7200,
        doc="How long a browser may remember what it may call, in seconds.",
        validate=Range(0, 86400),
    )


class EdgeSettings(Settings):
    """Proxies in front, the path prefix, compression."""

    trusted_proxies: tuple[str, ...] = setting(
        (),
        doc="Proxies whose `PEGBOARD_PROXY_HEADER` is trusted: their number, as in 1, or their "
        "networks, and unix for a Unix socket.",
        validate=_proxies,
    )
    proxy_header: str = setting(
        "X-Forwarded-For",
        doc="The header in which trusted proxies name the client's address.",
        validate=OneOf(tuple(PROXY_HEADERS)),
    )

    path_prefix: str = setting(
        "",
        doc="Path under which clients reach the service, as in /shop; a trusted proxy may send "
        "another as X-Forwarded-Prefix.",
        validate=_prefix,
    )
    compression: bool = setting(
        default=True, doc="Compress answers for clients that accept zstd, br or gzip."
    )
    compression_min_size: int = setting(
        1024,
        doc="Bytes from which on an answer is compressed; one with an ETag is from 20 on.",
        validate=Range(1, 1024**3),
    )
