"""Settings: how plugins declare them, where their values come from, and those of the core."""

from pegboard.settings.convert import is_readable
from pegboard.settings.core import CoreSettings
from pegboard.settings.declare import (
    Declaration,
    Settings,
    declarations_of,
    get_settings,
    prefix_of,
    setting,
)
from pegboard.settings.profiles import (
    Config,
    Configuration,
    DevelopmentConfig,
    ProductionConfig,
    TestingConfig,
    configure,
    with_options,
)
from pegboard.settings.resolve import Value, reader_of, resolve_settings
from pegboard.settings.unknown import Unused, nearest_name, unknown_settings

__all__ = [
    "Config",
    "Configuration",
    "CoreSettings",
    "Declaration",
    "DevelopmentConfig",
    "ProductionConfig",
    "Settings",
    "TestingConfig",
    "Unused",
    "Value",
    "configure",
    "declarations_of",
    "get_settings",
    "is_readable",
    "nearest_name",
    "prefix_of",
    "reader_of",
    "resolve_settings",
    "setting",
    "unknown_settings",
    "with_options",
]
