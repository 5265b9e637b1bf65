"""The key in the OpenAPI document."""

from typing import Any

_RESPONSE = "NO_TENANT"


def describe_key(document: dict[str, Any]) -> None:
    """Say that calls need a key, and that without one they are 401."""
    components = document.setdefault("components", {})
    components.setdefault("securitySchemes", {})["key"] = {"type": "http", "scheme": "bearer"}
    components.setdefault("responses", {})[_RESPONSE] = {
        "description": "Unauthorized",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    }
    for path, item in document.get("paths", {}).items():
        if path.startswith("/health"):
            continue
        for operation in item.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = {"$ref": f"#/components/responses/{_RESPONSE}"}
