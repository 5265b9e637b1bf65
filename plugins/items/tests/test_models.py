"""The table, as migrations make it and as other programs find it."""

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

import pegboard


def test_the_table_is_what_the_contract_says(app):
    """Exactly these columns, in this order, so that other programs can write the table."""
    with app.app_context():
        columns = inspect(pegboard.db.engine).get_columns("items")

    assert [
        ("id", "INTEGER", False),
        ("name", "VARCHAR(100)", False),
        ("description", "TEXT", True),
        ("created_at", "TIMESTAMP", True),
        ("updated_at", "TIMESTAMP", True),
    ] == [
        (
            column["name"],
            str(column["type"]).replace("DATETIME", "TIMESTAMP"),
            column["nullable"],
        )
        for column in columns
    ]


def test_the_table_lets_no_item_go_without_a_name(write_rows):
    """Whatever program writes it."""
    with pytest.raises(IntegrityError):
        write_rows({"name": None})
