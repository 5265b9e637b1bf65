"""Compressed answers: which coding a client gets (RFC 9110, section 12.5.3), and the codings.

A coding whose library is not installed is not offered.
"""

import functools
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

MIN_TAGGED_SIZE = 20
"""Bytes from which on an answer with an `ETag` is compressed, whatever the setting.

nginx compresses from this size on (`gzip_min_length`), and would weaken the tag.
"""

MAX_WHOLE_SIZE = 1024 * 1024
"""Bytes up to which an answer is compressed as a whole; a longer one is compressed in parts."""

IDENTITY = "identity"

_GZIP_LEVEL, _BROTLI_QUALITY, _ZSTD_LEVEL = 6, 4, 3
_GZIP = zlib.MAX_WBITS | 16
_MAX_KEPT_HEADERS = 256
_MAX_KEPT_BODY = 64 * 1024
_MAX_KEPT_BODIES = 8 * 1024 * 1024
_ITEM = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_COMPRESSIBLE = re.compile(
    r"text/.*|.*[+/](?:json|xml|javascript|yaml)|image/(?:svg\+xml|bmp|x-icon|vnd\.microsoft\.icon)"
    r"|application/(?:x-ndjson|jsonl|manifest\+json|wasm|x-www-form-urlencoded|rtf|sql|graphql)"
    r"|font/(?:ttf|otf|collection)|application/vnd\.ms-fontobject",
    re.IGNORECASE,
)


class Stream(Protocol):
    """Compresses one body part by part."""

    def part(self, data: bytes) -> bytes:
        """Return what a client needs to read all parts so far."""

    def end(self) -> bytes:
        """Return the rest."""


@dataclass(frozen=True)
class Coding:
    """A content coding (RFC 9110, section 8.4.1)."""

    name: str
    """As in `Content-Encoding`."""
    encode: Callable[[bytes], bytes]
    """Returns a whole body compressed."""
    stream: Callable[[], Stream]
    """Begins a body that is compressed part by part."""


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)

    def part(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self, library: Any) -> None:
        self._compressor = library.Compressor(quality=_BROTLI_QUALITY)

    def part(self, data: bytes) -> bytes:
        found: bytes = self._compressor.process(data) + self._compressor.flush()
        return found

    def end(self) -> bytes:
        found: bytes = self._compressor.finish()
        return found


class _Zstd:
    def __init__(self, library: Any) -> None:
        self._compressor = library.ZstdCompressor(_ZSTD_LEVEL)

    def part(self, data: bytes) -> bytes:
        found: bytes = self._compressor.compress(data, self._compressor.FLUSH_BLOCK)
        return found

    def end(self) -> bytes:
        found: bytes = self._compressor.flush()
        return found


def available_codings() -> tuple[Coding, ...]:
    """Return the codings whose libraries are installed, the preferred one first."""
    codings = []
    # The first is in the standard library since Python 3.14, the second is its backport.
    if (zstd := _library("compression.zstd", "backports.zstd")) is not None:
        encode = functools.partial(zstd.compress, level=_ZSTD_LEVEL)
        codings.append(Coding("zstd", encode, functools.partial(_Zstd, zstd)))
    if (brotli := _library("brotli")) is not None:
        encode = functools.partial(brotli.compress, quality=_BROTLI_QUALITY)
        codings.append(Coding("br", encode, functools.partial(_Brotli, brotli)))
    encode = functools.partial(zlib.compress, level=_GZIP_LEVEL, wbits=_GZIP)
    return (*codings, Coding("gzip", encode, _Gzip))


def _library(*names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What the `Accept-Encoding` of a request allows."""

    coding: Coding | None
    """The coding for the answer; None for none."""
    is_identity_refused: bool = False
    """Whether the answer must not be sent without a coding."""


_PLAIN = Negotiated(None)


class Compression:
    """The codings of one app, and the bodies that were compressed last."""

    def __init__(self, codings: Iterable[Coding], min_size: int) -> None:
        """`min_size` is in bytes; shorter answers without an `ETag` are sent as they are."""
        self.min_size = min_size
        self.codings = {coding.name: coding for coding in codings}
        self._negotiated: dict[str, Negotiated] = {}
        self._kept: dict[tuple[str, bytes], bytes] = {}
        self._kept_size = 0

    def negotiate(self, environ: Mapping[str, Any]) -> Negotiated:
        """Return what the request accepts; a request that says nothing gets no coding."""
        header: str | None = environ.get("HTTP_ACCEPT_ENCODING")
        if not header:
            return _PLAIN
        found = self._negotiated.get(header)
        if found is None:
            found = self._choose(header)
            if len(self._negotiated) >= _MAX_KEPT_HEADERS:
                self._negotiated.clear()
            self._negotiated[header] = found
        return found

    def _choose(self, header: str) -> Negotiated:
        weights = dict(_weights(header))
        others = weights.get("*", 0.0)
        # What is not compressed is acceptable unless excluded, but nobody asked for it.
        plain = weights.get(IDENTITY, weights.get("*"))
        best, chosen = 0.0, None
        for coding in self.codings.values():
            weight = weights.get(coding.name, others)
            if weight > best:
                best, chosen = weight, coding
        if plain is not None and IDENTITY in weights and plain > best:
            chosen = None
        return Negotiated(chosen, is_identity_refused=plain == 0)

    def encode(self, coding: Coding, body: bytes) -> bytes:
        """Return a body compressed; a short one that comes again is not compressed again."""
        found = self._kept.get((coding.name, body))
        if found is None:
            found = coding.encode(body)
            if len(body) <= _MAX_KEPT_BODY:
                self._keep(coding, body, found)
        return found

    def takes_long(self, coding: Coding, body: bytes) -> bool:
        """Return whether `encode` would take milliseconds."""
        return len(body) > _MAX_KEPT_BODY and (coding.name, body) not in self._kept

    def _keep(self, coding: Coding, body: bytes, encoded: bytes) -> None:
        # Threads may add at the same time: then the size is off by a body or two, until it is full.
        self._kept_size += len(body) + len(encoded)
        if self._kept_size > _MAX_KEPT_BODIES:
            self._kept = {}
            self._kept_size = 0
        self._kept[coding.name, body] = encoded


def _weights(header: str) -> Iterator[tuple[str, float]]:
    """Yield the codings that a header names, and how much each is wanted; 0 excludes one."""
    for item in header.split(","):
        if (found := _ITEM.fullmatch(item)) is not None:
            name = found[1].lower()
            # RFC 9110, section 8.4.1.3.
            yield name.removeprefix("x-") if name == "x-gzip" else name, float(found[2] or 1)


@functools.lru_cache(maxsize=256)
def is_compressible(content_type: str) -> bool:
    """Return whether bodies of a media type become shorter by compression."""
    return _COMPRESSIBLE.fullmatch(content_type.partition(";")[0].strip()) is not None


def compress_parts(parts: Iterable[bytes], coding: Coding) -> Iterator[bytes]:
    """Yield the parts of a body compressed; each can be read as soon as it has arrived."""
    stream = coding.stream()
    for part in parts:
        yield stream.part(part) if part else b""
    yield stream.end()
