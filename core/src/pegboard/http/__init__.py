"""HTTP as every view and stage needs it: errors, bodies, conditional requests, CORS."""

from pegboard.http.body import Request
from pegboard.http.conditional import STALE, evaluate, require_preconditions
from pegboard.http.cors import acts_only_on_origin, init_cors
from pegboard.http.envelope import Envelope, identify, report, seal
from pegboard.http.errors import (
    REQUEST_ID,
    RETRY_AFTER,
    APIError,
    UnconfirmedError,
    abort,
    bug_message,
    error_body,
    init_errors,
)
from pegboard.http.headers import GREATEST, LEAST, UnsendableError, encode_name, encode_value
from pegboard.http.strict_json import InvalidJSONError, load_json

__all__ = [
    "GREATEST",
    "LEAST",
    "REQUEST_ID",
    "RETRY_AFTER",
    "STALE",
    "APIError",
    "Envelope",
    "InvalidJSONError",
    "Request",
    "UnconfirmedError",
    "UnsendableError",
    "abort",
    "acts_only_on_origin",
    "bug_message",
    "encode_name",
    "encode_value",
    "error_body",
    "evaluate",
    "identify",
    "init_cors",
    "init_errors",
    "load_json",
    "report",
    "require_preconditions",
    "seal",
]
