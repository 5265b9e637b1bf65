"""What a service tells of itself: its log, its document, its start page, its health."""

from marshmallow.validate import Length, OneOf, Range

from pegboard.logs import LEVELS
from pegboard.settings.declare import Settings, setting


def _level(value: str) -> None:
    OneOf(LEVELS[1:])(value)


class LogSettings(Settings):
    """The log."""

    log_level: str = setting("INFO", doc="Lowest level that is logged.", validate=_level)
    log_format: str = setting(
        "human", doc="Format of log lines: human or json.", validate=OneOf(("human", "json"))
    )
    access_log_share: float = setting(
        1.0,
        doc="Share of the requests that get a line in the log, 0 to 1; answers from 500 on always "
        "do.",
        validate=Range(0, 1),
    )
    slow_statement: float = setting(
        0.0,
        doc="Time from which on a statement of the database is logged as a warning, with its "
        "plugin, route and request; 0: none is.",
        validate=Range(0, 3600),
    )
    slow_stage: float = setting(
        0.0,
        doc="Time from which on a stage, its wait for Redis, or a plugin's function that is called "
        "for requests is logged as a warning; 0: none is.",
        validate=Range(0, 3600),
    )


class APISettings(Settings):
    """The OpenAPI document, resources, the start page and health."""

    api_title: str = setting(
        "Pegboard", doc="Title of the OpenAPI document.", validate=Length(1, 200)
    )
    api_version: str = setting("v1", doc="Version in the OpenAPI document.", validate=Length(1, 50))
    api_description: str = setting(
        "",
        doc="Description in the OpenAPI document, in Markdown; it stands before that of all calls.",
    )
    api_license: str = setting(
        "MIT",
        doc="License in the OpenAPI document: an SPDX identifier, or name and URL; none if empty.",
    )
    api_contact: str = setting(
        "", doc="Contact in the OpenAPI document: an e-mail address, a URL or a name."
    )
    api_docs: bool = setting(default=True, doc="Serve /openapi.json and /docs.")

    resources_fast: bool = setting(
        default=True,
        doc="Answer usual requests to resources by statements that are compiled once, with the "
        "same result.",
    )
    start_page: bool = setting(default=True, doc="Serve a page about the service at `/`.")
    ready_requires: tuple[str, ...] = setting(
        (),
        doc="Optional health checks, comma-separated, without which `/health/ready` is 503 all the "
        "same, as in redis.",
    )
