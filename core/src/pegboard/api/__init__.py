"""The API of a service: documented blueprints, the OpenAPI document and its page, health."""

from pegboard.api.blueprint import MAX_PAGE, Blueprint, Decoration, functions_inside
from pegboard.api.data_errors import MISSING_COMPLAINT, complaints_about, init_data_errors
from pegboard.api.description import describe_service, drop_unused_schemas
from pegboard.api.docs_page import ASSETS, docs_blueprint
from pegboard.api.document import OpenAPIDocument, openapi_blueprint
from pegboard.api.dumping import quick_schema
from pegboard.api.field_types import client_name
from pegboard.api.health import (
    LIVENESS_PATH,
    READINESS_PATH,
    CheckResult,
    HealthCheck,
    NotReadyError,
    get_health,
    health_blueprint,
    init_health,
)
from pegboard.api.messages import plain_messages
from pegboard.api.operations import (
    Operation,
    OperationIdError,
    add_answers,
    add_headers_and_examples,
    add_names,
    add_tags,
    drop_defaults,
    operations_of,
)
from pegboard.api.query import check_query
from pegboard.api.sent import name_columns
from pegboard.api.specification import Api, init_api
from pegboard.api.status_names import use_current_names
from pegboard.api.unwrapping import held_functions

__all__ = [
    "ASSETS",
    "LIVENESS_PATH",
    "MAX_PAGE",
    "MISSING_COMPLAINT",
    "READINESS_PATH",
    "Api",
    "Blueprint",
    "CheckResult",
    "Decoration",
    "HealthCheck",
    "NotReadyError",
    "OpenAPIDocument",
    "Operation",
    "OperationIdError",
    "add_answers",
    "add_headers_and_examples",
    "add_names",
    "add_tags",
    "check_query",
    "client_name",
    "complaints_about",
    "describe_service",
    "docs_blueprint",
    "drop_defaults",
    "drop_unused_schemas",
    "functions_inside",
    "get_health",
    "health_blueprint",
    "held_functions",
    "init_api",
    "init_data_errors",
    "init_health",
    "name_columns",
    "openapi_blueprint",
    "operations_of",
    "plain_messages",
    "quick_schema",
    "use_current_names",
]
