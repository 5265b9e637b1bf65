"""The API of a service: blueprints of documented views, the OpenAPI document, and health."""

from pegboard.api.blueprint import Api, Blueprint, Document, init_api, openapi_blueprint
from pegboard.api.docs_page import docs_blueprint
from pegboard.api.health import (
    ALIVE,
    Health,
    HealthCheck,
    NotReadyError,
    get_health,
    health_blueprint,
    init_health,
)

__all__ = [
    "ALIVE",
    "Api",
    "Blueprint",
    "Document",
    "Health",
    "HealthCheck",
    "NotReadyError",
    "docs_blueprint",
    "get_health",
    "health_blueprint",
    "init_api",
    "init_health",
    "openapi_blueprint",
]
