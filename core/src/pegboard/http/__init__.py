"""HTTP for views and stages: the error format, bodies, conditional requests, headers, CORS."""

from pegboard.http.body import Request
from pegboard.http.conditional import (
    PRECONDITION_FAILED_MESSAGE,
    evaluate_preconditions,
    require_preconditions,
)
from pegboard.http.cors import acts_only_on_origin, init_cors
from pegboard.http.envelope import Envelope, add_common_headers, identify, log_request
from pegboard.http.errors import (
    REQUEST_ID_KEY,
    RETRY_AFTER_SECONDS,
    VALIDATION_MESSAGE,
    APIError,
    abort,
    error_body,
    error_response,
    init_errors,
    internal_error,
)
from pegboard.http.headers import (
    HIGHEST_STATUS,
    LOWEST_STATUS,
    UnsendableError,
    encode_header_name,
    encode_header_value,
)
from pegboard.http.request_line import METHODS, NO_HOST_MESSAGE, answer_early
from pegboard.http.strict_json import InvalidJSONError, load_json

__all__ = [
    "HIGHEST_STATUS",
    "LOWEST_STATUS",
    "METHODS",
    "NO_HOST_MESSAGE",
    "PRECONDITION_FAILED_MESSAGE",
    "REQUEST_ID_KEY",
    "RETRY_AFTER_SECONDS",
    "VALIDATION_MESSAGE",
    "APIError",
    "Envelope",
    "InvalidJSONError",
    "Request",
    "UnsendableError",
    "abort",
    "acts_only_on_origin",
    "add_common_headers",
    "answer_early",
    "encode_header_name",
    "encode_header_value",
    "error_body",
    "error_response",
    "evaluate_preconditions",
    "identify",
    "init_cors",
    "init_errors",
    "internal_error",
    "load_json",
    "log_request",
    "require_preconditions",
]
