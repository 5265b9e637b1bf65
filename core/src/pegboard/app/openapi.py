"""The OpenAPI document with what plugins add to it."""

from typing import Any

from flask import Flask

from pegboard.api import Api
from pegboard.plugins import Registry, call_plugin


def described(app: Flask, api: Api, assembled: Registry) -> dict[str, Any]:
    """Return the OpenAPI document with what plugins add to it."""
    document: dict[str, Any] = api.spec.to_dict()
    for plugin in assembled.plugins:
        call_plugin(assembled.manager, plugin, "pegboard_openapi", app=app, document=document)
    return document
