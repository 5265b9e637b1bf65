"""The settings of the core."""

from types import MappingProxyType

from pegboard.settings.core.api import APISettings, LogSettings
from pegboard.settings.core.edge import EdgeSettings, OriginSettings
from pegboard.settings.core.plugins import PluginSettings
from pegboard.settings.core.server import LimitSettings, ListeningSettings
from pegboard.settings.core.service import ServiceSettings
from pegboard.settings.core.stores import CacheSettings, DatabaseSettings, RedisSettings
from pegboard.settings.declare import Settings

__all__ = ["CoreSettings"]


class _AllSettings(
    # A dataclass has the fields of its last base first: the reference begins with the last one.
    PluginSettings,
    CacheSettings,
    RedisSettings,
    DatabaseSettings,
    APISettings,
    LogSettings,
    EdgeSettings,
    LimitSettings,
    ListeningSettings,
    OriginSettings,
    ServiceSettings,
):
    """What the modules of this package declare."""


class CoreSettings(_AllSettings, Settings):
    """Settings of the core; times are in seconds, sizes in bytes.

    Pass the class to `get_settings`. The reference of settings lists every field with its default.
    """

    bare_variables = frozenset(
        {
            *("secret_key", "secret_key_fallbacks", "database_url", "redis_url", "cors_origins"),
            *("host", "port", "workers"),
        }
    )
    # The variable of gunicorn and of many platforms.
    foreign_variables = MappingProxyType({"workers": ("WEB_CONCURRENCY",)})
