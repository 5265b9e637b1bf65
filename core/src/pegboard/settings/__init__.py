"""Settings: how they are declared, where their values come from, and the core's own."""

from pegboard.settings.core import CoreSettings
from pegboard.settings.declare import Settings, declarations_of, get_settings, prefix_of, setting
from pegboard.settings.profiles import (
    Config,
    Configuration,
    DevelopmentConfig,
    ProductionConfig,
    TestingConfig,
    configure,
    with_options,
)
from pegboard.settings.resolve import Value, load, unknown_settings

__all__ = [
    "Config",
    "Configuration",
    "CoreSettings",
    "DevelopmentConfig",
    "ProductionConfig",
    "Settings",
    "TestingConfig",
    "Value",
    "configure",
    "declarations_of",
    "get_settings",
    "load",
    "prefix_of",
    "setting",
    "unknown_settings",
    "with_options",
]
