"""What a service is: its environment, its keys and what keeps its data."""

from marshmallow.validate import OneOf

from pegboard.settings.declare import Settings, setting


class ServiceSettings(Settings):
    """The environment, the keys, the database and Redis."""

    env: str = setting(
        "development",
        doc="Which configuration to use: development, testing or production.",
        validate=OneOf(("development", "testing", "production")),
    )
    debug: bool = setting(default=False, doc="Flask's debug mode; never in production.")
    testing: bool = setting(default=False, doc="Let exceptions reach the test client.")
    secret_key: str = setting(
        "", doc="Key that signs sessions and cursors; in production 32 bytes or more.", secret=True
    )
    secret_key_fallbacks: tuple[str, ...] = setting(
        (),
        doc="Earlier keys, comma-separated: what they have signed is still taken, and signed anew.",
        secret=True,
    )
    database_url: str = setting(
        "sqlite:///pegboard.db", doc="SQLAlchemy URL of the database.", secret=True
    )
    redis_url: str | None = setting(
        None,
        doc="URL of Redis or Valkey: a server, sentinels or a cluster; see the guide on Redis.",
        secret=True,
    )
