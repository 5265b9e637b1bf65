"""The settings of the plugin."""

import pytest

import pegboard
from pegboard_items.settings import ItemsSettings


@pytest.mark.parametrize(
    "setting, value",
    [
        ("PAGE_SIZE", 0),
        ("PAGE_SIZE", "many"),
        ("MAX_PAGE_SIZE", 1001),
        ("IMPORT_BATCH", 0),
        ("IMPORT_ROW_BYTES", 1),
        ("IMPORT_BAD_ROWS_SHOWN", -1),
        ("PAGE_SICE", 10),
    ],
)
def test_a_setting_that_is_not_allowed_stops_the_start(setting, value):
    """With its name."""
    with pytest.raises(pegboard.StartupError, match=f"ITEMS_{setting}"):
        pegboard.create_app({"ENV": "testing", f"ITEMS_{setting}": value}, plugins=["items"])


def test_defaults_are_those_of_the_contract(make_app):
    """Twenty items on a page, a hundred at most."""
    settings = pegboard.get_settings(ItemsSettings, make_app(plugins=["items"]))

    assert (20, 100) == (settings.page_size, settings.max_page_size)
