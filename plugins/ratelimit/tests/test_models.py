"""The table of rules, on both databases."""

from sqlalchemy import inspect

import pegboard


def test_other_programs_need_to_say_only_the_limit(make_app, database_url):
    """The database fills in the rest."""
    app = make_app(plugins=["ratelimit"], DATABASE_URL=database_url)
    with app.app_context(), pegboard.db.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO ratelimit_rules (limits) VALUES ('9/minute')")
        row = connection.exec_driver_sql(
            "SELECT client, route, methods, on_failure, until, note FROM ratelimit_rules"
        ).one()
        columns = {column["name"] for column in inspect(connection).get_columns("ratelimit_rules")}

    assert ("*", "*", "*", None, None, None) == tuple(row)
    assert {"id", "limits", "created_at", "updated_at"} <= columns
