"""The body of a request, which is read whole and within its limit, or ends in an error."""

import io
import json
from functools import partial
from typing import IO, TYPE_CHECKING, Any, cast

import flask
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge
from werkzeug.utils import cached_property

from pegboard.http.errors import abort
from pegboard.http.strict_json import InvalidJSONError, load_json

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_STEP = 1024 * 1024
_TWO_LENGTHS = "The request has both a Content-Length and a Transfer-Encoding."


class Request(flask.Request):
    """A request whose body is never truncated silently.

    Werkzeug's own reads a body without `Content-Length` up to the limit and drops the rest, and
    takes a body that ended too early for complete if the server sets `wsgi.input_terminated`.
    """

    @cached_property
    def stream(self) -> IO[bytes]:
        """Return the body; reading it raises 413 beyond the limit, and 400 when it ends early."""
        declared, limit = self.content_length, self.max_content_length
        if "HTTP_TRANSFER_ENCODING" in self.environ and self.environ.get("CONTENT_LENGTH"):
            # A proxy and this server could disagree on where it ends (RFC 9112, section 6.3).
            raise BadRequest(_TWO_LENGTHS)
        if declared is None and "wsgi.input_terminated" not in self.environ:
            return io.BytesIO()
        if declared is not None and limit is not None and declared > limit:
            raise RequestEntityTooLarge
        return cast("IO[bytes]", _Body(self.input_stream, declared, limit))

    def on_json_loading_failed(self, error: ValueError | None) -> Any:
        """Answer 415 if the body is compressed or not sent as JSON, else 400 with the reason."""
        require_plain_body(self)
        if not flask.current_app.debug:  # in which Flask tells the reason
            match error:
                case json.JSONDecodeError():
                    # `json.loads` decodes the surrogates that UTF-8 does not have.
                    load_body(error.doc.encode(errors="surrogatepass"))
                case UnicodeDecodeError():
                    load_body(error.object)
        return super().on_json_loading_failed(error)


def load_body(body: bytes) -> Any:
    """Return the value of a JSON body; ends the request with 400 if it is none."""
    try:
        return load_json(body)
    except InvalidJSONError as error:
        message = f"The body is not valid JSON: {error}."
        abort(400, message if body.strip() else "The body is empty; send JSON.")


def require_plain_body(request: flask.Request) -> None:
    """End a request with 415 if its body has a `Content-Encoding`."""
    if request.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
        message = "The body must not be compressed: send it without Content-Encoding."
        abort(415, message, headers={"Accept-Encoding": "identity"})


def read_json(request: flask.Request) -> Any:
    """Return the value that the JSON in a request's body stands for.

    Ends the request with 400 for a body that is empty or no JSON, 415 for a compressed one.
    """
    require_plain_body(request)
    return load_body(request.get_data(cache=True))


class _Body(io.RawIOBase):
    def __init__(self, source: IO[bytes], declared: int | None, limit: int | None) -> None:
        self._source = source
        self._declared = declared
        self._limit = limit
        self._position = 0

    def readable(self) -> bool:
        return True

    def readall(self) -> bytes:
        # In few and large steps: the server may limit the time of each.
        return b"".join(iter(partial(self._read, _STEP), b""))

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        data = self._read(len(target))
        target[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        if self._declared is not None:
            size = min(size, self._declared - self._position)
        if self._limit is not None:
            size = min(size, self._limit + 1 - self._position)
        if not size:
            return b""
        try:
            data = self._source.read(size)
        except OSError as error:
            raise ClientDisconnected from error
        if not data and self._declared is not None:
            raise ClientDisconnected
        self._position += len(data)
        if self._limit is not None and self._position > self._limit:
            raise RequestEntityTooLarge
        return data
