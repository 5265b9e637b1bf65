"""What `REDIS_URL` says: which servers there are, how they are arranged, and how to get in.

Nothing of the URL is ever repeated in an error but names that are known: a password with a special
character that is not encoded may turn up in any part of it.
"""

import difflib
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote

from pegboard.problems import Code, Problem, StartupError

FORMS = (
    "Write it as redis://[user:password@]host[:port][/db], unix:///path/to/socket[?db=0], "
    "redis+sentinel://[user:password@]host[:port],host[:port]/service[/db] or "
    "redis+cluster://[user:password@]host[:port],host[:port]; rediss in place of redis means TLS; "
    "percent-encode special characters of a password: %40 for @, %2F for /, %23 for #, %3F for ?, "
    "%25 for %."
)


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class RedisURL:
    """A `REDIS_URL` that has been read."""

    arrangement: str
    """`server`, `sentinel` or `cluster`."""
    tls: bool
    addresses: tuple[Address, ...]
    """The server, the sentinels, or some nodes of the cluster; none with a socket."""
    socket: str = ""
    service: str = ""
    """What the sentinels call the master."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """How to get into a server: arguments of redis-py's connections."""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """How to get into a sentinel: the same arguments."""
    tls_context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    """The certificates as they were read at the start; none without TLS."""


_URL = re.compile(
    r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?",
    re.DOTALL,
)
"""The parts of a URL, from RFC 3986, appendix B: `urlsplit` refuses several hosts with brackets."""


def parse(url: str) -> RedisURL:
    """Read the URL; raises `StartupError` when it or a file it names is unusable."""
    match = _URL.fullmatch(url.strip())
    assert match is not None  # each part may be empty
    parts = SplitResult(*match.groups(default=""))
    scheme, _, arrangement = parts.scheme.lower().partition("+")
    if (scheme, arrangement) not in _SCHEMES:
        _refuse("has an unknown scheme")
    options = _options(parts.query, _PARAMETERS[arrangement])
    tls = scheme == "rediss"
    encryption = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if encryption and not tls:
        _refuse("has TLS parameters, but not the scheme of TLS", "Write rediss in place of redis.")
    # Read at the start: mistakes in the files would else show with the first request.
    context = tls_context(encryption) if tls else None
    userinfo, _, hosts = parts.netloc.rpartition("@")
    if not {"[", "]"}.isdisjoint(userinfo):
        _refuse("cannot be read")
    user, _, password = userinfo.partition(":")
    sentinel_options = dict(encryption) if arrangement == "sentinel" else {}
    for name in ("username", "password"):
        if value := options.pop(f"sentinel_{name}", None):
            sentinel_options[name] = value
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    if scheme == "unix":
        return _socket(parts, hosts, options)
    addresses = _addresses(hosts, 26379 if arrangement == "sentinel" else 6379)
    if "@" in parts.path or parts.fragment:
        # Part of a password, whose beginning was taken for the host.
        _refuse("has an @ or a # that is not percent-encoded")
    service = _ARRANGEMENTS[arrangement](parts.path, addresses, options)
    return RedisURL(
        arrangement or "server", tls, addresses, "", service, options, sentinel_options, context
    )


def _refuse(what: str, hint: str = FORMS) -> NoReturn:
    raise StartupError([Problem(Code.REDIS_URL_INVALID, f"REDIS_URL {what}", hint)]) from None


def _socket(parts: SplitResult, hosts: str, options: Mapping[str, Any]) -> RedisURL:
    if hosts or len(parts.path) < len("/x"):
        _refuse("names no socket", "Write it as unix:///path/to/socket, with three slashes.")
    return RedisURL("server", tls=False, addresses=(), socket=unquote(parts.path), options=options)


def _addresses(hosts: str, default_port: int) -> tuple[Address, ...]:
    addresses = []
    for text in hosts.split(","):
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", text)
        port = int(match[3] or default_port) if match else 0
        if not match or not 0 < port < 2**16:
            _refuse("has a host or a port that cannot be read")
        addresses.append(Address(match[1] or match[2], port))
    return tuple(addresses)


def _server(path: str, addresses: tuple[Address, ...], options: dict[str, Any]) -> str:
    if len(addresses) > 1:
        hint = "Say how they are arranged: redis+sentinel://… or redis+cluster://…"
        _refuse("names several servers", hint)
    _read_database(path.removeprefix("/"), options)
    return ""


def _sentinel(path: str, _: tuple[Address, ...], options: dict[str, Any]) -> str:
    service, __, database = path.removeprefix("/").partition("/")
    if not service:
        _refuse("does not say what the sentinels call the master")
    _read_database(database, options)
    return unquote(service)


def _cluster(path: str, _: tuple[Address, ...], options: dict[str, Any]) -> str:
    _read_database(path.removeprefix("/"), options)
    if options.pop("db", 0):
        _refuse("names a database other than 0, which a cluster has not")
    return ""


def _read_database(text: str, options: dict[str, Any]) -> None:
    """Read the part of the path that stands for the parameter `db`."""
    if text and "db" not in options:
        options["db"] = _number(text)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        _refuse("has a database that is no number")
    return int(text)


def _truth(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        _refuse("has a parameter that is neither true nor false")
    return known[text.lower()]


def _requirement(text: str) -> str:
    if text not in _REQUIREMENTS:
        _refuse("has an ssl_cert_reqs other than none, optional or required")
    return text


_ARRANGEMENTS: Mapping[str, Callable[[str, tuple[Address, ...], dict[str, Any]], str]] = {
    "": _server,
    "sentinel": _sentinel,
    "cluster": _cluster,
}
_SCHEMES = {(scheme, how) for scheme in ("redis", "rediss") for how in _ARRANGEMENTS} | {
    ("unix", "")
}

_REQUIREMENTS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_COMMON: Mapping[str, Callable[[str], Any]] = {
    "username": str,
    "password": str,
    "db": _number,
    "client_name": str,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_ciphers": str,
    "ssl_cert_reqs": _requirement,
    "ssl_check_hostname": _truth,
}
_PARAMETERS: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "": _COMMON,
    "sentinel": {**_COMMON, "sentinel_username": str, "sentinel_password": str},
    "cluster": _COMMON,
}
_SETTINGS = {
    "socket_timeout": "PEGBOARD_REDIS_TIMEOUT",
    "socket_connect_timeout": "PEGBOARD_REDIS_TIMEOUT",
    "timeout": "PEGBOARD_REDIS_TIMEOUT",
    "max_connections": "PEGBOARD_REDIS_POOL_SIZE",
}


def _options(query: str, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        _refuse("has parameters that cannot be read")
    for name, value in pairs:
        if name in _SETTINGS:
            _refuse(f"has the parameter {name}", f"Set {_SETTINGS[name]} instead.")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            _refuse("has an unknown parameter", f"{hint}It may have {', '.join(known)}.")
        if name in options:
            _refuse(f"has the parameter {name} twice", "Give it once.")
        options[name] = known[name](value)
    return options


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Read the certificates that the options name; raises `StartupError`."""
    context = ssl.create_default_context()
    requirement = options.get("ssl_cert_reqs", "required")
    context.check_hostname = requirement != "none" and options.get("ssl_check_hostname", True)
    context.verify_mode = _REQUIREMENTS[requirement]
    for use, what, hint in _TLS_STEPS:
        try:
            use(context, options)
        except OSError as error:
            _refuse(what.format(reason=_reason(error)), hint)
    return context


def _trust(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    file, folder = options.get("ssl_ca_certs"), options.get("ssl_ca_path")
    if file is not None or folder is not None:
        context.load_verify_locations(file, folder)


def _identify(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    if certificate := options.get("ssl_certfile"):
        key, password = options.get("ssl_keyfile"), options.get("ssl_password", "")
        context.load_cert_chain(certificate, key, password)


def _choose_ciphers(context: ssl.SSLContext, options: Mapping[str, Any]) -> None:
    if ciphers := options.get("ssl_ciphers"):
        context.set_ciphers(ciphers)


_TLS_STEPS: Sequence[tuple[Callable[[ssl.SSLContext, Mapping[str, Any]], None], str, str]] = (
    (
        _trust,
        "names authorities that cannot be loaded ({reason})",
        "ssl_ca_certs is a file of certificates in PEM format, ssl_ca_path a folder of such.",
    ),
    (
        _identify,
        "names a certificate that cannot be loaded ({reason})",
        "ssl_certfile and ssl_keyfile are files in PEM format, ssl_password is that of the key.",
    ),
    (
        _choose_ciphers,
        "has ssl_ciphers of which none is known",
        "Write them as OpenSSL does.",
    ),
)


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
