"""The page `/docs`: Swagger UI from an installed package, without requests to other hosts."""

from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import flask
from flask import Blueprint, Response, current_app, render_template, send_from_directory, url_for

from pegboard.http import abort

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    # The icons of Swagger UI are data URLs.
    "img-src 'self' data:; style-src 'self'"
)

_YEAR = 365 * 24 * 3600
ASSETS = Path(__file__).parent / "static"
"""The folder of the core's own assets, among them `icon.svg`."""
_SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
_FOLDERS: Mapping[str, tuple[Path, str]] = {
    "docs.css": (ASSETS, "pegboard"),
    "docs.js": (ASSETS, "pegboard"),
    "icon.svg": (ASSETS, "pegboard"),
    "swagger-ui.css": (_SWAGGER_UI, "flask-swagger-ui"),
    "swagger-ui-bundle.js": (_SWAGGER_UI, "flask-swagger-ui"),
}


def docs_blueprint() -> Blueprint:
    """Return a new blueprint that serves `/docs` and its assets."""
    blueprint = Blueprint("docs", __name__, template_folder="templates")
    blueprint.add_url_rule("/docs", view_func=page, strict_slashes=False)
    blueprint.add_url_rule("/docs/assets/<name>", view_func=asset)
    return blueprint


def page() -> Response:
    """Serve the documentation page."""
    html = render_template(
        "pegboard/docs.html",
        title=current_app.config["API_TITLE"],
        api_version=current_app.config["API_VERSION"],
        assets={name: _asset_url(name) for name in _FOLDERS},
    )
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response


def asset(name: str) -> Response:
    """Serve one asset of the page; with its own version in the URL it may be cached for a year.

    With another version the page is that of another release, whose asset must not be kept for it.
    """
    if name not in _FOLDERS:
        abort(404, "The documentation page has no such asset.")
    folder, distribution = _FOLDERS[name]
    is_lasting = flask.request.args.get("v") == version(distribution)
    response = send_from_directory(folder, name, max_age=_YEAR if is_lasting else None)
    response.cache_control.immutable = is_lasting
    return response


def _asset_url(name: str) -> str:
    _, distribution = _FOLDERS[name]
    return url_for("docs.asset", name=name, v=version(distribution))
