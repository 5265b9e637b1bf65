"""HTTP for views and stages: the error format, bodies, conditional requests, headers, CORS."""

from pegboard.http.body import Request, read_json
from pegboard.http.cache_control import CACHE_CONTROL_KEY, CACHED_KEY
from pegboard.http.compression import Coding, Compression, available_codings
from pegboard.http.conditional import (
    PRECONDITION_FAILED_MESSAGE,
    answer_conditionally,
    evaluate_preconditions,
    explain_failed_precondition,
    require_preconditions,
)
from pegboard.http.cors import CORS, parse_origin
from pegboard.http.edge import Edge, get_edge, init_edge
from pegboard.http.endpoint import OFF, Endpoint, parse_endpoint
from pegboard.http.envelope import Envelope, identify
from pegboard.http.errors import (
    NOT_FOUND_MESSAGE,
    REQUEST_ID_KEY,
    VALIDATION_MESSAGE,
    APIError,
    abort,
    answer_database_error,
    error_body,
    error_response,
    init_errors,
    internal_error,
    response_of,
    unavailable,
)
from pegboard.http.headers import (
    HIGHEST_STATUS,
    LOWEST_STATUS,
    UnsendableError,
    encode_header_name,
    encode_header_value,
)
from pegboard.http.json_output import JSONProvider, encode_json
from pegboard.http.preferences import preference
from pegboard.http.request_line import HEADERS_SIZE_KEY as HEADERS_SIZE_KEY
from pegboard.http.request_line import MAX_HEADERS as MAX_HEADERS
from pegboard.http.request_line import METHODS, NO_HOST_MESSAGE, EarlyAnswer
from pegboard.http.strict_json import InvalidJSONError, load_json
from pegboard.http.view_methods import function_of

__all__ = [
    "CACHED_KEY",
    "CACHE_CONTROL_KEY",
    "CORS",
    "HIGHEST_STATUS",
    "LOWEST_STATUS",
    "METHODS",
    "NOT_FOUND_MESSAGE",
    "NO_HOST_MESSAGE",
    "OFF",
    "PRECONDITION_FAILED_MESSAGE",
    "REQUEST_ID_KEY",
    "VALIDATION_MESSAGE",
    "APIError",
    "Coding",
    "Compression",
    "EarlyAnswer",
    "Edge",
    "Endpoint",
    "Envelope",
    "InvalidJSONError",
    "JSONProvider",
    "Request",
    "UnsendableError",
    "abort",
    "answer_conditionally",
    "answer_database_error",
    "available_codings",
    "encode_header_name",
    "encode_header_value",
    "encode_json",
    "error_body",
    "error_response",
    "evaluate_preconditions",
    "explain_failed_precondition",
    "function_of",
    "get_edge",
    "identify",
    "init_edge",
    "init_errors",
    "internal_error",
    "load_json",
    "parse_endpoint",
    "parse_origin",
    "preference",
    "read_json",
    "require_preconditions",
    "response_of",
    "unavailable",
]
