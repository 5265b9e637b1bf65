"""The settings of the plugin."""

from collections.abc import Sequence
from typing import Any

import pytest

from pegboard import StartupError, get_settings
from pegboard.testing.fixtures import MakeApp
from pegboard_notes.settings import NotesSettings

KEY = "NOTES_PAGE_SIZE"


def test_a_setting_counts(make_app: MakeApp, plugins: Sequence[str]) -> None:
    """Its key begins with the name of the plugin."""
    config: dict[str, Any] = {KEY: 5}
    app = make_app(plugins=plugins, **config)
    assert 5 == get_settings(NotesSettings, app).page_size


def test_a_value_that_is_not_allowed_stops_the_start(
    make_app: MakeApp, plugins: Sequence[str]
) -> None:
    """The message names the setting."""
    config: dict[str, Any] = {KEY: 0}
    with pytest.raises(StartupError, match=KEY):
        make_app(plugins=plugins, **config)
